"""The Tree tab: the whole exploration as rows of thumbnails, and the way back to every picture of it."""

from __future__ import annotations

from html import escape

import gradio as gr

from pipeline_utils.page.events import Page
from pipeline_utils.page.rounds.panels import Changes
from pipeline_utils.page.visitor.pictures import MOST, QUICK, Pictures, flagged, image, label, shown, words
from pipeline_utils.page.visitor.visit import Visit, shorten
from pipeline_utils.shelf.copies import Thumbs
from pipeline_utils.shelf.index import Card
from pipeline_utils.shelf.tree import Branch, Tree

PAGE = 240  # pictures shown at first, and more with each "Show older"
_UNFOLDED = 3  # newest roots that are open
_DEEPEST = 6  # rounds deeper than this are no longer indented, so that a long way down stays readable

EMPTY = """
<div class="nothing"><p>Nothing has grown here yet.</p>
<p class="quiet">Make pictures under Rounds. Every round you make from one of them becomes a branch.</p></div>
"""


def build(page: Page, tab: gr.Tab) -> None:
    """The parts and events of the tab; called inside it."""
    handlers = TreeHandlers(page.player)
    tree = gr.HTML(js_on_load="secondRound.tree(element, trigger, watch, 'choose', 'older')", elem_id="tree")
    limit = gr.Number(PAGE, precision=0, visible=False)
    parts = {"tree": tree, "tree_limit": limit, "tabs": page.tabs}
    both = [page.here, limit]

    tab.select(page.event(handlers.show_tree, **parts), both, tree, api_name="page_tree", **QUICK)
    tree.older(page.event(handlers.older, **parts), both, [tree, limit], api_name="page_tree_older", **QUICK)
    choose = page.event(handlers.choose, **parts)
    tree.choose(choose, [page.here], [*shown(page), page.tabs], api_name="page_tree_choose", **QUICK)


class TreeHandlers(Pictures):
    """The events of the tab. Thread-safe: all state is in the visit, and in how many pictures its page shows."""

    def show_tree(self, visit: Visit, limit: int) -> Changes:
        """The tree as it is now. limit: pictures."""
        album = visit.album(self.studio.shelves)
        pick = visit.pick.id if visit.pick else None
        return {"tree": draw(album.tree(), Thumbs(album.shelf), pick, limit)}

    def older(self, visit: Visit, limit: int) -> Changes:
        limit = min(limit + 2 * PAGE, MOST)
        return self.show_tree(visit, limit) | {"tree_limit": limit}


def draw(grown: Tree, thumbs: Thumbs, pick: str | None, limit: int) -> str:
    """The tree as HTML: the newest `limit` pictures or so, whole rounds. pick: the id of the picked picture."""
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
    name = escape(seed + label(card) + flagged(card))
    return (
        f"<li{' class=led' if led else ''}>"
        f'<button type="button" class="leaf" data-id="{card.id}" title="{words(card)}"{mark}>'
        f'{image(card, thumbs)}<span aria-hidden="true">{name}</span></button></li>'
    )


def _counted(pictures: int, rounds: int) -> str:
    return f"{pictures:,} picture{'s' if pictures != 1 else ''}" + f" in {rounds:,} round{'s' if rounds != 1 else ''}"
