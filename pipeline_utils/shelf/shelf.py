"""The folder of pictures, and their stars. The files are the only record: there is no index to fall out of step."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline_utils.errors import InputError, PictureError
from pipeline_utils.files import age, passing_over, saving, writing
from pipeline_utils.picture.picture import Picture, check_id, decode, encode, pixel_sha256, read, read_bytes

_NAME = re.compile(r"seed-[0-9]{1,10}_(?:round-[0-9]{1,5}_[a-z0-9]{1,20}_)?([0-9a-f]{16})\.png")
_SMALL = frozenset(
    ["a", "an", "and", "at", "by", "for", "from", "in", "into", "of", "on", "or", "over", "the", "to", "under", "with"]
)
NOT_HERE = "no picture here has this id"
_LEFTOVER_AGE = 600  # seconds; a put takes less than one, and another process may be in the middle of it


class Shelf:
    """Pictures in one folder. Any number of threads and processes may use it.

    A picture is there whole or not at all.
    make: make the folder now; otherwise the first picture does.
    Raises UserError when the folder cannot be made or read.
    """

    def __init__(self, folder: Path | str, make: bool = True):
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._last = 0  # ns; time of the newest picture put here
        with saving(self.folder):
            if make:
                self.folder.mkdir(parents=True, exist_ok=True)
            for path in self.folder.glob(".*.tmp"):
                with passing_over(path):
                    if age(path.lstat().st_mtime) > _LEFTOVER_AGE:
                        path.unlink()

    def __iter__(self) -> Iterator[Path]:
        """The files of all pictures, newest first."""
        found = sorted(((changed, name) for name, (_, changed) in self.listing().items()), reverse=True)
        return (self.folder / name for _, name in found)

    def listing(self) -> dict[str, tuple[str, int]]:
        """{file name: (picture id by that name, time of the last change in ns)} of all pictures, in no order."""
        found = {}
        with saving(self.folder), suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with passing_over(entry.path):
                    if (match := _NAME.fullmatch(entry.name)) and entry.is_file():
                        found[entry.name] = (match[1], entry.stat().st_mtime_ns)
        return found

    def put(self, picture: Picture, writer: str = "") -> Path:
        """Keep a picture and return its file. A picture that is here already is not written again.

        writer: who wrote its prompt, as the file says where that is set.

        Raises PictureError when its pixels are not those of its record, CapacityError when the disk
        is full, UserError when the folder cannot be written.
        """
        if pixel_sha256(picture.image) != picture.pixel_sha256:
            raise PictureError("The pixels of this picture were edited, so it cannot stand on the shelf.")
        data = encode(picture, writer)
        path = self.folder / name_of(picture)
        with self._lock, saving(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            old = self.folder / f"seed-{picture.recipe.seed}_{picture.id}.png"  # as names were before
            path = old if old.is_file() else path
            if not _holds(path, data, picture):
                self._last = max(time.time_ns(), self._last + 1)  # strictly rising, so the order is kept
                with writing(path, changed=self._last) as file:
                    file.write(data)
        return path

    def get(self, picture_id: str) -> Path:
        """The file of a picture. Raises InputError for what is no id, or of no picture here."""
        check_id("picture", picture_id)  # before it meets the file system
        for path in self.folder.glob(f"seed-*_{picture_id}.png"):
            with passing_over(path):
                if _NAME.fullmatch(path.name) and stat.S_ISREG(path.stat().st_mode):
                    return path
        raise InputError("picture", picture_id, NOT_HERE)

    def read(self, picture_id: str) -> Picture:
        """The picture with this id. Raises InputError as `get` does, PictureError when its file is damaged,
        edited, or another picture's."""
        return read_kept(self.get(picture_id), picture_id)


def read_kept(path: Path, picture_id: str) -> Picture:
    """The picture of a shelf whose file is known. Raises as Shelf.read does."""
    if not path.is_file():
        raise InputError("picture", picture_id, NOT_HERE)
    reading = read(path)
    if reading.edited or reading.picture is None or reading.picture.id != picture_id:
        raise PictureError(f"The file {path.name} was changed after it was made, so it is not used.")
    return reading.picture


class Stars:
    """Which pictures of a shelf have a star: an empty file each, there or not, without an index to corrupt.

    Any number of threads and processes may use it.
    """

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


def name_of(picture: Picture) -> str:
    """A picture's file name: its seed, its round, the first word of its prompt that says something, its id.

    The word is in small letters of ASCII, so that any disk and any zip can hold it.
    """
    plain = unicodedata.normalize("NFKD", picture.recipe.prompt.lower()).encode("ascii", "ignore").decode()
    words = [word for word in re.findall("[a-z0-9]+", plain) if word not in _SMALL] or ["picture"]
    return f"seed-{picture.recipe.seed}_round-{picture.lineage.round}_{words[0][:20]}_{picture.id}.png"


def picture_id(name: str) -> str | None:
    """The id of a picture by the name of its file; None for another file."""
    match = _NAME.fullmatch(name)
    return match[1] if match else None


def _holds(path: Path, data: bytes, picture: Picture) -> bool:
    """Is this picture there, whatever an earlier version wrote beside its record? One that was damaged since, or
    cannot be read, is not, and is written again."""
    try:
        content = read_bytes(path)
        return content == data or decode(content).picture == picture
    except PictureError:
        return False
