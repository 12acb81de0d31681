"""How an answer of a handler, which names parts of the page, reaches them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from pipeline_utils.page.rounds.handlers import Handlers
from pipeline_utils.page.toasts import shown_as_toast

Parts = dict[str, gr.blocks.Block]

# The parts of the page that a handler speaks of when it is about a running round, a round, or the pick.
RUN = ("status", "make", "next", "grid", "vary", "stop", "previews")
LOOK = ("rounds", "heading", "empty", "gallery", "sheet_button", "zip_button", "files", "script", "python")
PICK = ("pick", "download", "next_title", "next", "grid", "vary")


# The `js` of every event whose first input is Page.here: what the page says of itself arrives with each of them.
HERE = "(_, ...values) => [secondRound.here(), ...values]"


@dataclass(frozen=True)
class Page:
    """What the tabs share: the parts of the rounds, what the browser says of itself, and the tabs themselves."""

    parts: Parts
    here: gr.JSON
    handlers: Handlers
    tabs: gr.Tabs

    def event(self, function: Callable, **more: gr.blocks.Block) -> Callable:
        """`function` as Gradio calls it: with the visit that `here` belongs to, where it takes one, and with the
        names in its answers replaced by the parts they name. more: parts beside those of the page.
        """
        parts, signature = self.parts | more, inspect.signature(function)
        names = list(signature.parameters)
        visits, asks = names[:1] == ["visit"], "request" in names

        def given(values: tuple) -> tuple:
            if not visits:
                return values
            here, *rest, request = values
            with shown_as_toast():
                visit = self.handlers.visits.of(here, request.session_hash)
            return (visit, *rest, request) if asks else (visit, *rest)

        def place(answer: Any) -> Any:
            if not isinstance(answer, dict):
                return answer
            # Gradio takes an empty dict for a value; what changes nothing is said in its own way.
            return {parts[name]: value for name, value in answer.items()} or gr.skip()

        if inspect.isgeneratorfunction(function):

            @wraps(function)
            def called(*values: Any) -> Iterator[dict]:
                for answer in function(*given(values)):
                    yield place(answer)
        else:

            @wraps(function)
            def called(*values: Any) -> Any:
                return place(function(*given(values)))

        if visits and not asks:  # Gradio reads from the signature what to pass
            request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
            called.__signature__ = signature.replace(parameters=[*signature.parameters.values(), request])
            called.__annotations__ = called.__annotations__ | {"request": gr.Request}
        return called
