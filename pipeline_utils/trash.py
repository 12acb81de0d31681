"""Pictures that were deleted: kept aside for a day, so that deleting can be undone."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline_utils.errors import InputError
from pipeline_utils.files import saving
from pipeline_utils.shelf import Shelf

KEEP_HOURS = 24
_BATCH = re.compile(r"[0-9]{10}-[0-9a-f]{16}")  # when it was deleted, in seconds


class Trash:
    """A folder inside the shelf's, in it one for each deletion. What is older than a day goes for good
    when the shelf is opened next, or something is deleted next."""

    def __init__(self, shelf: Shelf) -> None:
        self.folder = shelf.folder / ".trash"
        self._shelf = shelf
        self.purge()

    def take(self, files: Sequence[str]) -> tuple[str, int]:
        """Moves the files with these names, names of the shelf's pictures, out of it.

        Returns the name of this deletion, and how many files were still there. Raises UserError.
        """
        self.purge()
        batch, count = f"{int(time.time()):010}-{secrets.token_hex(8)}", 0
        with saving(self._shelf.folder):
            (self.folder / batch).mkdir(parents=True)
            for name in files:
                with suppress(FileNotFoundError):  # somebody else was faster
                    os.replace(self._shelf.folder / name, self.folder / batch / name)
                    count += 1
        return batch, count

    def give_back(self, batch: object) -> int:
        """Undoes a deletion. The number of files that are on the shelf again. Raises InputError when it is too late."""
        place = self._place(batch)
        with saving(self._shelf.folder):
            files = list(place.iterdir())
            for path in files:
                os.replace(path, self._shelf.folder / path.name)  # the time of a file moves with it
            place.rmdir()
        return len(files)

    def _place(self, batch: object) -> Path:
        if isinstance(batch, str) and _BATCH.fullmatch(batch) and (self.folder / batch).is_dir():
            return self.folder / batch
        raise InputError("undo", batch, f"deleted pictures are kept for {KEEP_HOURS} hours")

    def purge(self) -> None:
        if not self.folder.is_dir():
            return
        for place in self.folder.iterdir():
            if _BATCH.fullmatch(place.name) and time.time() - int(place.name[:10]) > KEEP_HOURS * 3600:
                shutil.rmtree(place, ignore_errors=True)
