"""How long a round still takes, told from when its steps and pictures came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MEMORY = 8  # events that count: fewer jump about, more are slow to notice that another visitor came


@dataclass(frozen=True)
class Shares:
    """What a pipeline call takes beside its steps, in steps: to decode its pictures, and to begin."""

    decode: float = 1.0
    begin: float = 0.0


class Pace:
    """For one round. Seconds of any clock; waiting for the turns of others counts like the work itself.

    plan: the places that ride in each call. steps: those of each call, or anything in proportion.
    """

    def __init__(self, plan: Sequence[Sequence[int]], steps: Sequence[float], known: Shares | None = None) -> None:
        self._plan, self._weights = plan, steps
        self._known = known or Shares()
        self._step, self._decode, self._begin = _Mean(), _Mean(), _Mean()
        self._call = -1  # the one whose step was the last, -1 before any
        self._decoded = 0  # calls whose pictures are there
        self._last: float | None = None  # when the last thing happened
        self._to_go = 0

    def step(self, now: float, done: int, total: int, lanes: Sequence[int]) -> None:
        """A denoising step of the call that holds `lanes` is done."""
        call = next(number for number, places in enumerate(self._plan) if places[0] == lanes[0])
        if self._last is not None:
            passed = now - self._last
            if call == self._call:
                self._step.add(passed)
            elif self._step.value is not None:
                self._begin.add(max(0.0, passed - self._step.value))
            elif self._weights[call] == 1:  # calls of one step: whatever comes between two pictures
                self._step.add(passed)
        self._call, self._last, self._to_go = call, now, total - done

    def made(self, now: float, place: int) -> None:
        """The picture at `place` is finished."""
        if self._call >= 0 and place == self._plan[self._call][-1]:
            self._decode.add(now - self._last)
            self._decoded, self._last = self._call + 1, now

    def left(self, now: float) -> float | None:
        """Seconds until the last picture is there; None until two steps of one call were seen."""
        step = self._step.value
        if step is None:
            return None
        shares = self.shares
        calls = len(self._plan)
        work = self._to_go * step
        work += (calls - self._decoded) * shares.decode * step + (calls - 1 - self._call) * shares.begin * step
        return max(0.0, work - (now - self._last))

    @property
    def shares(self) -> Shares:
        """What was seen so far, and what was known before where nothing was."""
        step = self._step.value
        if not step:
            return self._known
        decode, begin = self._decode.value, self._begin.value
        return Shares(
            self._known.decode if decode is None else decode / step,
            self._known.begin if begin is None else begin / step,
        )


class _Mean:
    """The mean of what was added, later values counting more once there are many; None before the first."""

    def __init__(self) -> None:
        self.value: float | None = None
        self._count = 0

    def add(self, value: float) -> None:
        self._count += 1
        before = value if self.value is None else self.value
        self.value = before + (value - before) / min(self._count, _MEMORY)
