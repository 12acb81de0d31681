"""One shelf as the page looks at it: its pictures newest first, the tree they make, and each by its id."""

from __future__ import annotations

import threading

from pipeline_utils.errors import InputError
from pipeline_utils.picture.picture import check_id
from pipeline_utils.shelf.card import Card
from pipeline_utils.shelf.cards import Cards
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.shelf.stars import Stars
from pipeline_utils.shelf.tree import Tree, grow


class Album:
    """Thread-safe. Nothing is read before it is asked for, and only what changed is read again."""

    def __init__(self, shelf: Shelf, keep: bool = False) -> None:
        """keep: as for Cards."""
        self.shelf = shelf
        self.stars = Stars(shelf)
        self._cards = Cards(shelf, keep)
        self._lock = threading.Lock()
        self._seen: list[Card] | None = None  # what the next two were made from
        self._tree = Tree()
        self._by_id: dict[str, Card] = {}

    def __len__(self) -> int:
        """Pictures known so far, without looking at the disk."""
        return len(self._cards)

    def newest_first(self) -> list[Card]:
        """As Cards.newest_first."""
        return self._cards.newest_first()

    def tree(self) -> Tree:
        """The tree of all pictures. It is shared: change nothing in it."""
        return self._known()[0]

    def card(self, picture_id: object) -> Card:
        """The card of a picture. Raises InputError for what is no id, or of no picture here."""
        found = self._known()[1].get(check_id("picture", picture_id))
        if found is None:
            raise InputError("picture", picture_id, "no picture here has this id")
        return found

    def _known(self) -> tuple[Tree, dict[str, Card]]:
        cards = self._cards.newest_first()
        with self._lock:
            if cards is not self._seen:
                self._tree, self._by_id, self._seen = grow(cards), {card.id: card for card in cards}, cards
            return self._tree, self._by_id
