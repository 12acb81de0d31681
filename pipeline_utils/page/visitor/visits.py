"""Whose visit an event of the page belongs to, and the rounds that are put back on the page from the shelf.

The page says whose it is with each event (visitor.js), so that it may outlive the server. gr.BrowserState would not
do: its first value is one for all browsers, so an answer of the server would have to draw the token, and the events
that a page sends as it opens would go without.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress

import gradio as gr

from pipeline_utils.errors import InputError, PictureError, UserError
from pipeline_utils.page.visitor.visit import MAX_ROUNDS, RoundShown, Tile, Visit, compared, usual
from pipeline_utils.picture.picture import check_id
from pipeline_utils.recipe.rounds import Place, Round
from pipeline_utils.shelf.owners import Album
from pipeline_utils.shelf.shelf import read_kept
from pipeline_utils.shelf.tree import Branch
from pipeline_utils.studio import Studio

_KEPT = 1_000  # visits in memory; one that was dropped is made again when its page is used
_WAY = 4  # rounds shown again after a reload: the newest and those that led to it


class Visits:
    """Thread-safe. A visit is known by its page's session and its browser's token together."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Visit] = OrderedDict()

    def of(self, here: object, session: str) -> Visit:
        """The visit of the page that sends `here` with an event: its token and what it shows.

        A visit that is not known, of a page that was opened before a restart, is put together from the pictures on
        its shelf. Raises UserError on a shared host without a token.
        """
        sent = here if isinstance(here, dict) else {}
        owner = self._studio.shelves.owner(sent.get("token"))
        self._studio.stops.know(session, owner)
        key = (session, owner)
        found = self._known.get(key) or self._resumed(sent, owner)
        with self._lock:
            visit = self._known.setdefault(key, found)  # another event of the page may have been quicker
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return visit

    def _resumed(self, sent: dict, owner: str) -> Visit:
        """What an open page shows: a picture of each round, one of the round that is shown, and the pick.

        The browser may say anything; it finds pictures of this visitor alone, and what is not found is left out.
        """
        model, rounds, shown = sent.get("model"), sent.get("rounds"), sent.get("shown")
        # Whether this start has that model is told when it is used; another is not put in its place.
        visit = Visit(model if isinstance(model, str) else self._studio.models.default, owner)
        if isinstance(rounds, list) and rounds:
            album = visit.album(self._studio.shelves)
            for each in [*rounds[:MAX_ROUNDS], shown]:
                with suppress(UserError):
                    show(visit, album, each)
            with suppress(UserError):
                choose(visit, album, sent.get("pick"))
                show(visit, album, shown)
        return visit


def sent(event: gr.EventData, key: str) -> object:
    """What the browser sent under `key`, which may be anything. Raises InputError where there is nothing."""
    if isinstance(event._data, dict) and key in event._data:
        return event._data[key]
    raise InputError(key, "", "the page sends it when a picture is clicked")


def choose(visit: Visit, album: Album, picture_id: object) -> None:
    """Makes a picture of the visitor's shelf the pick, and shows its round. Raises InputError, PictureError."""
    card = album.card(picture_id)
    show(visit, album, card.id)
    visit.choose(None, card.file)


def show(visit: Visit, album: Album, picture_id: object) -> None:
    """Shows the round of a picture; for "" the one that is running. Raises InputError, PictureError."""
    if picture_id != "":
        check_id("picture", picture_id)
    for each in reversed(visit.rounds):
        if picture_id in each.ids() or (picture_id == "" and each.running):
            visit.shown = each
            return
    card = album.card(picture_id)
    found = _round(album, album.tree().of[card.id])
    if card.id not in found.ids():
        raise PictureError(f"The file {card.file} was changed after it was made, so it is not used.")
    visit.add(found)


def restore(visit: Visit, album: Album) -> None:
    """Shows the newest round of the shelf and those that led to it, as it was before a reload.

    What it came from is the pick. Nothing happens where there is nothing, or where it cannot be read.
    """
    newest = next(iter(album.newest_first()), None)
    if newest is None or visit.rounds:
        return
    tree = album.tree()
    for branch in tree.way_to(tree.of[newest.id])[-_WAY:]:
        with suppress(UserError):
            found = _round(album, branch)
            if branch.parent and visit.shown and branch.parent.id in visit.shown.ids():
                visit.choose(None, branch.parent.file)
            visit.add(found)


def _round(album: Album, branch: Branch) -> RoundShown:
    """A round with all that was found out about it when it was made. Raises PictureError."""
    places, tiles, controls, sources, beside = [], {}, {}, {}, {}
    for card in branch.sources:
        with suppress(UserError):
            sources[card.id] = read_kept(album.shelf.folder / card.file, card.id)
            others = album.tree().of[card.id].cards
            beside[card.id] = usual(sources[card.id], ((album.shelf.folder / each.file, each.id) for each in others))
    for card in branch.cards:
        file = album.shelf.folder / card.file
        try:
            picture = read_kept(file, card.id)
        except UserError:  # deleted, damaged or edited meanwhile
            continue
        at, parent = len(places), sources.get(card.parent)
        places.append(Place(picture.recipe, card.suffix, card.control, card.parent))
        tiles[at] = Tile.of(picture, file, parent, beside.get(card.parent))
        if card.control and parent:
            controls[at] = compared(parent, picture)
    if not tiles:
        raise PictureError("This round can no longer be read from the shelf.")
    return RoundShown(Round(branch.number, tuple(places)), tiles, False, controls)
