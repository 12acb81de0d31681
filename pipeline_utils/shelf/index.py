"""What is known of every picture of a shelf without opening it again: the index behind the shelf and the tree.

It is built by reading the text ahead of the pixels of each file once. The files are the record: what is
kept of the index on disk is only a shortcut, so that a large shelf opens at once after a restart. One that is
missing, old or damaged is made anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import get_args, get_type_hints

from pipeline_utils.errors import PictureError, UserError
from pipeline_utils.files import saving, writing
from pipeline_utils.picture.picture import Head, read_head
from pipeline_utils.recipe.recipe import canonical_json
from pipeline_utils.recipe.rounds import towards
from pipeline_utils.shelf.shelf import Shelf

MAX_CARDS = 50_000  # of one shelf, about 40 MB; older pictures are on the shelf, but not in lists
_WORTH_KEEPING = 500  # files read since the index was written; fewer are read again in no time
_SETTLED = 2 * 10**9  # ns; a folder that changed no later may have changed again within its clock's tick


@dataclass(frozen=True, slots=True)
class Card:
    """One picture in few bytes.

    changed: ns. noise: in words, as "seed 2". series: pictures with one series differ in their seeds alone.
    flagged: a safety checker blacked it out. maker: pictures with one maker have one fingerprint.
    """

    id: str
    file: str  # name
    changed: int
    model: str
    prompt: str
    seed: int
    noise: str
    width: int
    height: int
    round: int
    parent: str | None
    suffix: str | None
    control: bool
    series: str
    flagged: bool = False
    round_id: str | None = None
    place: int = 0
    maker: str = ""

    @classmethod
    def of(cls, head: Head, file: str, changed: int) -> Card:
        recipe, lineage = head.recipe, head.lineage
        rest = recipe.to_dict()
        del rest["seed"]
        return cls(
            head.id,
            file,
            changed,
            sys.intern(recipe.model),
            sys.intern(recipe.prompt),
            recipe.seed,
            towards(recipe),
            recipe.width,
            recipe.height,
            lineage.round,
            _shared(lineage.parent),
            _shared(lineage.suffix),
            lineage.control,
            _short(rest),
            head.flagged is True,
            _shared(lineage.round_id),
            lineage.place,
            _short(head.fingerprint) if lineage.round_id else "",
        )


_FORMAT = [1, *(field.name for field in fields(Card))]
_KINDS = [set(get_args(kind)) or {kind} for kind in get_type_hints(Card).values()]  # {str}, {str, NoneType}, ...


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
        """Pictures known so far, without looking at the disk."""
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
        kept = _load(self._file) if self._file and not self._known else {}
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
            content = {"version": _FORMAT, "cards": [astuple(card) for card in self._list]}
            with suppress(UserError), writing(self._file) as file:  # one that cannot be written is done without
                file.write(json.dumps(content, separators=(",", ":")).encode())


def _card(path: Path, picture_id: str, changed: int) -> Card | None:
    try:
        head = read_head(path)
    except PictureError:  # damaged, or not ours
        return None
    return Card.of(head, path.name, changed) if head.id == picture_id else None


def _load(path: Path) -> dict[str, Card]:
    """Cards by file name; none where the file cannot be used as a whole."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        content = json.loads(path.read_bytes())
        if content["version"] == _FORMAT and all(map(_fits, content["cards"])):
            return {card.file: card for card in (Card(*row) for row in content["cards"])}
    return {}


def _fits(row: list) -> bool:
    return len(row) == len(_KINDS) and all(type(value) in kinds for value, kinds in zip(row, _KINDS, strict=True))


def _shared(text: str | None) -> str | None:
    return sys.intern(text) if text else None


def _short(values: dict) -> str:
    return sys.intern(hashlib.sha256(canonical_json(values).encode()).hexdigest()[:16])
