"""What leaves a shelf: pictures that were deleted, kept aside for a day, and whatever goes by its age.

That are files for one download, uploads, what was deleted, and pictures where a setting says so.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.files import age, delete_aged, delete_old, passing_over, saving
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.owners import Shelves
from pipeline_utils.shelf.shelf import Shelf, picture_id

KEEP_HOURS = 24
_KEEP = 3600  # seconds; uploads and files for one download
_log = logging.getLogger(__name__)
_NAME = re.compile(r"[0-9]{10}-[0-9a-f]{16}")  # when it was deleted: seconds, then ns in 8 digits; then chance


@dataclass(frozen=True)
class Deletion:
    """Pictures that were deleted together. name: of the deletion, in the order of time. size: bytes."""

    name: str
    files: tuple[Path, ...]
    size: int

    @property
    def seconds(self) -> float:
        """How long ago it was."""
        return age(int(self.name[:10]))


class Trash:
    """A folder inside the shelf's, in it one for each deletion. Any number of threads and processes may use it.

    What is older than a day goes for good when the trash is opened next, or swept.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.folder = shelf.folder / ".trash"
        self._shelf = shelf
        self._spare = shelf.folder / ".trash-next"  # made ahead: a full disk has no room for another folder
        if shelf.folder.is_dir():
            with suppress(OSError):
                self.folder.mkdir(exist_ok=True)
                self._spare.mkdir()
        self.purge()

    def deletions(self) -> list[Deletion]:
        """What can be brought back, newest first."""
        found = []
        for name in self._names():
            with passing_over(self.folder / name):
                if files := self._files(name):
                    found.append(Deletion(name, tuple(files), sum(files.values())))
        return found

    def take(self, files: Sequence[str]) -> tuple[str, int]:
        """Moves the files with these names, names of the shelf's pictures, out of it.

        Returns the name of this deletion, and how many files were still there. Raises UserError.
        """
        now, count = time.time_ns(), 0
        name = f"{now // 10**9:010}-{now % 10**9:08x}{secrets.token_hex(4)}"
        with saving(self._shelf.folder):
            try:
                os.rename(self._spare, self.folder / name)
            except OSError:
                (self.folder / name).mkdir(parents=True)
            for file in files:
                with suppress(FileNotFoundError):  # somebody else was faster
                    os.replace(self._shelf.folder / file, self.folder / name / file)
                    count += 1
        return name, count

    def give_back(self, name: object) -> int:
        """Undoes a deletion. The number of files that are on the shelf again.

        Raises InputError when it is too late, UserError when files stay in the trash; then it can be tried again.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name) or not (self.folder / name).is_dir():
            raise InputError("undo", name, f"deleted pictures are kept for {KEEP_HOURS} hours")
        count, failed = 0, None
        with saving(self._shelf.folder):
            for path in self._files(name):
                try:
                    os.replace(path, self._shelf.folder / path.name)  # the time of a file moves with it
                    count += 1
                except FileNotFoundError:  # another tab brings it back too
                    pass
                except OSError as error:
                    failed = error
            if failed:
                raise failed
        self._close(name)
        return count

    def empty(self) -> int:
        """Deletes everything in the trash for good. The bytes that were freed. Raises UserError for what stayed."""
        gone = sum(deletion.size for deletion in self.deletions())
        for name in self._names():
            self._drop(name)
        if left := sum(len(deletion.files) for deletion in self.deletions()):
            raise UserError(f"The trash cannot be emptied: {left} of its pictures cannot be deleted.")
        return gone

    def purge(self) -> None:
        """Deletes for good what was deleted more than a day ago."""
        for name in self._names():
            if age(int(name[:10])) > KEEP_HOURS * 3600:
                self._drop(name)

    def _names(self) -> list[str]:
        """The deletions, newest first."""
        with passing_over(self.folder):
            return sorted(filter(_NAME.fullmatch, os.listdir(self.folder)), reverse=True)
        return []

    def _files(self, name: str) -> dict[Path, int]:
        """The pictures of a deletion, and the size of each."""
        sizes = {}
        for path in sorted((self.folder / name).iterdir()):
            with passing_over(path):
                found = path.lstat()
                if picture_id(path.name) and stat.S_ISREG(found.st_mode):
                    sizes[path] = found.st_size
        return sizes

    def _drop(self, name: str) -> None:
        with passing_over(self.folder / name):
            for path in list((self.folder / name).iterdir()):
                with passing_over(path):
                    path.unlink()
                    gone = picture_id(path.name)
                    if gone and not (self._shelf.folder / path.name).exists():  # it may have been made again
                        (self._shelf.folder / ".stars" / gone).unlink(missing_ok=True)
                        (self._shelf.folder / ".thumbs" / f"{gone}.webp").unlink(missing_ok=True)
            self._close(name)

    def _close(self, name: str) -> None:
        """The folder of a deletion, where nothing is left in it, is ready for the next one."""
        with suppress(OSError):
            if self._spare.exists():
                (self.folder / name).rmdir()
            elif not os.listdir(self.folder / name):
                os.rename(self.folder / name, self._spare)


def start_sweeping(settings: Settings, shelves: Shelves) -> None:
    """Sweeps again and again, aside."""

    def run() -> None:
        while True:
            try:
                sweep(settings, shelves)
            except Exception:  # nobody would notice that it has ended
                _log.exception("Not swept")
            time.sleep(min(600, max(1, settings.keep_hours * 900 or 600)))

    threading.Thread(target=run, name="sweep", daemon=True).start()


def sweep(settings: Settings, shelves: Shelves) -> None:
    """Once over everything. Whatever is wrong with one folder is logged once, and the others have their turn."""
    for name in ("uploads", "downloads"):
        with passing_over(settings.cache / name):
            delete_aged(settings.cache / name, _KEEP)
    with passing_over(shelves.root.folder):
        for folder in shelves.folders():
            with passing_over(folder):
                Trash(Shelf(folder, make=False)).purge()
                if settings.keep_hours:
                    sweep_pictures(folder, settings.keep_hours * 3600)


def sweep_pictures(folder: Path, seconds: float) -> None:
    """Deletes pictures of a shelf that are older, and what belongs to them: stars, thumbnails, what was deleted."""
    for path in Shelf(folder, make=False):
        delete_old(path, seconds)
    for kind in (".stars", ".thumbs", ".trash"):
        delete_aged(folder / kind, seconds)
