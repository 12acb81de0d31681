"""The edge: what stands before every request, and how whatever goes wrong in an event or an endpoint is answered."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse
from gradio.blocks import BlockFunction
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse

from pipeline_utils.engine.stops import Stopped
from pipeline_utils.errors import InputError, UserError
from pipeline_utils.files import saving
from pipeline_utils.settings import Settings, is_loopback
from pipeline_utils.shelf.copies import make_room

# What the fields of the form are called where they are seen.
LABELS = {
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "width x height": "Width × height",
    "negative_prompt": "Negative prompt",
    "cut_long_prompts": "Cut prompts that are too long",
    "variation_seed": "Second seeds",
    "variation_strength": "Strength",
    "pictures": "Pictures",
} | {name: name.capitalize() for name in ("prompt", "seeds", "width", "height", "sampler", "model", "strength")}

UNEXPECTED = "That failed for a reason that is in the app's log. Nothing you made is lost."
_log = logging.getLogger(__name__)

MAX_UPLOAD = 64 * 2**20  # bytes of all files of one request
KEPT = 2**29  # bytes of all uploads together; the oldest make room
_MAX_OTHER = 8 * 2**20  # bytes of any other request
_FRAME = 2**20  # bytes of an upload that are no file
_DRAINED = 4 * MAX_UPLOAD  # bytes read and forgotten, so that who sent too much is told, not cut off
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:@/?#\[\]]+?)\.?)(?::[0-9]{1,5})?")

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]


class Guard:
    """ASGI middleware.

    A page whose name was bent to this machine (DNS rebinding) gives itself away by its Host. A page of another
    site does by Sec-Fetch-Site, which browsers send where they trust the connection and no page can forge, else
    by its Origin. Programs send neither, and are let through.
    """

    def __init__(self, app: App, settings: Settings) -> None:
        self.app, self.settings = app, settings
        framing = " ".join(["'self'", "https://huggingface.co", *settings.allowed_hosts])
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"content-security-policy", f"frame-ancestors {framing}".encode()),
        ]

    async def __call__(self, scope: Message, receive: App, send: App) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        headers = Headers(scope=scope)
        host = _name(headers.get("host", ""))
        if not self._own(host):
            text = f"host: {host[:100]!r} is no name of this app; where it is, start it with --allowed-hosts."
            await PlainTextResponse(text, 403)(scope, receive, answer)
        elif self._foreign(headers) and not self._harmless(scope, headers):
            text = "A page of another site sent this; where it may, start the app with --allowed-hosts."
            await PlainTextResponse(text, 403)(scope, receive, answer)
        else:
            await self.app(scope, _bounded(receive, headers, scope["path"].endswith("/upload")), answer)

    def _own(self, host: str) -> bool:
        """May the app be reached by this name? Where it listens for strangers, by any, until some are named."""
        settings = self.settings
        public = not is_loopback(settings.host) and not settings.allowed_hosts
        shared = settings.share and host.endswith(".gradio.live")
        return public or shared or is_loopback(host) or host == settings.host or self._allowed(host)

    def _allowed(self, host: str) -> bool:
        """Was it named by the setting, in which *.example.org stands for every host below that?"""
        allowed = self.settings.allowed_hosts
        return any(name in (host, "*") or (name[:2] == "*." and host.endswith(name[1:])) for name in allowed)

    def _foreign(self, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and self._allowed(_name(urlsplit(origin).netloc)):
            return False
        if site is not None:
            return site not in ("same-origin", "none")
        return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()

    def _harmless(self, scope: Message, headers: Headers) -> bool:
        """A page elsewhere may lead here and frame this page, and look where strangers may anyway."""
        looks = scope.get("method") in ("GET", "HEAD", "OPTIONS")
        return looks and (self.settings.strangers or headers.get("sec-fetch-mode") == "navigate")


def _name(host: str) -> str:
    """The name in "name:port", in small letters; "" for what is none."""
    match = _HOST.fullmatch(host.lower())
    return (match[1] or match[2]) if match else ""


def _bounded(receive: App, headers: Headers, upload: bool) -> App:
    """`receive` for a request of limited size.

    Raises what the readers of bodies know: what is too large is answered with 413, and the half files of an
    upload that is too large or broken off are deleted.
    """
    limit = MAX_UPLOAD + _FRAME if upload else _MAX_OTHER
    declared = headers.get("content-length", "")
    seen, more = 0, True

    async def bounded() -> Message:
        nonlocal seen, more
        message = await receive()
        if message["type"] != "http.request":
            if upload and more:
                raise MultiPartException("The upload was broken off.")
            return message
        seen, more = seen + len(message.get("body", b"")), message.get("more_body", False)
        if seen > limit or (declared.isdigit() and int(declared) > limit):
            while more and seen < _DRAINED:
                rest = await receive()
                seen, more = seen + len(rest.get("body", b"")), rest.get("more_body", False)
            text = f"A request exceeded the maximum allowed size of {limit // 2**20} MB."
            raise MultiPartException(text) if upload else HTTPException(413, text)
        return message

    return bounded


class Uploads:
    """ASGI middleware that makes room, and tells what the disk refuses. folder: where Gradio puts what is uploaded."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self.folder = app, folder

    async def __call__(self, scope: Message, receive: App, send: App) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/upload"):
            await self.app(scope, receive, send)
            return
        try:
            with saving("uploads"):
                await asyncio.to_thread(make_room, self.folder, KEPT - MAX_UPLOAD)
                await self.app(scope, receive, send)
        except UserError as error:
            await PlainTextResponse(str(error), 507)(scope, receive, send)


