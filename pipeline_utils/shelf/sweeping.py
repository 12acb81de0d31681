"""What goes by its age: files for one download, uploads, what was deleted, and pictures where a setting says so."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline_utils.files import delete_aged, delete_old
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.owners import Shelves
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.shelf.trash import Trash

_KEEP = 3600  # seconds; uploads and files for one download
_log = logging.getLogger(__name__)
_told: set[tuple[str, str]] = set()


def start(settings: Settings, shelves: Shelves) -> None:
    """Sweeps again and again, aside."""

    def run() -> None:
        while True:
            sweep(settings, shelves)
            time.sleep(min(600, max(1, settings.keep_hours * 900 or 600)))

    threading.Thread(target=run, name="sweep", daemon=True).start()


def sweep(settings: Settings, shelves: Shelves) -> None:
    """Once over everything. Whatever is wrong with one folder is logged once, and the others have their turn."""
    for name in ("uploads", "downloads"):
        with _going_on(settings.cache / name):
            delete_aged(settings.cache / name, _KEEP)
    with _going_on(shelves.root.folder):
        for folder in shelves.folders():
            with _going_on(folder):
                Trash(Shelf(folder, make=False)).purge()
                if settings.keep_hours:
                    sweep_pictures(folder, settings.keep_hours * 3600)


def sweep_pictures(folder: Path, seconds: float) -> None:
    """Deletes pictures of a shelf that are older, and what belongs to them: stars, thumbnails, what was deleted."""
    for path in Shelf(folder, make=False):
        delete_old(path, seconds)
    for kind in (".stars", ".thumbs", ".trash"):
        delete_aged(folder / kind, seconds)


@contextmanager
def _going_on(place: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if (seen := (str(place), repr(error))) not in _told and len(_told) < 10_000:
            _told.add(seen)
            _log.warning("Not swept: %s: %s", place, error)
