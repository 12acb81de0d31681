"""Files made from pictures: thumbnails for lists, and zips for one download, which the sweep deletes after an hour."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from pipeline_utils.errors import CapacityError, InputError, PictureError, UserError
from pipeline_utils.files import age, passing_over, saving, writing
from pipeline_utils.picture.picture import read
from pipeline_utils.shelf.index import Card
from pipeline_utils.shelf.shelf import Shelf

LONGEST = 320  # pixels of the longer side; a picture that is no larger is its own thumbnail
_PATIENCE = 1.0  # seconds that one list spends on missing thumbnails; the next one goes on
_KEPT = 2**32  # bytes of all files for downloads; one has at most half of that
_BUSY = 60  # seconds; what is younger may be on its way


class Thumbs:
    """The thumbnails for one list of pictures: WebP files in a folder inside the shelf's.

    They are made when first looked at, and any may be thrown away.
    """

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
                image = read(path).image
                image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
                with saving(self.folder):
                    self.folder.mkdir(exist_ok=True)
                with writing(thumb) as file:
                    image.save(file, "WEBP", quality=82)
                return thumb
        return path


def place_for(cache: Path, ids: Iterable[str], name: str) -> Path:
    """Where a file called `name` goes that holds the pictures with these ids, for one download.

    It lies in a folder named by what is in it. The oldest of others make room.
    """
    make_room(cache / "downloads", _KEPT // 2)
    place = cache / "downloads" / hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16]
    with saving(place):
        place.mkdir(parents=True, exist_ok=True)
    return place / name


def make_room(folder: Path, limit: int) -> None:
    """Deletes the oldest files in and below a folder until all have at most `limit` bytes.

    Raises CapacityError when too much came within a minute.
    """
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            with passing_over(path := os.path.join(place, name)):
                known = os.lstat(path)
                found.append((known.st_mtime, known.st_size, path))
    total = sum(size for _, size, _ in found)
    for changed, size, path in sorted(found):
        if total > limit and age(changed) > _BUSY:
            with passing_over(path):
                os.unlink(path)
                total -= size
    if total > limit:
        raise CapacityError(f"Too many {folder.name} at once: all may have {limit // 2**20} MB. Try again in a minute.")


def zip_pictures(paths: Sequence[Path], file: Path) -> None:
    """Put the files into a zip as they are, uncompressed (PNG is), in order, under their own names.

    The same files give the same bytes: no dates, no machine's file modes. Raises InputError when two
    have one name, PictureError when one cannot be read, CapacityError when the disk is full.
    """
    names = [path.name for path in paths]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError("pictures", twice, "each file stands once in a zip")
    with writing(file) as stream, zipfile.ZipFile(stream, "w") as archive:
        for path, name in zip(paths, names, strict=True):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # stored, not deflated
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            try:
                content = path.read_bytes()
            except OSError as error:  # deleted meanwhile, as a rule
                raise PictureError(f"The file {path.name} cannot be read: {error.strerror}.") from error
            archive.writestr(entry, content)
