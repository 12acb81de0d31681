"""Turning work that reports by callback into an iterator."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from pipeline_utils.engine.stops import Stop, Stopped

T = TypeVar("T")


def streamed(
    work: Callable[[Callable[[T], None], threading.Event], None],
    stop: threading.Event | None = None,
    abandon: bool = False,
) -> Iterator[T]:
    """Runs `work(emit, stop)` in a thread of its own and yields what it emits, in order.

    An exception in `work` is raised here, Stopped ends the iteration. Closing the iterator sets
    `stop` and returns at once: it may be closed on the server's event loop, which must not wait.
    abandon: for work that cannot end within a step; once `stop` is set the iteration ends without it.
    """
    stop = stop or Stop()
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
            try:
                kind, value = events.get(timeout=0.1 if abandon else None)
            except queue.Empty:
                if stop.is_set():
                    return
                continue
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    except GeneratorExit:
        stop.set()
        raise


def waited(work: Callable[[], T], stop: threading.Event) -> T:
    """What `work()` answers. Raises Stopped as soon as `stop` is set: `work` then goes on alone."""
    found = list(streamed(lambda emit, _: emit(work()), stop, abandon=True))
    if not found:
        raise Stopped
    return found[0]
