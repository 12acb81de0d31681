"""The page: its tabs, the named endpoints, and how both are served."""

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
from pipeline_utils.errors import UserError
from pipeline_utils.page import theme
from pipeline_utils.page.edge import MAX_UPLOAD, Answering, Guard, Uploads, misfit
from pipeline_utils.page.rounds import example, html
from pipeline_utils.page.rounds.layout import ROUNDS, rounds_tab
from pipeline_utils.page.visitor import pictures
from pipeline_utils.settings import Settings
from pipeline_utils.studio import Studio

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
        "allowed_paths": [str(settings.data / "pictures")],
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


def serve(demo: gr.Blocks, settings: Settings) -> None:
    """Serves the page in threads of its own. Raises UserError where the port is taken."""
    try:
        demo.launch(**launching(settings), prevent_thread_lock=True)
    except OSError as error:
        taken = f"port: {settings.port} cannot be listened on at {settings.host}; another program may have it"
        raise UserError(f"{taken}. Start with another one, such as PORT={settings.port + 1 & 65535}.") from error


def build_page(studio: Studio) -> gr.Blocks:
    """The whole app: the page, its events, and the named endpoints."""
    # Served where they lie. What Gradio holds in its own folder it may delete, so nothing that lasts is there.
    cache = studio.settings.cache
    gr.set_static_paths([studio.shelf.folder, cache / "downloads", example.FOLDER])
    with Answering(title="Second Round", analytics_enabled=False) as demo:
        gr.HTML(html.HEADER)
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
    return demo.queue(max_size=studio.settings.max_queue, api_open=False, default_concurrency_limit=ROUNDS)


def _notice(studio: Studio) -> Any:
    trouble = studio.trouble()
    return gr.update(value=html.notice(trouble), visible=bool(trouble))


def _endpoint(demo: gr.Blocks, name: str, function: Callable) -> None:
    """A named endpoint, whose page of documentation says what the docstring says of each parameter."""
    added = gr.api(function, api_name=name, concurrency_limit=ROUNDS, concurrency_id="rounds")
    _, texts, returned = get_function_description(function)
    values = demo.fns[added["id"]]
    for value, parameter in zip(values.inputs, inspect.signature(function).parameters, strict=True):
        value.label = parameter
        value._api_info = {**value._api_info, "additional_description": texts.get(parameter, "")}
    for value in values.outputs:
        value.label, value._api_info = "answer", {**value._api_info, "description": " ".join(returned)}
