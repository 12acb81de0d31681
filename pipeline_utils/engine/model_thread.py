"""The one thread of this process that runs tensors: it loads the model, and makes everybody's pipeline calls.

OpenMP keeps its own threads for each thread that computes, and two such sets hinder each other: a second thread makes
the same call take nearly twice as long. On CUDA a new thread starts without cuDNN's plans. So a pipeline call is a
light thread inside this one (a greenlet): when it comes to a heavy part of the model it steps aside, and the calls
that wait are made in equal shares by visitor, those that go together as one (see shares and packing). So everybody's
steps alternate, a stop takes effect within one step, and there is one call of the model at a time.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from greenlet import getcurrent, greenlet

from pipeline_utils.engine.shares import Shares
from pipeline_utils.engine.spinning import Spinning
from pipeline_utils.engine.stops import Stopped

if TYPE_CHECKING:
    from pipeline_utils.engine.rows import Call
    from pipeline_utils.engine.trials import Trials

T = TypeVar("T")

REST = 0.5  # seconds without work before sizes of calls are tried
_PATIENCE = 5  # seconds for work that was stopped to end


@dataclass
class _Work:
    function: Callable[[], Any]
    stop: threading.Event
    alone: bool
    threads: int
    answer: Future = field(default_factory=Future)


class _Light(greenlet):
    """A light thread for one piece of work."""

    def __init__(self, work: _Work) -> None:
        super().__init__()
        self.work = work

    def run(self, _first: None) -> None:
        try:
            self.work.answer.set_result(self.work.function())
        except BaseException as error:
            self.work.answer.set_exception(error)


class ModelThread:
    """Starts with the first work it is given. Thread-safe; a forked process has one of its own."""

    def __init__(self) -> None:
        self._fresh()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._fresh)

    def _fresh(self) -> None:
        self._inbox: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._under_way = 0
        self._spinning = Spinning()

    @property
    def under_way(self) -> int:
        """How many pieces of work wait or are half done."""
        return self._under_way

    def run(self, function: Callable[[], T], stop: threading.Event | None = None, *, alone: bool = False) -> T:
        """What `function()` answers, or raises, in the model thread; at once where this is the model thread.

        stop: raises Stopped once it is set, before the next call of a heavy part. alone: nobody else's work goes on
        before it is done, for switches that hold for the whole process and for parts that are moved about.
        """
        if isinstance(getcurrent(), _Light):
            return function()
        import torch

        # A thread asks torch for its own number; what was set elsewhere since this one began is told with the work.
        work = _Work(function, stop or threading.Event(), alone, torch.get_num_threads())
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
                self._thread.start()
            self._under_way += 1
        self._inbox.put(work)
        try:
            while True:
                try:
                    return work.answer.result(0.1)
                except CancelledError:
                    raise Stopped from None
                except KeyboardInterrupt:
                    work.stop.set()
                    wait([work.answer], _PATIENCE)  # inside torch it would make the end of the interpreter an abort
                    raise
                except NotYet:
                    if work.answer.done():  # it is what the work itself raised
                        raise
                    if work.stop.is_set():
                        work.answer.cancel()  # does nothing to work that was begun: that ends by itself
        finally:
            with self._start:
                self._under_way -= 1

    def _serve(self) -> None:
        import torch

        from pipeline_utils.engine.packing import answers, taken
        from pipeline_utils.engine.trials import Trials

        torch.set_grad_enabled(False)  # or who leaves a no_grad block would switch it on for those still inside theirs
        waiting: list[Call] = []
        trials, shares = Trials(), Shares()
        while True:
            while not waiting or not self._inbox.empty():
                work = self._inbox.get() if waiting else self._next(trials)
                if work.answer.set_running_or_notify_cancel():
                    if torch.get_num_threads() != work.threads:
                        torch.set_num_threads(work.threads)
                    _go_on(_Light(work), waiting)
                del work  # or its answer would be kept while nothing waits
            for call in [call for call in waiting if call.light.work.stop.is_set()]:
                waiting.remove(call)
                _go_on(call.light, waiting, Stopped())
            if waiting:
                together = taken(shares.order(waiting))
                trials.saw(together[0].company)
                for call in together:
                    waiting.remove(call)
                began, before = time.perf_counter(), time.process_time()
                found = answers(together)
                shares.spent(together, time.perf_counter() - began)
                if together[0].company.device.type == "cpu":
                    self._spinning.saw(time.perf_counter() - began, time.process_time() - before)
                for call, answer in zip(together, found, strict=True):
                    _go_on(call.light, waiting, answer)
                del together, found, call, answer  # or they would be kept while nothing waits

    def _next(self, trials: Trials) -> _Work:
        """The work that comes next. Until it comes trials are made, a call of the model at a time."""
        while trials.are_open:
            try:
                return self._inbox.get(timeout=REST)
            except queue.Empty:
                while trials.are_open and self._inbox.empty():
                    for _ in trials.one():
                        if not self._inbox.empty():
                            break
        return self._inbox.get()


def asked(call: Call) -> Any:
    """What a heavy part answers. Other work goes on meanwhile, unless this is to be done alone or in another thread."""
    light = getcurrent()
    if isinstance(light, _Light) and not light.work.alone and not call.at_once:
        call.light, call.visitor = light, getattr(light.work.stop, "visitor", "")
        return light.parent.switch(call)
    from pipeline_utils.engine.packing import answers

    (answer,) = answers([call])
    if isinstance(answer, Exception):
        raise answer
    return answer


def _go_on(light: _Light, waiting: list[Call], answer: Any = None) -> None:
    """Lets work go on until it is over or comes to a heavy part. answer: to the call it made; an error is raised."""
    call = light.throw(answer) if isinstance(answer, Exception) else light.switch(answer)
    if not light.dead:
        waiting.append(call)


MODEL = ModelThread()
