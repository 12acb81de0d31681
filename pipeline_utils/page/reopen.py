"""Rounds that were made before, put back on the page: from the records of the shelf, not from memory."""

from __future__ import annotations

from contextlib import suppress

from pipeline_utils.errors import PictureError, UserError
from pipeline_utils.page.visit import SHEETS, Sheet, Tile, Visit, compared
from pipeline_utils.picture.picture import check_id
from pipeline_utils.recipe.rounds import Place, Round
from pipeline_utils.shelf.album import Album
from pipeline_utils.shelf.tree import Branch

_WAY = 4  # rounds shown again after a reload: the newest and those that led to it


def choose(visit: Visit, album: Album, picture_id: object) -> None:
    """Makes a picture of the visitor's shelf the pick, and shows its round. Raises InputError, PictureError."""
    card = album.card(picture_id)
    show(visit, album, card.id)
    visit.choose(None, card.file)


def show(visit: Visit, album: Album, picture_id: object) -> None:
    """Shows the round of a picture; for "" the one that is running. Raises InputError, PictureError."""
    if picture_id != "":
        check_id("picture", picture_id)
    for sheet in reversed(visit.sheets):
        if picture_id in sheet.ids() or (picture_id == "" and sheet.running):
            visit.shown = sheet
            return
    card = album.card(picture_id)
    sheet = _sheet(album, album.tree().of[card.id])
    if card.id not in sheet.ids():
        raise PictureError(f"The file {card.file} was changed after it was made, so it is not used.")
    visit.add(sheet)


def resume(visit: Visit, album: Album, rounds: list[object], shown: object, pick: object) -> None:
    """Puts back what an open page shows: a picture of each round, one of the round that is shown, and the pick.

    The browser says it, which may say anything; it finds pictures of this visitor alone, and what is not found is
    left out.
    """
    for each in [*rounds[:SHEETS], shown]:
        with suppress(UserError):
            show(visit, album, each)
    with suppress(UserError):
        choose(visit, album, pick)
        show(visit, album, shown)


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
            sheet = _sheet(album, branch)
            if branch.parent and visit.shown and branch.parent.id in visit.shown.ids():
                visit.choose(None, branch.parent.file)
            visit.add(sheet)


def _sheet(album: Album, branch: Branch) -> Sheet:
    """A round with all that was found out about it when it was made. Raises PictureError."""
    places, tiles, controls, sources = [], {}, {}, {}
    for card in branch.sources:
        with suppress(UserError):
            sources[card.id] = album.shelf.read_file(card.file, card.id)
    for card in branch.cards:
        try:
            picture = album.shelf.read_file(card.file, card.id)
        except UserError:  # deleted, damaged or edited meanwhile
            continue
        at = len(places)
        parent = sources.get(card.parent)
        places.append(Place(picture.recipe, card.suffix, card.control, card.parent))
        tiles[at] = Tile.of(picture, album.shelf.folder / card.file, parent)
        if card.control and parent:
            controls[at] = compared(parent, picture)
    if not tiles:
        raise PictureError("This round can no longer be read from the shelf.")
    return Sheet(Round(branch.number, tuple(places)), tiles, False, controls)