class Answering(gr.Blocks):
    """Blocks whose functions may raise what they like: a UserError is told as it is, other errors are logged.

    The page keeps no connection open while nothing runs. A browser opens six to a host, for all of its tabs
    together; with a heartbeat in each, six tabs leave none to say stop with. Who has left is told by the stream
    of answers instead, see api.listener_gone.
    """

    def get_config_file(self) -> dict[str, Any]:
        return super().get_config_file() | {"connect_heartbeat": False}

    async def process_api(self, block_fn: BlockFunction | int, *values: Any, **more: Any) -> dict[str, Any]:
        try:
            return await super().process_api(block_fn, *values, **more)
        except gr.Error:
            raise
        except UserError as error:
            function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
            page = function.api_visibility == "private"  # the page reads a message as HTML
            said = escape(labelled(error), quote=False) if page else str(error)
            raise gr.Error(said, print_exception=False) from error
        except Stopped:
            raise gr.Error("It was stopped before it was done.", print_exception=False) from None
        except Exception as error:
            _log.exception("An event of the page failed")
            raise gr.Error(UNEXPECTED, print_exception=False) from error

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        missing = [_label(block) for block in block_fn.inputs[len(inputs) :]]
        if missing:
            raise UserError(
                f"{missing[0]}: it is missing; {len(block_fn.inputs)} values are needed, {len(inputs)} came."
            )

    async def preprocess_data(self, block_fn: BlockFunction, inputs: list[Any], *values: Any, **more: Any) -> list[Any]:
        try:
            return await super().preprocess_data(block_fn, inputs, *values, **more)
        except (gr.Error, UserError):
            raise
        except Exception as error:  # a number for a file, a text for a number, a file that nobody uploaded
            _log.info("What an event was sent was refused", exc_info=error)
            names = ", ".join(_label(block) for block in block_fn.inputs if not block.stateful)
            raise UserError(f"{names}: a value is not of the kind that is needed.") from error


def labelled(error: UserError) -> str:
    """The message as the page says it: the field by its label, and nothing quoted where nothing stands."""
    if not isinstance(error, InputError) or error.field not in LABELS:
        return str(error)
    label = LABELS[error.field]
    if error.value in ("", None):
        return f"{label}: it is empty; {error.limit}."
    return label + str(error).removeprefix(error.field)


async def misfit(request: Request, error: Exception) -> JSONResponse:
    """Answers a call by names of arguments, of which Gradio finds out in its route that one is missing."""
    if "/call/" not in request.url.path:
        raise error
    if isinstance(error, KeyError):
        return JSONResponse({"detail": f"endpoint: {error} is none of this app."}, 404)
    return JSONResponse({"detail": f"arguments: {error}"}, 422)


def _label(block: Any) -> str:
    return getattr(block, "label", None) or type(block).__name__
