"""How work ends: everything that is under way hangs on one kind of flag, held by who asked for it."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pipeline_utils.engine.shares import Bounds

T = TypeVar("T")

_KEPT = 4096  # sessions whose visitor is remembered


class Stopped(Exception):
    """The work was stopped; raised out of a pipeline call so that no further step or decode runs."""


class Stop(threading.Event):
    """Set when the work is to end: by a button, by a page that was closed, or by a client that has gone.

    gone: asked whenever the flag is looked at, so it must be quick. visitor: who asked for the work.
    """

    def __init__(self, gone: Callable[[], bool] = lambda: False, visitor: str = "") -> None:
        super().__init__()
        self._gone, self.visitor = gone, visitor
        self._heard: Callable[[], None] = lambda: None
        self._at_end: list[Callable[[], None]] = []

    def set(self) -> None:
        self._heard()
        super().set()

    def when_set(self, function: Callable[[], None]) -> None:
        """Calls `function` just before the flag is set by whoever says stop. It must be quick."""
        self._heard = function

    def is_set(self) -> bool:
        return super().is_set() or self._gone()

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = 0.1 if end is None else min(0.1, end - time.monotonic())
            if left <= 0:
                return False
            super().wait(left)
        return True

    def at_end(self, function: Callable[[], None]) -> None:
        """Calls `function` once when the work is over, however it ends. It must be quick and wait for nothing."""
        self._at_end.append(function)

    def end(self) -> None:
        """The work is over. Called again it does nothing."""
        while self._at_end:
            self._at_end.pop()()


class Stops:
    """What is under way, by session and by kind of work. Thread-safe.

    A session is a tab or a program; what it asks for is counted with that of its visitor's other ones.
    """

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._lock = threading.Lock()
        self._flags: dict[str, list[tuple[str, Stop]]] = {}
        self._visitors: OrderedDict[str, str] = OrderedDict()
        self._addresses: dict[Stop, str] = {}

    def know(self, session: str, visitor: str) -> None:
        """Says whose tab a session is."""
        with self._lock:
            self._visitors[session] = visitor
            self._visitors.move_to_end(session)
            while len(self._visitors) > _KEPT:
                self._visitors.popitem(last=False)

    @contextmanager
    def during(
        self, session: str, kind: str, gone: Callable[[], bool] = lambda: False, address: str = ""
    ) -> Iterator[Stop]:
        """A flag for work that is over when the block ends. Raises as `begin` does."""
        stop = self.begin(session, kind, gone, address)
        try:
            yield stop
        finally:
            self.end(session, stop)

    def begin(self, session: str, kind: str, gone: Callable[[], bool] = lambda: False, address: str = "") -> Stop:
        """A flag for work that begins now. address: of the network, "" where it is not known.

        Raises UserError where the visitor, or the address, has as much under way as may be.
        """
        with self._lock:
            visitor = self._visitors.get(session) or address or (session if self._bounds.visitor else "")
            flags = [stop for flags in self._flags.values() for _, stop in flags]
            theirs = [stop for stop in flags if stop.visitor == visitor]
            near = [stop for stop in flags if address and self._addresses[stop] == address]
            self._bounds.check(len(theirs), len(near))
            stop = Stop(gone, visitor)
            self._addresses[stop] = address
            self._flags.setdefault(session, []).append((kind, stop))
        return stop

    def end(self, session: str, stop: Stop) -> None:
        """The work is over; only flags and lists are touched. Called again it does nothing."""
        with self._lock:
            self._addresses.pop(stop, None)
            left = [entry for entry in self._flags.pop(session, []) if entry[1] is not stop]
            if left:
                self._flags[session] = left
        stop.end()

    def visitors(self) -> set[str]:
        """Who has something under way."""
        with self._lock:
            return {stop.visitor for flags in self._flags.values() for _, stop in flags}

    def under_way(self, session: str, kind: str) -> list[Stop]:
        with self._lock:
            return [stop for other, stop in self._flags.get(session, ()) if other == kind]

    def stop(self, session: str, kind: str) -> bool:
        """Ends what is under way of one kind, within a denoising step. False where nothing is."""
        found = self.under_way(session, kind)
        for stop in found:
            stop.set()
        return bool(found)


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
