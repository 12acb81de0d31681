"""Turning work that reports by callback into an iterator."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from pipeline_utils.turns import Stopped

T = TypeVar("T")


def streamed(
    work: Callable[[Callable[[T], None], threading.Event], None], stop: threading.Event | None = None
) -> Iterator[T]:
    """Runs `work(emit, stop)` in a thread of its own and yields what it emits, in order.

    An exception in `work` is raised here, Stopped ends the iteration. Closing the iterator sets
    `stop` and returns at once: it may be closed on the server's event loop, which must not wait.
    """
    stop = stop or threading.Event()
    events: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()

    def run() -> None:
        try:
            work(lambda event: events.put(("event", event)), stop)
        except Stopped:
            pass
        except BaseException as error:
            events.put(("error", error))
        events.put(("end", None))

    # The caller's context goes along: ZeroGPU finds the visitor's request in it.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="round", daemon=True).start()
    try:
        while True:
            kind, value = events.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    except GeneratorExit:
        stop.set()
        raise
