"""The Tree tab: the whole exploration, and the way back to every picture of it."""

from __future__ import annotations

import gradio as gr

from pipeline_utils.page.tree import html as view_tree
from pipeline_utils.page.tree.handlers import TreeHandlers
from pipeline_utils.page.wiring import HERE, LOOK, PICK, Page

QUICK = {"show_progress": "hidden", "api_visibility": "private", "queue": False, "js": HERE}


def build(page: Page, tab: gr.Tab) -> None:
    """The parts and events of the tab; called inside it. Also what happens when the page is opened."""
    handlers = TreeHandlers(page.handlers.player)
    tree = gr.HTML(js_on_load="secondRound.tree(element, trigger, watch, 'choose', 'older')", elem_id="tree")
    limit = gr.Number(view_tree.PAGE, precision=0, visible=False)
    parts = {"tree": tree, "tree_limit": limit, "tabs": page.tabs}
    shown = [page.parts[name] for name in dict.fromkeys((*LOOK, *PICK))]
    both = [page.here, limit]

    tab.select(page.event(handlers.show_tree, **parts), both, tree, api_name="page_tree", **QUICK)
    tree.older(page.event(handlers.older, **parts), both, [tree, limit], api_name="page_tree_older", **QUICK)
    choose = page.event(handlers.choose, **parts)
    tree.choose(choose, [page.here], [*shown, page.tabs], api_name="page_tree_choose", **QUICK)
    arriving = QUICK | {"js": "() => [secondRound.here(), secondRound.visitor()[1]]"}
    inputs = [page.here, gr.Checkbox(visible=False)]
    load = gr.context.Context.root_block.load
    load(page.event(handlers.arrive), inputs, shown, api_name="page_arrive", **arriving)
