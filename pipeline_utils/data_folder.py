"""Where the files of this start lie: what earlier versions kept elsewhere, and how addresses begin."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline_utils.errors import UserError
from pipeline_utils.files import check_writable, passing_over, writing
from pipeline_utils.settings import DEFAULT_DATA, Settings

_FORMER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "second-round" / "pictures"


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
