"""Events of the page: what a handler is given, and how its answer reaches the parts that it names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from pipeline_utils.page.running import Player
from pipeline_utils.page.visitor.visits import Visits
from pipeline_utils.recipe.ask import ASKED, Ask

Parts = dict[str, gr.blocks.Block]

# The parts of the page that a handler speaks of when it is about a running round, a round, or the pick.
RUN = ("status", "make", "next", "grid", "vary", "stop", "previews")
LOOK = ("gallery", "empty", "sheet_button", "zip_button", "files", "script", "python")
PICK = ("gallery", "pick", "download", "next_title", "next", "grid", "vary")


# The parts of the form, by their names in what is asked for. The model is the visit's.
FORM = tuple(name for name in ASKED if name != "model")

SETTINGS = tuple(name for name in FORM if name not in ("prompt", "seeds", "cut_long_prompts"))

# The `js` of every event whose first input is Page.here: what the page says of itself arrives with each of them.
HERE = "(_, ...values) => [secondRound.here(), ...values]"

# What follows the typing: past the queue, since a full house must not keep anyone from reading; the latest words count,
# and the page waits a little before it asks, so that a quick typist does not ask at every letter.
LATE = {
    "queue": False,
    "trigger_mode": "always_last",
    "js": "async (_, ...values) => { await new Promise((done) => setTimeout(done, 150)); "
    "return [secondRound.here(), ...values]; }",
}

_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD


@dataclass(frozen=True)
class Page:
    """What the tabs share: the parts of the rounds, what the browser says of itself, and the tabs themselves."""

    parts: Parts
    here: gr.JSON
    visits: Visits
    player: Player
    tabs: gr.Tabs

    def event(self, function: Callable, **more: gr.blocks.Block) -> Callable:
        """`function` as Gradio calls it: with the visit that `here` belongs to and with what the form asks for, where
        it takes them, and with the names in its answers replaced by the parts they name. more: parts beside those
        of the page.
        """
        parts, signature = self.parts | more, inspect.signature(function)
        names = list(signature.parameters)
        visits, asks, requests = names[:1] == ["visit"], "ask" in names, "request" in names

        def given(values: tuple) -> tuple:
            if not visits:
                return values
            here, *rest, request = values
            visit = self.visits.of(here, request.session_hash)
            if asks:
                rest = [Ask(**dict(zip(FORM, rest, strict=True)), model=visit.model)]
            return (visit, *rest, request) if requests else (visit, *rest)

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

        if visits:  # Gradio reads from the signature what to pass
            taken = [names[0], *(FORM if asks else [name for name in names[1:] if name != "request"]), "request"]
            called.__signature__ = inspect.Signature([inspect.Parameter(name, _POSITIONAL) for name in taken])
            called.__annotations__ = called.__annotations__ | {"request": gr.Request}
        return called
