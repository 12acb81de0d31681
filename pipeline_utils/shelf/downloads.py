"""Files made for one download, below a folder named by what is in them. The sweep deletes them after an hour."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from pipeline_utils.errors import CapacityError
from pipeline_utils.files import age, passing_over, saving

_KEPT = 2**32  # bytes of all such files; one has at most half of that
_BUSY = 60  # seconds; what is younger may be on its way


def place_for(cache: Path, ids: Iterable[str], name: str) -> Path:
    """Where a file called `name` goes that holds the pictures with these ids. The oldest of others make room."""
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
