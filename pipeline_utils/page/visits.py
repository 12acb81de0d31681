"""Whose visit an event of the page belongs to. The page says it each time, so that it may outlive the server."""

from __future__ import annotations

import threading
from collections import OrderedDict

from pipeline_utils.page import reopen
from pipeline_utils.page.visit import Visit
from pipeline_utils.studio import Studio

_KEPT = 1_000  # visits in memory; one that was dropped is made again when its page is used


class Visits:
    """Thread-safe. A visit is known by its page's session and its browser's token together."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Visit] = OrderedDict()

    def of(self, here: object, session: str) -> Visit:
        """The visit of the page that sends `here` (page_tree.js) with an event: its token and what it shows.

        A visit that is not known, of a page that was opened before a restart, is put together from the pictures on
        its shelf. Raises UserError on a shared host without a token.
        """
        said = here if isinstance(here, dict) else {}
        owner = self._studio.shelves.owner(said.get("token"))
        key = (session, owner)
        found = self._known.get(key) or self._resumed(said, owner)
        with self._lock:
            visit = self._known.setdefault(key, found)  # another event of the page may have been quicker
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return visit

    def _resumed(self, said: dict, owner: str) -> Visit:
        models, model = self._studio.models, said.get("model")
        # Whether this start has that model is told when it is used; another is not put in its place.
        visit = Visit(model if isinstance(model, str) else models.default, owner)
        rounds = said.get("rounds")
        if isinstance(rounds, list) and rounds:
            reopen.resume(visit, visit.album(self._studio.shelves), rounds, said.get("shown"), said.get("pick"))
        return visit
