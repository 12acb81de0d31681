"""The page: first every part and where it stands, then which event calls which handler."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import gradio as gr
from gradio.utils import get_function_description, get_upload_folder
from starlette.middleware import Middleware

from pipeline_utils.api import endpoints
from pipeline_utils.errors import ModelError
from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.models.sources import list_models
from pipeline_utils.page import theme
from pipeline_utils.page.answers import Answering, misfit
from pipeline_utils.page.guard import MAX_UPLOAD, Guard
from pipeline_utils.page.rounds import html as view
from pipeline_utils.page.rounds.exploring import Exploring
from pipeline_utils.page.rounds.handlers import Handlers
from pipeline_utils.page.rounds.panels import fields
from pipeline_utils.page.share import layout as ui_share
from pipeline_utils.page.suffixes import layout as ui_next
from pipeline_utils.page.uploads import Uploads
from pipeline_utils.page.visitor import pictures
from pipeline_utils.page.wiring import HERE, LOOK, PICK, RUN, Page, Parts
from pipeline_utils.settings import Settings
from pipeline_utils.studio import Studio

_ROUNDS = 16  # rounds that may be under way at once; they take turns step by step


# Each is the folder of its name, whose build(page, tab) lays it out. Without its line and its folder the rest stands.
TABS = (
    "tree",
    "shelf",
    "verify",
    "proof",
)


def launching(settings: Settings) -> dict[str, Any]:
    """How to serve the page: what only `launch` takes."""
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "share": settings.share,
        "app_kwargs": {
            "exception_handlers": {TypeError: misfit, KeyError: misfit},
            "middleware": [
                Middleware(Guard, settings=settings),
                Middleware(Uploads, folder=Path(get_upload_folder())),
            ],
        },
        # For addresses of files that are deleted while they are told; those that are there need no leave.
        "allowed_paths": [str(settings.data / "pictures"), str(settings.cache / "waiting.png")],
        "theme": theme.theme(),
        "css": theme.CSS,
        "head": f"<script>{theme.SCRIPT}</script>",
        "favicon_path": theme.ICON,
        "footer_links": ["api"],
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "max_file_size": MAX_UPLOAD,
        "mcp_server": importlib.util.find_spec("mcp") is not None,
    }


def build_page(studio: Studio) -> gr.Blocks:
    """The whole app: the page, its events, and the named endpoints."""
    # Served where they lie. What Gradio holds in its own folder it may delete, so nothing that lasts is there.
    cache = studio.settings.cache
    gr.set_static_paths([studio.shelf.folder, cache / "downloads", cache / "waiting.png"])
    with Answering(title="Second Round", analytics_enabled=False) as demo:
        gr.HTML(view.HEADER)
        notice = gr.HTML(visible=False, elem_id="notice")
        demo.load(partial(_notice, studio), None, notice, queue=False, show_progress="hidden", api_visibility="private")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Rounds", id="rounds"):
                page = rounds_tab(studio, tabs)
                pictures.wire(page)
            for name in TABS:
                with gr.Tab(name.capitalize(), id=name) as tab:
                    resolve_name(f"pipeline_utils.page.{name}.layout:build")(page, tab)
        for name, function in endpoints(studio).items():
            _endpoint(demo, name, function)
    # api_open=False: nobody runs a queued event past the queue and its limits.
    return demo.queue(max_size=studio.settings.max_queue, api_open=False, default_concurrency_limit=_ROUNDS)


def _notice(studio: Studio) -> Any:
    trouble = studio.trouble()
    return gr.update(value=view.notice(trouble), visible=bool(trouble))


def _endpoint(demo: gr.Blocks, name: str, function: Callable) -> None:
    """A named endpoint, whose page of documentation says what the docstring says of each parameter."""
    added = gr.api(function, api_name=name, concurrency_limit=_ROUNDS, concurrency_id="rounds")
    _, texts, returned = get_function_description(function)
    values = demo.fns[added["id"]]
    for value, parameter in zip(values.inputs, inspect.signature(function).parameters, strict=True):
        value.label = parameter
        value._api_info = {**value._api_info, "additional_description": texts.get(parameter, "")}
    for value in values.outputs:
        value.label, value._api_info = "answer", {**value._api_info, "description": " ".join(returned)}


def rounds_tab(studio: Studio, tabs: gr.Tabs) -> Page:
    """Round one, the pick, and every round after it."""
    spec = studio.models.spec(studio.models.default)
    page = Page(_lay_out(studio, spec), gr.JSON(visible=False), Handlers(studio), tabs)
    _wire(page)
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
            with gr.Accordion("Settings", open=False, elem_id="settings"):
                parts["negative"] = gr.Textbox(
                    label="Negative prompt", value="", max_lines=3, elem_id="negative", **own["negative"]
                )
                for pair in (("steps", "guidance"), ("width", "height")):
                    with gr.Row():
                        for name in pair:
                            parts[name] = gr.Number(label=name.capitalize(), min_width=0, elem_id=name, **own[name])
                # Which samplers another model has is forgotten with the session; the round checks what is chosen.
                parts["sampler"] = gr.Dropdown(
                    label="Sampler", allow_custom_value=True, elem_id="sampler", **own["sampler"]
                )
                parts["cut"] = gr.Checkbox(label="Cut prompts that are too long", elem_id="cut")
            with gr.Column(elem_id="model-box", min_width=0):
                parts["model"] = gr.Dropdown(
                    label="Model",
                    choices=_models(studio, spec),
                    allow_custom_value=True,
                    interactive=studio.settings.visitors_choose != "one",
                    elem_id="model",
                    **own["model"],
                )
                parts["note"] = gr.HTML(elem_id="model-note", **own["note"])
        with gr.Column(elem_id="stage", min_width=0):
            with gr.Row(elem_id="state"):
                parts["status"] = gr.HTML(js_on_load="secondRound.follow(element, watch)", elem_id="status")
                parts["stop"] = gr.Button("Stop", visible=False, size="sm", min_width=0, scale=0, elem_id="stop")
            parts["rounds"] = gr.Radio(
                choices=[], label="Rounds so far", show_label=False, interactive=True, visible=False, elem_id="rounds"
            )
            parts["heading"] = gr.HTML(elem_id="heading")
            parts["empty"] = gr.HTML(view.EMPTY, elem_id="empty")
            parts["gallery"] = gr.Gallery(
                label="Pictures of the round",
                show_label=False,
                columns=4,
                height="auto",
                allow_preview=False,
                interactive=False,
                buttons=[],
                object_fit="contain",
                visible=False,
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
            with gr.Row(elem_id="after"):
                with gr.Column(elem_id="pick-box", min_width=0):
                    parts["pick"] = gr.HTML(view.NO_PICK, elem_id="pick")
                    with gr.Row(elem_id="keep"):
                        parts["download"] = gr.DownloadButton(
                            "Download PNG", visible=False, size="sm", elem_id="download"
                        )
                        parts["share"] = gr.HTML(js_on_load="secondRound.compare()", elem_id="share")
                with gr.Column(elem_id="next-box", min_width=0):
                    parts |= ui_next.build(own["suffixes"])
    return parts


def _models(studio: Studio, spec: ModelSpec) -> list[tuple[str, str]]:
    """Title and name of every model in the selector, the one of this start first."""
    try:
        known = list_models()
    except ModelError:  # a checkout without the bundled weights, started with another model
        known = {}
    specs = {spec.name: spec} | (known if studio.settings.visitors_choose != "one" else {})
    return [(each.title, each.name) for each in specs.values()]


def _wire(page: Page) -> None:
    parts, handlers, here = page.parts, page.handlers, page.here
    settings = [parts[name] for name in ("seeds", "negative", "steps", "guidance", "width", "height", "sampler", "cut")]
    form = ("model", "note", "negative", "steps", "guidance", "width", "height", "sampler", "suffixes")
    form += tuple(f"example {n}" for n in range(3))

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

    slot = {"concurrency_limit": _ROUNDS, "concurrency_id": "rounds"}
    asked = [here, parts["prompt"], *settings]
    on([parts["make"].click, parts["prompt"].submit], handlers.first_round, asked, RUN + LOOK + PICK, **slot)
    for n in range(3):
        chip = parts[f"example {n}"]
        on([chip.click], handlers.example, [here, chip, *settings], ("prompt", *RUN, *LOOK, *PICK), **slot)
    again = [here, parts["suffixes"], parts["cut"]]
    on([parts["next"].click], handlers.next_round, again, RUN + LOOK + PICK, **slot)
    exploring = Exploring(handlers.studio, handlers.player)
    on([parts["grid"].click], exploring.all_seeds, again, RUN + LOOK + PICK, **slot)
    between = [here, parts["second_seeds"], parts["strength"], parts["cut"]]
    more = [parts["vary"].click, parts["second_seeds"].submit]
    on(more, exploring.variations, between, RUN + LOOK + PICK, **slot)
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
    on([parts["stop"].click], handlers.stop, [], ("status", "stop"), queue=False, js=None)
    on([parts["rounds"].select], handlers.show_round, [here], (*LOOK, "grid"))
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
    ui_share.wire(parts, on, handlers.studio, here)
