"""Where files lie, and how each is written: whole or not at all.

What a disk refuses is told in a sentence, or passed over.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from pipeline_utils.errors import CapacityError, UserError
from pipeline_utils.settings import DEFAULT_DATA, Settings

_log = logging.getLogger(__name__)
_passed: set[str] = set()  # what was told of already
_FORMER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "second-round" / "pictures"
_BEGAN = time.time() - time.monotonic()


@contextmanager
def writing(path: Path | str, changed: int | None = None) -> Iterator[BinaryIO]:
    """What is written into the stream is the file `path` once the block is over; after an error nothing is changed.

    It is written beside its place, flushed, and renamed. changed: ns, the file's time of change. The folder is
    there already. Raises as `saving`.
    """
    path = Path(os.path.abspath(path))
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    with saving(path.parent):
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if changed is not None:
                os.utime(temporary, ns=(changed, changed))
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                temporary.unlink()
            raise


def check_writable(folder: Path) -> None:
    """Can pictures be kept in this folder, which is made where it is missing? All that keeping one takes is tried.

    Raises as `saving`.
    """
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".{secrets.token_hex(8)}.tmp"
    with writing(probe, changed=time.time_ns()) as file:
        file.write(bytes(2**16))
    with saving(folder):
        probe.unlink(missing_ok=True)


@contextmanager
def saving(place: Path | str) -> Iterator[None]:
    """An OSError of the folder `place` becomes an error a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CapacityError(
                f"The disk is full, so nothing was saved in {Path(place).name}: delete some pictures and empty the "
                "trash of the shelf, or choose another folder, then try again."
            ) from error
        raise UserError(f"The folder {Path(place).name} cannot be used: {error.strerror}.") from error


@contextmanager
def passing_over(entry: Path | str) -> Iterator[None]:
    """One entry of a folder that cannot be used, whatever its error, is done without, and logged once."""
    try:
        yield
    except FileNotFoundError:  # deleted meanwhile
        pass
    except (OSError, UserError) as error:
        if str(entry) not in _passed and len(_passed) < 10_000:
            _passed.add(str(entry))
            _log.warning("Passed over %s: %s", entry, error)


def age(stamp: float) -> float:
    """Seconds since `stamp`, a time of day.

    Where the machine's clock was set while the app ran, the smaller age counts, so that nothing goes early.
    """
    return min(time.time(), _BEGAN + time.monotonic()) - stamp


def delete_old(path: Path, seconds: float) -> None:
    """Deletes a file that was changed longer ago."""
    with passing_over(path):
        if age(path.lstat().st_mtime) > seconds:
            path.unlink()


def delete_aged(folder: Path, seconds: float) -> None:
    """Deletes every file in and below a folder that was changed longer ago, and folders that are empty as long."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            delete_old(Path(place, name), seconds)
        with suppress(OSError):  # not empty, or just made by somebody who is about to fill it
            if place != str(folder) and age(os.lstat(place).st_mtime) > seconds:
                os.rmdir(place)


def bring_home(folder: Path, former: Path = _FORMER) -> int:
    """Moves the pictures of earlier versions, which lay in a cache folder, with all that belongs to them.

    Returns how many files came. What is here already is not replaced, and what cannot be moved stays where it is.
    """
    count = 0
    for place, _, names in os.walk(former, topdown=False):
        target = folder / Path(place).relative_to(former)
        for name in names:
            with passing_over(source := Path(place, name)):
                if not os.path.lexists(target / name):
                    target.mkdir(parents=True, exist_ok=True)
                    _move(source, target / name)
                    count += 1
        with passing_over(place):
            if not os.listdir(place):
                os.rmdir(place)
    return count


def _move(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except OSError:  # on another disk
        if source.is_symlink() or not source.is_file():
            raise
        with open(source, "rb") as old, writing(target, changed=source.stat().st_mtime_ns) as new:
            shutil.copyfileobj(old, new)
        source.unlink()


def uploads(settings: Settings) -> Path:
    """Where uploads go: into the cache, or where nothing can be written there, into a folder of this start.

    Gradio makes a folder inside it when it starts, and does not start without.
    """
    own = settings.cache / "uploads"
    for place in (own, None, "/dev/shm"):
        with suppress(OSError, UserError):
            folder = own if place == own else Path(tempfile.mkdtemp(prefix="second-round-", dir=place))
            check_writable(folder)
            (folder / "vibe_edit_history").mkdir(exist_ok=True)
            return folder
    sys.exit("Second Round cannot start. Nothing can be written, not even into a folder for temporary files.")


def settle(settings: Settings) -> Settings:
    """The settings as the page uses them. Where strangers come, the data folder becomes the working folder.

    Every path is told from there then, so that no address of a file shows the folders of this machine.
    """
    if settings.data == DEFAULT_DATA and (count := bring_home(settings.data / "pictures")):
        print(f"Second Round: {count} files of earlier versions moved from {_FORMER} to {settings.data / 'pictures'}.")
    if settings.hosting:
        with passing_over(settings.data):
            settings.data.mkdir(parents=True, exist_ok=True)
            os.chdir(settings.data)
            if os.environ.get("GRADIO_TEMP_DIR") == str(settings.cache / "uploads"):
                os.environ["GRADIO_TEMP_DIR"] = str(Path("cache", "uploads"))
            settings = replace(settings, data=Path())
    return settings
