"""The shelf as HTML: all pictures newest first, each to be picked, starred or selected."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from pipeline_utils.page.rounds.html import url
from pipeline_utils.page.visitor.pictures import flagged, image, label, words
from pipeline_utils.page.visitor.visit import shorten
from pipeline_utils.shelf.copies import Thumbs
from pipeline_utils.shelf.index import Card
from pipeline_utils.shelf.trash import KEEP_HOURS, Deletion

_LOOK = 24  # pictures of one deletion that the trash shows
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
    found: Sequence[Card],
    total: int,
    thumbs: Thumbs,
    starred: set[str],
    pick: str | None,
    limit: int,
    said: str = "",
    below: str = "",
) -> str:
    """The newest `limit` of the pictures found. total: of all on the shelf. said: HTML, what just happened.

    below: HTML, the trash.
    """
    if not total:
        return f"{said}{NOTHING}{below}"
    count = f"{total:,} pictures" if total != 1 else "1 picture"
    if len(found) != total:
        count = f"{len(found):,} of {count}"
    tiles = "".join(_tile(card, thumbs, card.id in starred, card.id == pick) for card in found[:limit])
    more = '<p><button type="button" class="more">Show more</button></p>' if len(found) > limit else ""
    nothing = "" if found else '<div class="nothing"><p>No picture matches.</p></div>'
    grid = f'{nothing}<ul class="shelf-grid">{tiles}</ul>{more}{_BAR}'
    return f'{said}<p class="quiet" role="status">{count}</p>{grid}{below}'


def note(text: str) -> str:
    """What just happened, or what is wrong, in one line."""
    return f'<p class="shelf-note" role="status">{escape(text)}</p>'


def deleted(last: Deletion) -> str:
    """The way back from the last deletion."""
    return (
        f'<p class="shelf-note" role="status">{_count(last)} deleted, and kept for {KEEP_HOURS} hours. '
        f'<button type="button" class="undo restore" data-deletion="{last.name}">Undo</button></p>'
    )


def trash(deletions: Sequence[Deletion], open: bool) -> str:
    """What was deleted, the last first: to be looked into, brought back, or deleted for good."""
    if not deletions:
        return ""
    size = sum(deletion.size for deletion in deletions) / 2**20
    rows = "".join(
        f"<li><p>{_count(each)}, {_ago(each.seconds)} "
        f'<button type="button" class="restore" data-deletion="{each.name}">Put back</button></p>'
        + "".join(
            f'<a href="{url(file)}" target="_blank"><img src="{url(file)}" alt="Deleted, {escape(_seed(file))}" '
            'loading="lazy" decoding="async"></a>'
            for file in each.files[:_LOOK]
        )
        + (f" and {len(each.files) - _LOOK} more" if len(each.files) > _LOOK else "")
        + "</li>"
        for each in deletions[:PAGE]
    )
    count = sum(len(each.files) for each in deletions)
    return (
        f'<details class="trash"{" open" if open else ""}><summary>Trash: {count:,} '
        f"{'picture' if count == 1 else 'pictures'}, {size:.1f} MB</summary>"
        f'<p class="quiet">What is deleted stays here for {KEEP_HOURS} hours. '
        f'<button type="button" class="empty">Empty the trash</button></p><ul>{rows}</ul></details>'
    )


def _count(deletion: Deletion) -> str:
    count = len(deletion.files)
    return "1 picture" if count == 1 else f"{count} pictures"


def _ago(seconds: float) -> str:
    minutes = max(0, round(seconds / 60))
    return "just now" if minutes < 1 else f"{minutes} min ago" if minutes < 90 else f"{round(minutes / 60)} hours ago"


def _seed(file: Path) -> str:
    return file.name.split("_")[0].replace("-", " ")


def _tile(card: Card, thumbs: Thumbs, starred: bool, picked: bool) -> str:
    mark = ' aria-current="true"' if picked else ""
    alt = words(card)
    small = ("" if label(card) == card.noise else f" · {escape(label(card))}") + flagged(card)
    return (
        f'<li data-id="{card.id}"><button type="button" class="open" title="{alt}"{mark}>'
        f"{image(card, thumbs)}</button>"
        f'<label class="check"><input type="checkbox" aria-label="Select {alt}"></label>'
        f'<button type="button" class="star" aria-pressed="{str(starred).lower()}" aria-label="Star {alt}">'
        f'<i aria-hidden="true"></i></button>'
        f"<p><b>{escape(card.noise)}{small}</b> {escape(shorten(card.prompt, 60))}</p></li>"
    )
