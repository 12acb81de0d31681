"""Turns: visitors take turns one denoising step at a time, first come first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline_utils.engine.stops import Stopped


class Turns:
    """A first-come-first-served lock. One holder runs the model; the others wait in line.

    threading.Lock promises no order, and a visitor who releases it between two steps would
    usually get it back at once.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._line: deque[threading.Event] = deque()  # the first in line holds the turn

    @property
    def waiting(self) -> int:
        """How many stand in line behind the holder."""
        return max(0, len(self._line) - 1)

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[Turn]:
        """Waits for a turn and holds it. Raises Stopped when `stop` is set before the turn comes."""
        turn = Turn(self, stop)
        turn.take()
        try:
            yield turn
        finally:
            turn.give()


class Turn:
    """One visitor's place. Not shared between threads."""

    def __init__(self, turns: Turns, stop: threading.Event) -> None:
        self._turns, self._stop = turns, stop
        self._ticket: threading.Event | None = None

    def take(self) -> None:
        ticket = threading.Event()
        with self._turns._mutex:
            self._turns._line.append(ticket)
            if self._turns._line[0] is ticket:
                ticket.set()
        self._ticket = ticket
        while not ticket.wait(0.1):
            if self._stop.is_set():
                self.give()
                raise Stopped

    def give(self) -> None:
        """Leaves the line, from its head or from within. Does nothing when already out of it."""
        ticket, self._ticket = self._ticket, None
        if ticket is None:
            return
        with self._turns._mutex:
            self._turns._line.remove(ticket)
            if self._turns._line:
                self._turns._line[0].set()

    def pass_on(self) -> None:
        """Between two steps: to the end of the line, and wait. Raises Stopped when told to stop."""
        if self._stop.is_set():
            raise Stopped
        if self._turns.waiting:
            self.give()
            self.take()
