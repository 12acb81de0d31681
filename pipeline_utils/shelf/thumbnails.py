"""Small copies of large pictures, for lists. Made when first looked at; any may be thrown away."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from PIL import Image

from pipeline_utils.errors import UserError
from pipeline_utils.files import saving, writing
from pipeline_utils.picture.picture import read
from pipeline_utils.shelf.card import Card
from pipeline_utils.shelf.shelf import Shelf

LONGEST = 320  # pixels of the longer side; a picture that is no larger is its own thumbnail
_PATIENCE = 1.0  # seconds that one list spends on missing thumbnails; the next one goes on


class Thumbs:
    """The thumbnails for one list of pictures: WebP files in a folder inside the shelf's."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.folder = shelf.folder / ".thumbs"
        self._until = time.monotonic() + _PATIENCE

    def of(self, card: Card) -> Path:
        """The file to show for a picture: a thumbnail, or itself where it is small or there is no time."""
        path = self._shelf.folder / card.file
        if max(card.width, card.height) <= LONGEST:
            return path
        thumb = self.folder / f"{card.id}.webp"
        if thumb.is_file():
            return thumb
        if time.monotonic() < self._until:
            with suppress(UserError):  # a damaged picture, or a full disk: the list is shown all the same
                self._make(path, thumb)
                return thumb
        return path

    def _make(self, path: Path, thumb: Path) -> None:
        image = read(path).image
        image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        with saving(self.folder):
            self.folder.mkdir(exist_ok=True)
        with writing(thumb) as file:
            image.save(file, "WEBP", quality=82)
