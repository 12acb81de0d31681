"""The shelf as HTML: all pictures newest first, each to be picked, starred or selected."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipeline_utils.card import Card
from pipeline_utils.thumbs import Thumbs
from pipeline_utils.trash import KEEP_HOURS
from pipeline_utils.view import url
from pipeline_utils.view_tree import flagged, label, words
from pipeline_utils.visit import shorten

PAGE = 60  # pictures shown at first, and more with each "Show more"

NOTHING = """
<div class="nothing"><p>No pictures yet.</p>
<p class="quiet">Every picture you make is kept here.</p></div>
"""

_BAR = """
<div class="selected-bar" hidden role="group" aria-label="Selected pictures">
<b class="count"></b>
<button type="button" class="pack">Download zip</button>
<button type="button" class="remove">Delete</button>
<button type="button" class="clear">Clear</button>
</div>
"""


def shelf(
    found: Sequence[Card], total: int, thumbs: Thumbs, starred: set[str], pick: str | None, limit: int, said: str = ""
) -> str:
    """The newest `limit` of the pictures found. total: of all on the shelf. said: HTML, what just happened."""
    if not total:
        return f"{said}{NOTHING}"
    count = f"{total:,} pictures" if total != 1 else "1 picture"
    if len(found) != total:
        count = f"{len(found):,} of {count}"
    tiles = "".join(_tile(card, thumbs, card.id in starred, card.id == pick) for card in found[:limit])
    more = '<p><button type="button" class="more">Show more</button></p>' if len(found) > limit else ""
    nothing = "" if found else '<div class="nothing"><p>No picture matches.</p></div>'
    return f'{said}<p class="quiet" role="status">{count}</p>{nothing}<ul class="shelf-grid">{tiles}</ul>{more}{_BAR}'


def note(text: str) -> str:
    """What just happened, or what is wrong, in one line."""
    return f'<p class="shelf-note" role="status">{escape(text)}</p>'


def deleted(count: int) -> str:
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    return (
        f'<p class="shelf-note" role="status">{pictures} deleted, and kept for {KEEP_HOURS} hours. '
        '<button type="button" class="undo">Undo</button></p>'
    )


def _tile(card: Card, thumbs: Thumbs, starred: bool, picked: bool) -> str:
    mark = ' aria-current="true"' if picked else ""
    alt = words(card)
    small = ("" if label(card) == card.noise else f" · {escape(label(card))}") + flagged(card)
    return (
        f'<li data-id="{card.id}"><button type="button" class="open" title="{alt}"{mark}>'
        f'<img src="{url(thumbs.of(card))}" alt="{alt}" loading="lazy" decoding="async" width="{card.width}" '
        f'height="{card.height}"></button>'
        f'<label class="check"><input type="checkbox" aria-label="Select {alt}"></label>'
        f'<button type="button" class="star" aria-pressed="{str(starred).lower()}" aria-label="Star {alt}">'
        f'<i aria-hidden="true"></i></button>'
        f"<p><b>{escape(card.noise)}{small}</b> {escape(shorten(card.prompt, 60))}</p></li>"
    )
