"""Rounds that were made before, put back on the page: from the records of the shelf, not from memory."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from pipeline_utils.album import Album
from pipeline_utils.cards import Card
from pipeline_utils.errors import PictureError, UserError
from pipeline_utils.lineage import Branch
from pipeline_utils.picture import read, read_head
from pipeline_utils.resemblance import resemblance
from pipeline_utils.rounds import Place, Round
from pipeline_utils.visit import Pick, Sheet, Tile, Visit, compared

_WAY = 6  # rounds shown again after a reload: the newest and those that led to it


def choose(visit: Visit, album: Album, picture_id: object) -> None:
    """Makes a picture of the visitor's shelf the pick, and shows its round. Raises InputError, PictureError."""
    card = album.card(picture_id)
    sheet = next((s for s in reversed(visit.sheets) if any(t.id == card.id for t in s.tiles.values())), None)
    if sheet is None:
        visit.add(_sheet(album, album.tree().of[card.id]))
    else:
        visit.shown = sheet
    visit.pick = _pick(album, card)


def restore(visit: Visit, album: Album) -> None:
    """Shows the newest round of the shelf and those that led to it, as it was before a reload.

    What it came from is the pick. Nothing happens where there is nothing, or where it cannot be read.
    """
    newest = next(iter(album.newest_first()), None)
    if newest is None or visit.sheets:
        return
    tree = album.tree()
    for branch in tree.way_to(tree.of[newest.id])[-_WAY:]:
        with suppress(UserError):
            visit.add(_sheet(album, branch))
            if branch.parent:
                visit.pick = _pick(album, branch.parent)


def _sheet(album: Album, branch: Branch) -> Sheet:
    places, tiles, controls = [], {}, {}
    for card in branch.cards:
        path = album.shelf.folder / card.file
        try:
            head = read_head(path)
        except PictureError:  # deleted or damaged meanwhile
            continue
        at = len(places)
        places.append(Place(head.recipe, card.suffix, card.control, card.parent))
        alike = _alike(path, album.shelf.folder / branch.parent.file) if branch.parent else None
        tiles[at] = Tile(card.id, path, head.pixel_sha256, False, alike)
        if card.control and branch.parent:
            with suppress(UserError):  # whose pixels cannot be compared gets no verdict
                controls[at] = compared(album.shelf.read(branch.parent.id), album.shelf.read(card.id))
    if not tiles:
        raise PictureError("This round can no longer be read from the shelf.")
    return Sheet(Round(branch.number, tuple(places)), tiles, False, controls)


def _pick(album: Album, card: Card) -> Pick:
    path = album.shelf.folder / card.file
    parent = album.tree().of[card.id].parent
    alike = _alike(path, album.shelf.folder / parent.file) if parent else None
    return Pick(card.id, path, read_head(path).recipe, card.round, card.parent, alike, card.suffix, card.control)


@lru_cache(maxsize=4096)
def _alike(path: Path, origin: Path) -> float | None:
    """Resemblance of two files, which never change under their names; None where one cannot be read."""
    try:
        return resemblance(read(path).image, read(origin).image)
    except UserError:
        return None
