"""What is known of every picture of a shelf without opening it again: the index behind the shelf and the tree.

It is built by reading the text ahead of the pixels of each file once, and lives in memory alone: the files
are the record.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline_utils.errors import PictureError
from pipeline_utils.picture import Head, read_head
from pipeline_utils.recipe import canonical_json
from pipeline_utils.shelf import Shelf

MAX_CARDS = 50_000  # of one shelf, about 40 MB; older pictures are on the shelf, but not in lists
_SETTLED = 2 * 10**9  # ns; a folder that changed no later may have changed again within its clock's tick


@dataclass(frozen=True, slots=True)
class Card:
    """One picture in few bytes. changed: ns. series: pictures with one series differ in their seeds alone."""

    id: str
    file: str  # name
    changed: int
    model: str
    prompt: str
    seed: int
    width: int
    height: int
    round: int
    parent: str | None
    suffix: str | None
    control: bool
    series: str

    @classmethod
    def of(cls, head: Head, file: str, changed: int) -> Card:
        recipe, lineage = head.recipe, head.lineage
        rest = recipe.to_dict()
        del rest["seed"]
        series = hashlib.sha256(canonical_json(rest).encode()).hexdigest()[:16]
        return cls(
            head.id,
            file,
            changed,
            sys.intern(recipe.model),
            sys.intern(recipe.prompt),
            recipe.seed,
            recipe.width,
            recipe.height,
            lineage.round,
            sys.intern(lineage.parent) if lineage.parent else None,
            sys.intern(lineage.suffix) if lineage.suffix else None,
            lineage.control,
            sys.intern(series),
        )


class Cards:
    """The cards of one shelf. Thread-safe; every answer is up to date with the folder."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, Card | None]] = {}  # by file name; None for a file that is refused
        self._list: list[Card] = []
        self._listed: int | None = None  # the folder's own time of change when it was listed

    def __len__(self) -> int:
        return len(self._known)

    def newest_first(self) -> list[Card]:
        """All pictures. A list is never changed: where the folder changed, the answer is another one."""
        with self._lock:
            try:
                stamp = self.shelf.folder.stat().st_mtime_ns
            except FileNotFoundError:
                stamp = None
            if stamp is None or stamp != self._listed:
                self._refresh()
                self._listed = stamp if stamp is not None and time.time_ns() - stamp > _SETTLED else None
            return self._list

    def _refresh(self) -> None:
        listing = self.shelf.listing()
        if len(listing) > MAX_CARDS:
            newest = sorted(listing.items(), key=lambda item: item[1][1], reverse=True)
            listing = dict(newest[:MAX_CARDS])
        known = {}
        for name, (picture_id, changed) in listing.items():
            entry = self._known.get(name)
            if entry is None or entry[0] != changed:
                entry = (changed, _card(self.shelf.folder / name, picture_id, changed))
            known[name] = entry
        if known != self._known:
            self._known = known
            cards = [card for _, card in known.values() if card is not None]
            self._list = sorted(cards, key=lambda card: (card.changed, card.file), reverse=True)


def _card(path: Path, picture_id: str, changed: int) -> Card | None:
    try:
        head = read_head(path)
    except PictureError:  # damaged, or not ours
        return None
    return Card.of(head, path.name, changed) if head.id == picture_id else None
