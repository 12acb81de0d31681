"""The last edge: whatever an event or an endpoint is sent, and whatever goes wrong in it, is answered in words."""

from __future__ import annotations

import logging
from html import escape
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse
from gradio.blocks import BlockFunction

from pipeline_utils.engine.turns import Stopped
from pipeline_utils.errors import UserError

UNEXPECTED = "That failed for a reason that is in the app's log. Nothing you made is lost."
_log = logging.getLogger(__name__)


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
            raise gr.Error(escape(str(error), quote=False) if page else str(error), print_exception=False) from error
        except Stopped:
            raise gr.Error("It was stopped before it was done.", print_exception=False) from None
        except Exception as error:
            _log.exception("An event of the page failed")
            raise gr.Error(UNEXPECTED, print_exception=False) from error

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        missing = [_name(block) for block in block_fn.inputs[len(inputs) :]]
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
            names = ", ".join(_name(block) for block in block_fn.inputs if not block.stateful)
            raise UserError(f"{names}: a value is not of the kind that is needed.") from error


async def misfit(request: Request, error: Exception) -> JSONResponse:
    """Answers a call by names of arguments, of which Gradio finds out in its route that one is missing."""
    if "/call/" not in request.url.path:
        raise error
    if isinstance(error, KeyError):
        return JSONResponse({"detail": f"endpoint: {error} is none of this app."}, 404)
    return JSONResponse({"detail": f"arguments: {error}"}, 422)


def _name(block: Any) -> str:
    return getattr(block, "label", None) or type(block).__name__
