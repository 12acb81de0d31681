"""Which pictures of a shelf have a star. A star is an empty file: there or not, without an index to corrupt."""

from __future__ import annotations

import os

from pipeline_utils.files import passing_over, saving
from pipeline_utils.picture.picture import check_id
from pipeline_utils.shelf.shelf import Shelf


class Stars:
    """The stars of one shelf. Any number of threads and processes may use it."""

    def __init__(self, shelf: Shelf) -> None:
        self.folder = shelf.folder / ".stars"

    def ids(self) -> set[str]:
        """The ids of all pictures with a star."""
        with passing_over(self.folder):
            return set(os.listdir(self.folder))
        return set()

    def set(self, picture_id: str, on: bool) -> None:
        """Gives a star, or takes it. Raises InputError for what is no id, UserError when it cannot be kept."""
        path = self.folder / check_id("picture", picture_id)
        with saving(self.folder):
            if on:
                self.folder.mkdir(parents=True, exist_ok=True)
                path.touch()
            else:
                path.unlink(missing_ok=True)
