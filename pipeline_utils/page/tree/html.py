"""The tree as HTML: rounds as rows of thumbnails, each below the round that its picture came from."""

from __future__ import annotations

from html import escape

from pipeline_utils.page.rounds.html import FLAGGED, url
from pipeline_utils.page.visit import shorten
from pipeline_utils.shelf.card import Card
from pipeline_utils.shelf.thumbnails import Thumbs
from pipeline_utils.shelf.tree import Branch, Tree

PAGE = 240  # pictures shown at first, and more with each "Show older"
_UNFOLDED = 3  # newest roots that are open
_DEEPEST = 6  # rounds deeper than this are no longer indented, so that a long way down stays readable

EMPTY = """
<div class="nothing"><p>Nothing has grown here yet.</p>
<p class="quiet">Make pictures under Rounds. Every round you make from one of them becomes a branch.</p></div>
"""


def tree(grown: Tree, thumbs: Thumbs, pick: str | None, limit: int) -> str:
    """The newest `limit` pictures or so, whole rounds. pick: the id of the picked picture."""
    if not grown.roots:
        return EMPTY
    parts, shown, cut = ['<ol class="roots">'], 0, False
    for at, root in enumerate(grown.roots):
        if cut := shown >= limit:
            break
        rounds = list(grown.walk(root))
        pictures = sum(len(branch.cards) for _, branch in rounds)
        holds = any(card.id == pick for _, branch in rounds for card in branch.cards)
        parts.append(
            f"<li><details{' open' if at < _UNFOLDED or holds else ''}>"
            f"<summary>{_title(root)}<span>{_counted(pictures, len(rounds))}</span></summary>"
        )
        depth = 0
        for deep, branch in rounds:
            if cut := shown >= limit:
                break
            shown += len(branch.cards)
            deep = min(deep, _DEEPEST)
            if deep > depth:
                parts.append('<ol class="branches"><li>' * (deep - depth))
            elif deep:
                parts.append("</li>" + "</ol></li>" * (depth - deep) + "<li>")
            depth = deep
            parts.append(_row(grown, branch, thumbs, pick))
        parts.append("</li></ol>" * depth + "</details></li>")
    parts.append("</ol>")
    if cut:
        parts.append('<p><button type="button" class="older">Show older</button></p>')
    total = len(grown.of)
    return (
        f'<p class="quiet tree-lead">{_counted(total, len({id(b) for b in grown.of.values()}))}. '
        f"Choose one to go on from it.</p>{''.join(parts)}"
    )


def label(card: Card) -> str:
    """What tells a picture from the others of its round."""
    if card.control:
        return "control"
    return shorten(card.suffix.strip(" ,"), 40) if card.suffix else card.noise


def words(card: Card) -> str:
    """A picture in words, for those who do not see it; escaped."""
    more = (", control" if card.control else "") + (f", {FLAGGED}" if card.flagged else "")
    return escape(f"{shorten(card.prompt, 200)}, {card.noise}{more}")


def flagged(card: Card) -> str:
    return " · blacked out" if card.flagged else ""


def _title(root: Branch) -> str:
    prompt = f"<q>{escape(shorten(root.cards[0].prompt, 120))}</q>"
    return prompt + ("<em>its own pick is not on the shelf</em>" if root.lost else "")


def _row(grown: Tree, branch: Branch, thumbs: Thumbs, pick: str | None) -> str:
    names = [label(card) + ("" if label(card) == card.noise else f", {card.noise}") for card in branch.sources]
    origin = escape("; ".join(names))
    head = f'<p class="from">Round {branch.number} <span>from {origin}</span></p>' if names else ""
    where = f"Round {branch.number}" + (f" from {origin}" if names else "")
    grid = len({card.parent for card in branch.cards}) > 1
    leaves = "".join(_leaf(card, thumbs, card.id == pick, card.id in grown.led, grid) for card in branch.cards)
    return f'{head}<ul class="row" aria-label="{where}">{leaves}</ul>'


def _leaf(card: Card, thumbs: Thumbs, picked: bool, led: bool, grid: bool) -> str:
    mark = ' aria-current="true"' if picked else ""
    seed = f"{card.noise} · " if grid and label(card) != card.noise else ""
    name, alt = escape(seed + label(card) + flagged(card)), words(card)
    return (
        f"<li{' class=led' if led else ''}>"
        f'<button type="button" class="leaf" data-id="{card.id}" title="{alt}"{mark}>'
        f'<img src="{url(thumbs.of(card))}" alt="{alt}" loading="lazy" decoding="async" width="{card.width}" '
        f'height="{card.height}"><span aria-hidden="true">{name}</span></button></li>'
    )


def _counted(pictures: int, rounds: int) -> str:
    return f"{pictures:,} picture{'s' if pictures != 1 else ''}" + f" in {rounds:,} round{'s' if rounds != 1 else ''}"
