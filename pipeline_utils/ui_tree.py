"""The Tree tab: the whole exploration, and the way back to every picture of it."""

from __future__ import annotations

import gradio as gr

from pipeline_utils import view_tree
from pipeline_utils.handlers_tree import TreeHandlers
from pipeline_utils.wiring import LOOK, PICK, Page, placed

QUICK = {"show_progress": "hidden", "api_visibility": "private", "queue": False}


def build(page: Page, tab: gr.Tab) -> None:
    """The parts and events of the tab; called inside it. Also what happens when the page is opened."""
    handlers = TreeHandlers(page.handlers.player)
    tree = gr.HTML(js_on_load="secondRound.tree(element, trigger, watch, 'choose', 'older')", elem_id="tree")
    limit = gr.State(view_tree.PAGE)
    parts = page.parts | {"tree": tree, "tree_limit": limit, "tabs": page.tabs}
    shown = [parts[name] for name in dict.fromkeys((*LOOK, *PICK))]

    tab.select(placed(handlers.show_tree, parts), [page.visit, limit], tree, api_name="page_tree", **QUICK)
    tree.older(placed(handlers.older, parts), [page.visit, limit], [tree, limit], api_name="page_tree_older", **QUICK)
    tree.choose(placed(handlers.choose, parts), [page.visit], [*shown, page.tabs], api_name="page_tree_choose", **QUICK)
    # What the browser keeps: never a part of the page, of an address or of a log.
    token, returning = gr.Textbox(visible=False), gr.Checkbox(visible=False)
    gr.context.Context.root_block.load(
        placed(handlers.arrive, parts),
        [page.visit, token, returning],
        shown,
        js="() => [null, ...secondRound.visitor()]",
        api_name="page_arrive",
        **QUICK,
    )
