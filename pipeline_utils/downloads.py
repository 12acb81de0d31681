"""Files made for one download: kept for an hour, below a folder named by what is in them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

from pipeline_utils.files import saving

_KEEP = 3600  # seconds


def place_for(data: Path, ids: Iterable[str], name: str) -> Path:
    """Where a file called `name` goes that holds the pictures with these ids. Older files are deleted."""
    folder = data / "downloads"
    for old in folder.glob("*/*"):
        if time.time() - old.stat().st_mtime > _KEEP:
            old.unlink(missing_ok=True)
    place = folder / hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16]
    with saving(place):
        place.mkdir(parents=True, exist_ok=True)
    return place / name
