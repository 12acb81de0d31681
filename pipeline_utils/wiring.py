"""How an answer of a handler, which names parts of the page, reaches them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from pipeline_utils.handlers import Handlers

Parts = dict[str, gr.blocks.Block]

# The parts of the page that a handler speaks of when it is about a running round, a round, or the pick.
RUN = ("status", "make", "next", "grid", "vary", "stop", "previews")
LOOK = ("rounds", "heading", "empty", "gallery", "sheet_button", "zip_button", "files", "script", "python")
PICK = ("pick", "download", "next_title", "next", "grid", "vary")


@dataclass(frozen=True)
class Page:
    """What the tabs share: the parts of the rounds, whose visit it is, and the tabs themselves."""

    parts: Parts
    visit: gr.State
    handlers: Handlers
    tabs: gr.Tabs


def placed(function: Callable, parts: Parts) -> Callable:
    """`function` with the names in its answers replaced by the parts they name."""

    def place(answer: dict[str, Any]) -> Any:
        # Gradio takes an empty dict for a value; what changes nothing is said in its own way.
        return {parts[name]: value for name, value in answer.items()} or gr.skip()

    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def each(*values: Any) -> Iterator[dict]:
            for answer in function(*values):
                yield place(answer)

        return each

    @wraps(function)
    def once(*values: Any) -> Any:
        return place(function(*values))

    return once
