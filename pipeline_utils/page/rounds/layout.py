"""The Rounds tab: first every part and where it stands, then which event calls which handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.page.events import FORM, HERE, LOOK, PICK, RUN, Page, Parts
from pipeline_utils.page.rounds import example, html
from pipeline_utils.page.rounds.handlers import Handlers
from pipeline_utils.page.rounds.panels import fields, model_choices
from pipeline_utils.page.running import Player
from pipeline_utils.page.share import layout as share
from pipeline_utils.page.suffixes import layout as suffixes
from pipeline_utils.page.tokens import layout as tokens
from pipeline_utils.page.visitor.visits import Visits
from pipeline_utils.studio import Studio

ROUNDS = 16  # that may be under way at once; they share the model step by step
_SIDES = (("width", "Width"), ("height", "Height"))


def rounds_tab(studio: Studio, tabs: gr.Tabs) -> Page:
    """Round one, the pick, and every round after it."""
    spec = studio.models.spec(studio.models.default)
    page = Page(_lay_out(studio, spec), gr.JSON(visible=False), Visits(studio), Player(studio), tabs)
    _wire(page, studio)
    return page


def _lay_out(studio: Studio, spec: ModelSpec) -> Parts:
    parts: Parts = {"linked_suffixes": gr.State(None)}
    own = fields(spec)
    with gr.Row(elem_id="desk"):
        with gr.Column(elem_id="ask", min_width=0):
            parts["link_note"] = gr.HTML(elem_id="link-note")
            parts["prompt"] = gr.Textbox(
                label="Prompt", placeholder="a red fox", lines=1, max_lines=6, elem_id="prompt", autofocus=True
            )
            parts["words"] = gr.HTML(elem_id="words")
            with gr.Row(elem_id="examples"):
                for n in range(3):
                    parts[f"example {n}"] = gr.Button(size="sm", min_width=0, **own[f"example {n}"])
            with gr.Row(elem_id="go"):
                parts["seeds"] = gr.Textbox(
                    label="Seeds", value="0-3", lines=1, max_lines=1, elem_id="seeds", min_width=0, scale=2
                )
                parts["make"] = gr.Button("Make 4 pictures", variant="primary", elem_id="make", min_width=0, scale=3)
            with gr.Column(elem_id="next-box", min_width=0):
                parts |= suffixes.build(own["suffixes"])
            with gr.Accordion("Settings", open=False, elem_id="settings"):
                parts["negative_prompt"] = gr.Textbox(
                    label="Negative prompt", value="", max_lines=3, elem_id="negative", **own["negative_prompt"]
                )
                for row in (("num_inference_steps", "Steps"), ("guidance_scale", "Guidance")), _SIDES:
                    with gr.Row():
                        for name, label in row:
                            parts[name] = gr.Number(label=label, min_width=0, elem_id=label.lower(), **own[name])
                # Which samplers another model has is forgotten with the session; the round checks what is chosen.
                parts["sampler"] = gr.Dropdown(
                    label="Sampler", allow_custom_value=True, elem_id="sampler", **own["sampler"]
                )
                parts["cut_long_prompts"] = gr.Checkbox(label="Cut prompts that are too long", elem_id="cut")
            with gr.Accordion("Model", open=False, elem_id="model-box"):
                parts["model"] = gr.Dropdown(
                    label="Model",
                    choices=model_choices(studio),
                    allow_custom_value=True,
                    interactive=studio.settings.visitors_choose != "one",
                    elem_id="model",
                    **own["model"],
                )
            parts["note"] = gr.HTML(elem_id="model-note", **own["note"])
        with gr.Column(elem_id="stage", min_width=0):
            with gr.Row(elem_id="state"):
                parts["status"] = gr.HTML(elem_id="status")
                parts["loading"] = gr.HTML(elem_id="loading")
                parts["stop"] = gr.Button("Stop", visible=False, size="sm", min_width=0, scale=0, elem_id="stop")
            own_example = spec.name == example.example().rounds[0].tiles[0].recipe.model
            with gr.Column(elem_id="empty", min_width=0) as parts["empty"]:
                gr.HTML(example.drawn() if own_example else html.EMPTY, apply_default_css=False)
                parts["example"] = gr.Button("Run this example", visible=own_example, elem_id="example-go")
            parts["gallery"] = gr.HTML(
                [],
                html_template='<div class="rows"></div>',
                js_on_load="secondRound.rows(element.firstElementChild, props, watch, trigger, 'select', 'expand')",
                apply_default_css=False,
                elem_id="gallery",
            )
            parts["previews"] = gr.HTML(js_on_load="secondRound.previews(element, watch)", elem_id="previews")
            with gr.Row(visible=False, elem_id="files") as parts["files"]:
                parts["sheet_button"] = gr.Button("Contact sheet", size="sm", min_width=0, scale=0)
                parts["zip_button"] = gr.Button("All as zip", size="sm", min_width=0, scale=0)
                parts["file"] = gr.File(elem_id="file", container=False)
            with gr.Accordion("This round as Python", open=False, visible=False, elem_id="python-box") as parts[
                "script"
            ]:
                parts["python"] = gr.Code(
                    language="python", interactive=False, show_label=False, show_line_numbers=False, elem_id="python"
                )
            with gr.Column(elem_id="pick-box", min_width=0):
                parts["pick"] = gr.HTML(html.NO_PICK, elem_id="pick")
                with gr.Row(elem_id="keep"):
                    parts["download"] = gr.DownloadButton("Download PNG", visible=False, size="sm", elem_id="download")
                    parts["share"] = gr.HTML(js_on_load="secondRound.compare()", elem_id="share")
    return parts


def _wire(page: Page, studio: Studio) -> None:
    parts, handlers, here = page.parts, Handlers(studio, page.player), page.here
    form = tuple(fields(studio.models.spec(studio.models.default)))
    asked = [here, *(parts[name] for name in FORM)]

    def on(triggers: list[Callable], function: Callable, inputs: list, changes: tuple[str, ...], **more: Any) -> None:
        options: dict[str, Any] = {
            "inputs": inputs,
            "outputs": [parts[name] for name in dict.fromkeys(changes)],
            "show_progress": "hidden",
            "api_visibility": "private",
            "api_name": f"page_{function.__name__}",
            "concurrency_limit": None,
            "js": HERE,
        }
        gr.on(triggers, page.event(function), **(options | more))

    slot = {"concurrency_limit": ROUNDS, "concurrency_id": "rounds"}
    on([parts["make"].click, parts["prompt"].submit], handlers.first_round, asked, RUN + LOOK + PICK, **slot)
    for n in range(3):
        chip = parts[f"example {n}"]
        on([chip.click], handlers.example, [here, chip, *asked[2:]], ("prompt", *RUN, *LOOK, *PICK), **slot)
    on([parts["example"].click], handlers.make_example, [here], ("prompt", "seeds", *RUN, *LOOK, *PICK), **slot)
    again = [here, parts["suffixes"], parts["cut_long_prompts"]]
    on([parts["next"].click], handlers.next_round, again, RUN + LOOK + PICK, **slot)
    on([parts["grid"].click], handlers.all_seeds, again, RUN + LOOK + PICK, **slot)
    between = [here, parts["second_seeds"], parts["strength"], parts["cut_long_prompts"]]
    more = [parts["vary"].click, parts["second_seeds"].submit]
    on(more, handlers.variations, between, RUN + LOOK + PICK, **slot)
    on(
        [parts["seeds"].change],
        handlers.count,
        [parts["seeds"]],
        ("make",),
        queue=False,
        trigger_mode="always_last",
        js=None,
    )
    # Past the queue: a full house must not keep anyone from stopping.
    on([parts["stop"].click], handlers.stop, [], ("stop",), queue=False, js=None)
    on([parts["gallery"].expand], handlers.show_round, [here], (*LOOK, "grid"))
    on([parts["gallery"].select], handlers.pick, [here], PICK)
    on([parts["model"].input], handlers.switch, [here, parts["model"]], RUN + form, **slot)
    for name, function in (("sheet_button", handlers.sheet_file), ("zip_button", handlers.zip_file)):
        parts[name].click(
            page.event(function),
            here,
            parts["file"],
            js=HERE,
            show_progress="hidden",
            api_visibility="private",
            api_name=f"page_{name}",
            concurrency_limit=2,
            concurrency_id="files",
        ).success(None, parts["file"], js="(file) => secondRound.save(file)", api_visibility="private")
    share.wire(parts, on, studio, here)
    tokens.wire(parts, on, studio, here)
