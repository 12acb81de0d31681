"""Whose event of the server is running, and whether they still listen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gradio.context import LocalContext

from pipeline_utils.stops import Stop, Stops


@contextmanager
def under_way(stops: Stops, kind: str) -> Iterator[Stop]:
    """A flag for work of the event that runs now: set when its visitor says stop, or its client has gone."""
    with stops.during(session(), kind, listener_gone()) as stop:
        yield stop


def session() -> str:
    """Gradio's name of the page or client that sent the event; "" outside of one."""
    request = LocalContext.request.get(None)
    return getattr(request, "session_hash", None) or ""


def listener_gone():
    """A function that says whether the client of the event that runs now has closed its stream of answers.

    The server notices that at once, for pages and programs alike, and marks the event; a page that was
    closed needs no other connection to be missed. One who never opened the stream is never gone.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(event_id) if blocks and event_id else None
    return lambda: event is not None and not event.alive
