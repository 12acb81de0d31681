"""Where the files of this start lie: what earlier versions kept elsewhere, and how addresses begin."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from pipeline_utils.files import passing_over, writing
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
            settings = replace(settings, data=Path())
    os.environ["GRADIO_TEMP_DIR"] = str(settings.cache / "uploads")
    return settings
