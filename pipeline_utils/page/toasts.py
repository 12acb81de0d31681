"""What goes wrong in an event of the page, as a message that its visitor reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from pipeline_utils.api import told
from pipeline_utils.errors import UserError


@contextmanager
def shown_as_toast() -> Iterator[None]:
    """As `told`, for the page: it reads a message as HTML, and messages quote what was typed."""
    try:
        with told():
            yield
    except gr.Error as error:
        error.message = escape(error.message, quote=False)
        raise


def tell(failure: Exception | None) -> None:
    """The last thing of an event: what went wrong, once the page is usable again."""
    if isinstance(failure, UserError):
        with shown_as_toast():
            raise failure
    if isinstance(failure, gr.Error):  # of the host that lends its GPU: no time left, or none free
        raise failure
    if failure is not None:
        raise failure  # answers.py logs it
