"""The rounds of a visit as rows of pictures, each row a list of pieces of HTML, so that only what changed travels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from pipeline_utils.page.rounds.html import caption, url
from pipeline_utils.page.visitor.visit import RoundShown, Visit

Rows = list[list[str]]

MEANING = "Whether the pick's outline and placement were kept. Another picture: no more alike than another seed is."
_BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # one clear pixel
_WIDE = 6  # pictures in a row that are still large

_templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
_templates.globals["blank"] = _BLANK
_HTML: Any = _templates.get_template("rows.html").module


def rows(visit: Visit, live: bool = True) -> Rows:
    """Every round of the visit. Large are the one that is shown and the one that it came from.

    live: the pictures can be picked.
    """
    shown = visit.shown
    above = visit.home(shown.round.places[0].parent) if shown else None
    large = [each is shown or each is above for each in visit.rounds]
    before = [None, *visit.rounds]
    return [
        _row(visit, each, before[at], small=not large[at], low=at > 0 and not large[at - 1], live=live)
        for at, each in enumerate(visit.rounds)
    ]


def _row(visit: Visit, each: RoundShown, before: RoundShown | None, small: bool, low: bool, live: bool) -> list[str]:
    places, columns = each.round.places, each.round.columns
    wide = columns or _columns(len(places))
    head = {
        "shown": each is visit.shown,
        "small": small,
        "low": low,  # what stands above it is small
        "live": live,
        "running": each.running,
        "key": each.key,
        "title": each.title,
        "number": each.round.number,
        "name": each.name,
        "prompt": each.prompt,
        "columns": wide,
        "verdict": _verdict(each),
    } | _hung(each, before)
    return [
        _HTML.head(head),
        *(_tile(visit, each, at, bool(columns) and at % columns == 0, live) for at in range(len(places))),
        "</ul></section>",
    ]


def _columns(count: int) -> int:
    """Pictures side by side: all of a small round; of another as many as fill the last line well."""
    return max(4, count) if count <= _WIDE else min(8, -(-count // -(-count // 8)))


def _hung(each: RoundShown, before: RoundShown | None) -> dict[str, int]:
    """From which column of the row right above it this row hangs."""
    parent = each.round.parent
    for at, tile in before.tiles.items() if before and parent else ():
        if tile.id == parent:
            wide = before.round.columns or _columns(len(before.round.places))
            return {"at": at % wide, "of": wide}
    return {"at": 0, "of": 0}


def _verdict(each: RoundShown) -> dict[str, str] | None:
    """What the control says, in a sentence that joins it to the pick."""
    if not each.control:
        return None
    if each.control != "equal":
        return {"kind": "differs", "text": f"Control and pick differ: {each.control}"}
    recipe, controls = each.round.places[0].recipe, len(each.controls)
    words = "The pick again" if each.round.rows == 1 else f"{controls} controls and their pictures"
    pixels = f"0 of {controls * recipe.width * recipe.height:,} pixels differ"
    return {"kind": "equal", "text": f"{words}: equal, bit for bit · {pixels}"}


def _tile(visit: Visit, each: RoundShown, at: int, first: bool, live: bool) -> str:
    recipe, tile = each.round.places[at].recipe, each.tiles.get(at)
    there = tile is not None and tile.file.is_file()  # not deleted meanwhile
    return _HTML.tile(
        {
            "at": at,
            "file": tile.file.name if there else "",
            "url": url(tile.file) if there else "",
            "picked": bool(tile and visit.pick and tile.id == visit.pick.id),
            "first": first,
            "live": live,
            "caption": caption(each, at),
            "meaning": MEANING if tile and tile.alike is not None and not tile.control else "",
            "width": recipe.width,
            "height": recipe.height,
        }
    )
