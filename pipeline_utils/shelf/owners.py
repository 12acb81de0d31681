"""The shelves as they are looked at, and whose each is: everybody's at this machine, or a visitor's on a shared host.

A visitor is known by a token that their browser drew and keeps. The folder is named by a hash of it, so
that neither a picture's address nor a look at the disk tells the token.
"""

from __future__ import annotations

import hashlib
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.files import passing_over
from pipeline_utils.picture.picture import check_id
from pipeline_utils.shelf.index import Card, Cards
from pipeline_utils.shelf.shelf import NOT_HERE, Shelf, Stars
from pipeline_utils.shelf.tree import Tree, grow

_TOKEN = re.compile(r"[0-9a-f]{32}")  # 128 bits
_OWNER = re.compile(r"v-[0-9a-f]{32}")  # the name of a visitor's folder
_OPEN = 256  # shelves of visitors kept open; the others are opened again
_CARDS = 200_000  # pictures that the indexes of all open shelves may hold, about 160 MB


class Album(Cards):
    """One shelf as the page looks at it: its pictures, the tree they make, its stars, and each picture by its id.

    Thread-safe. Nothing is read before it is asked for, and only what changed is read again.
    """

    def __init__(self, shelf: Shelf, keep: bool = False) -> None:
        """keep: as for Cards."""
        super().__init__(shelf, keep)
        self.stars = Stars(shelf)
        self._seen: list[Card] | None = None  # what the tree was made from
        self._tree = Tree()

    def tree(self) -> Tree:
        """The tree of all pictures. It is shared: change nothing in it."""
        cards = self.newest_first()
        with self._lock:
            if cards is not self._seen:
                self._tree, self._seen = grow(cards), cards
            return self._tree

    def card(self, picture_id: object) -> Card:
        """The card of a picture. Raises InputError for what is no id, or of no picture here."""
        found = self.tree().cards.get(check_id("picture", picture_id))
        if found is None:
            raise InputError("picture", picture_id, NOT_HERE)
        return found


class Shelves:
    """The shelf of everybody, `root`, and on a shared host those of the visitors, folders inside it.

    Programs, which have no browser, use the root on either. Thread-safe.
    """

    def __init__(self, root: Shelf, shared: bool) -> None:
        self.root, self.shared = root, shared
        self._lock = threading.Lock()
        self._album = Album(root, keep=not shared)  # on a shared host folders hold no list of what is in them
        self._open: OrderedDict[str, Album] = OrderedDict()

    def owner(self, token: object) -> str:
        """Whose shelf a browser's token opens, as `album` takes it.

        Raises UserError for what is no token on a shared host: nobody could find again what came to that shelf.
        """
        if not self.shared:
            return ""
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise UserError("The app was restarted: reload the page.")
        return "v-" + hashlib.sha256(b"second-round visitor " + token.encode()).hexdigest()[:32]

    def album(self, owner: str) -> Album:
        """The shelf of an owner that `owner` named. Nothing is made on the disk before its first picture."""
        if not self.shared:
            return self._album
        if not _OWNER.fullmatch(owner):
            raise ValueError("on a shared host every visitor has an owner's name")
        with self._lock:
            album = self._open.pop(owner, None)
            if album is None:
                album = Album(Shelf(self.root.folder / owner, make=False))
            while len(self._open) >= _OPEN or (self._open and sum(map(len, self._open.values())) > _CARDS):
                self._open.popitem(last=False)  # the one not looked at for longest; it can be opened again
            self._open[owner] = album
            return album

    def warm(self) -> None:
        """Reads the one shelf of this machine ahead of its first visitor, aside."""

        def read() -> None:
            with suppress(UserError):  # the visitor is told, when there is one
                self._album.tree()

        if not self.shared:
            threading.Thread(target=read, name="index", daemon=True).start()

    def folders(self) -> Iterator[Path]:
        """The folders of all shelves on the disk, the root first."""
        yield self.root.folder
        for path in sorted(self.root.folder.glob("v-*")):
            with passing_over(path):
                if _OWNER.fullmatch(path.name) and stat.S_ISDIR(path.stat().st_mode):
                    yield path
