"""Whose event of the server is running, and whether they still listen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gradio.context import LocalContext

from pipeline_utils.engine.stops import Stop, Stops


@contextmanager
def under_way(stops: Stops, kind: str) -> Iterator[Stop]:
    """A flag for work of the event that runs now: set when its visitor says stop, or its client has gone."""
    with stops.during(session(), kind, listener_gone()) as stop:
        yield stop


def session() -> str:
    """Gradio's name of the page or client that sent the event; "" outside of one."""
    request = LocalContext.request.get(None)
    return getattr(request, "session_hash", None) or ""


def listener_gone() -> Callable[[], bool]:
    """A function that says whether the client of the event that runs now cancelled it or closed its stream.

    The server notices a closed stream at once, for pages and programs alike, and marks the event; one that
    is cancelled it forgets. A page that was closed needs no other connection to be missed. A client who
    never opened the stream is never gone.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    events = blocks._queue.event_ids_to_events if blocks else {}
    event = events.get(event_id)
    return lambda: event is not None and not (event.alive and events.get(event_id) is event)
