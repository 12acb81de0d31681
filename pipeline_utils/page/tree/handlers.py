"""What the events of the Tree tab do, and the arrival of a visitor, whose tree is there again."""

from __future__ import annotations

import gradio as gr

from pipeline_utils.errors import InputError
from pipeline_utils.page import reopen
from pipeline_utils.page.rounds import panels
from pipeline_utils.page.rounds.panels import Parts
from pipeline_utils.page.running import Player
from pipeline_utils.page.share.link import is_link
from pipeline_utils.page.toasts import shown_as_toast
from pipeline_utils.page.tree import html as view_tree
from pipeline_utils.page.visit import Visit
from pipeline_utils.shelf.thumbnails import Thumbs

_MOST = 100_000  # pictures that a page is asked to show


class TreeHandlers:
    """Thread-safe: all state is in the visit, and in how many pictures its page shows."""

    def __init__(self, player: Player) -> None:
        self.player, self.studio = player, player.studio

    def arrive(self, visit: Visit, returning: object, request: gr.Request) -> Parts:
        """A page was opened. returning: the browser kept its token already.

        A returning visitor finds the newest round, unless a link brought them, whose picture is to be made.
        """
        if returning is not True or visit.sheets or is_link(request.query_params or ()):
            return {}
        with shown_as_toast():
            reopen.restore(visit, visit.album(self.studio.shelves))
        return self._looked(visit, request) if visit.sheets else {}

    def show_tree(self, visit: Visit, limit: int) -> Parts:
        """The tree as it is now. limit: pictures."""
        with shown_as_toast():
            album = visit.album(self.studio.shelves)
            pick = visit.pick.id if visit.pick else None
            return {"tree": view_tree.tree(album.tree(), Thumbs(album.shelf), pick, limit)}

    def older(self, visit: Visit, limit: int) -> Parts:
        limit = min(limit + 2 * view_tree.PAGE, _MOST)
        return self.show_tree(visit, limit) | {"tree_limit": limit}

    def choose(self, visit: Visit, event: gr.EventData, request: gr.Request) -> Parts:
        """Makes the picture that was clicked the pick, and goes to its round."""
        with shown_as_toast():
            reopen.choose(visit, visit.album(self.studio.shelves), said(event, "id"))
        return self._looked(visit, request) | {"tabs": gr.Tabs(selected="rounds")}

    def _looked(self, visit: Visit, request: gr.Request) -> Parts:
        busy = self.player.is_busy(request)
        return panels.looked(visit, self.studio, self.player.waiting) | panels.picked(visit, self.studio, busy)


def said(event: gr.EventData, key: str) -> object:
    """What the browser sent under `key`, which may be anything. Raises InputError where there is nothing."""
    if isinstance(event._data, dict) and key in event._data:
        return event._data[key]
    raise InputError(key, "", "the page sends it when a picture is clicked")
