"""The Shelf tab: every picture that is kept."""

from __future__ import annotations

import gradio as gr

from pipeline_utils.page.shelf import html as view_shelf
from pipeline_utils.page.shelf.handlers import ShelfHandlers
from pipeline_utils.page.tree.handlers import TreeHandlers
from pipeline_utils.page.tree.layout import QUICK
from pipeline_utils.page.wiring import HERE, LOOK, PICK, Page

_EVENTS = "'choose', 'star', 'remove', 'restore', 'empty', 'pack', 'more'"


def build(page: Page, tab: gr.Tab) -> None:
    """The parts and events of the tab; called inside it."""
    handlers, trees = ShelfHandlers(page.handlers.player), TreeHandlers(page.handlers.player)
    with gr.Row(elem_id="shelf-filters"):
        words = gr.Textbox(label="Words in the prompt", lines=1, max_lines=1, min_width=0, scale=3)
        model = gr.Dropdown(
            label="Model", choices=[("All models", "")], value="", allow_custom_value=True, min_width=0, scale=3
        )
        seed = gr.Textbox(label="Seed", placeholder="7 or 0-3", lines=1, max_lines=1, min_width=0, scale=2)
        starred = gr.Checkbox(label="Only starred", min_width=0, scale=1, elem_id="shelf-starred")
    shelf = gr.HTML(js_on_load=f"secondRound.shelf(element, trigger, watch, {_EVENTS})", elem_id="shelf")
    limit, file = gr.Number(view_shelf.PAGE, precision=0, visible=False), gr.File(elem_id="shelf-file", container=False)
    parts = {"shelf": shelf, "shelf_limit": limit, "shelf_model": model, "tabs": page.tabs}
    shown = [page.parts[name] for name in dict.fromkeys((*LOOK, *PICK))]
    filters = [page.here, words, model, seed, starred]
    asked = [*filters, limit]

    tab.select(page.event(handlers.show_shelf, **parts), asked, [shelf, model], api_name="page_shelf", **QUICK)
    gr.on(
        [words.change, model.change, seed.change, starred.change],
        page.event(handlers.filter_shelf, **parts),
        filters,
        [shelf, model, limit],
        trigger_mode="always_last",
        api_name="page_shelf_filter",
        **QUICK,
    )
    more, choose = page.event(handlers.more_shelf, **parts), page.event(trees.choose, **parts)
    shelf.more(more, asked, [shelf, model, limit], api_name="page_shelf_more", **QUICK)
    shelf.choose(choose, [page.here], [*shown, page.tabs], api_name="page_shelf_choose", **QUICK)
    shelf.star(page.event(handlers.star), [page.here], None, api_name="page_shelf_star", **QUICK)
    changing = ((shelf.remove, handlers.remove), (shelf.restore, handlers.restore), (shelf.empty, handlers.empty))
    for event, function in changing:
        name = f"page_shelf_{function.__name__}"
        event(page.event(function, **parts), asked, [shelf, model, *shown], api_name=name, **QUICK)
    packing = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 2, "js": HERE}
    shelf.pack(
        page.event(handlers.pack), [page.here], file, api_name="page_shelf_pack", concurrency_id="files", **packing
    ).success(None, file, js="(file) => secondRound.save(file)", api_visibility="private")
