"""What stands before an upload: room is made for it, and what the disk refuses is told in a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse

from pipeline_utils.errors import UserError
from pipeline_utils.files import saving
from pipeline_utils.shelf.copies import make_room

KEPT = 2**29  # bytes of all uploads together; the oldest make room
_ONE = 2**26  # bytes that one request may bring

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]


class Uploads:
    """ASGI middleware. folder: where Gradio puts what is uploaded."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self.folder = app, folder

    async def __call__(self, scope: Message, receive: App, send: App) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/upload"):
            await self.app(scope, receive, send)
            return
        try:
            with saving("uploads"):
                await asyncio.to_thread(make_room, self.folder, KEPT - _ONE)
                await self.app(scope, receive, send)
        except UserError as error:
            await PlainTextResponse(str(error), 507)(scope, receive, send)
