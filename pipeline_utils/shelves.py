"""Whose shelf: one for everybody at this machine, or one for each visitor of a shared host.

A visitor is known by a token that their browser drew and keeps. The folder is named by a hash of it, so
that neither a picture's address nor a look at the disk tells the token.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from pipeline_utils.shelf import Shelf

_TOKEN = re.compile(r"[0-9a-f]{32}")  # 128 bits
_OWNER = re.compile(r"v-[0-9a-f]{32}")  # the name of a visitor's folder
_OPEN = 256  # shelves of visitors kept open; the others are opened again


class Shelves:
    """The shelf of everybody, `root`, and on a shared host those of the visitors, folders inside it.

    Programs, which have no browser, use the root on either. Thread-safe.
    """

    def __init__(self, root: Shelf, shared: bool) -> None:
        self.root, self.shared = root, shared
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Shelf] = OrderedDict()

    def owner(self, token: object) -> str:
        """Whose shelf a browser's token opens, as `of` takes it; a shelf nobody had before for what is no token."""
        if not self.shared:
            return ""
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            token = secrets.token_hex(16)
        return "v-" + hashlib.sha256(b"second-round visitor " + token.encode()).hexdigest()[:32]

    def of(self, owner: str) -> Shelf:
        """The shelf of an owner that `owner` named. Nothing is made on the disk before its first picture."""
        if not self.shared:
            return self.root
        if not _OWNER.fullmatch(owner):
            raise ValueError("on a shared host every visitor has an owner's name")
        with self._lock:
            shelf = self._open.pop(owner, None) or Shelf(self.root.folder / owner, make=False)
            self._open[owner] = shelf
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            return shelf

    def folders(self) -> Iterator[Path]:
        """The folders of all shelves on the disk, the root first."""
        yield self.root.folder
        for path in sorted(self.root.folder.glob("v-*")):
            if _OWNER.fullmatch(path.name) and path.is_dir():
                yield path
