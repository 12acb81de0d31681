"""What is known of every picture of a shelf without opening it again: the index behind the shelf and the tree.

It is built by reading the text ahead of the pixels of each file once. The files are the record: what is
kept of the index on disk is only a shortcut for the next start.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from pipeline_utils.errors import PictureError
from pipeline_utils.files import saving
from pipeline_utils.picture.picture import read_head
from pipeline_utils.shelf import card_file
from pipeline_utils.shelf.card import Card
from pipeline_utils.shelf.shelf import Shelf

MAX_CARDS = 50_000  # of one shelf, about 40 MB; older pictures are on the shelf, but not in lists
_WORTH_KEEPING = 500  # files read since the index was written; fewer are read again in no time
_SETTLED = 2 * 10**9  # ns; a folder that changed no later may have changed again within its clock's tick


class Cards:
    """The cards of one shelf. Thread-safe; every answer is up to date with the folder."""

    def __init__(self, shelf: Shelf, keep: bool = False) -> None:
        """keep: also in a file, for the next start. Whoever can fetch files of the folder can read it."""
        self.shelf = shelf
        self._file = shelf.folder / ".index.json" if keep else None
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, Card | None]] = {}  # by file name; None for a file that is refused
        self._list: list[Card] = []
        self._listed: int | None = None  # the folder's own time of change when it was listed

    def __len__(self) -> int:
        return len(self._known)

    def newest_first(self) -> list[Card]:
        """All pictures. A list is never changed: where the folder changed, the answer is another one."""
        with self._lock:
            stamp = None
            with saving(self.shelf.folder), suppress(FileNotFoundError):
                stamp = self.shelf.folder.stat().st_mtime_ns
            if stamp is None or stamp != self._listed:
                self._refresh()
                self._listed = stamp if stamp is not None and time.time_ns() - stamp > _SETTLED else None
            return self._list

    def _refresh(self) -> None:
        listing = self.shelf.listing()
        if len(listing) > MAX_CARDS:
            newest = sorted(listing.items(), key=lambda item: item[1][1], reverse=True)
            listing = dict(newest[:MAX_CARDS])
        kept = card_file.load(self._file) if self._file and not self._known else {}
        known, fresh = {}, 0
        for name, (picture_id, changed) in listing.items():
            entry = self._known.get(name)
            if entry is None or entry[0] != changed:
                card = kept.get(name)
                if card is None or (card.id, card.changed) != (picture_id, changed):
                    card, fresh = _card(self.shelf.folder / name, picture_id, changed), fresh + 1
                entry = (changed, card)
            known[name] = entry
        if known != self._known:
            self._known = known
            cards = [card for _, card in known.values() if card is not None]
            self._list = sorted(cards, key=lambda card: (card.changed, card.file), reverse=True)
        if self._file and fresh >= _WORTH_KEEPING:
            card_file.save(self._file, self._list)


def _card(path: Path, picture_id: str, changed: int) -> Card | None:
    try:
        head = read_head(path)
    except PictureError:  # damaged, or not ours
        return None
    return Card.of(head, path.name, changed) if head.id == picture_id else None
