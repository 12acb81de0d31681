"""How OpenMP's threads wait for each other: by spinning while each has a core, asleep beside a busy neighbour.

Spinning is the fastest way where the cores are free, and the slowest where they are not: who spins keeps from the core
the thread that is waited for. GNU's OpenMP, which torch brings on Linux, gives up spinning while the process has more
of its threads than cores, and looks at that anew for each wait. So a second set of threads, asleep, is the switch.
On two cores, beside a process that kept one of them busy, the same call took 1.4 s asleep and 3.6 s spinning; with
both cores free it took 1.7 s asleep and 0.9 s spinning. Neither changes a bit of what is computed.
"""

from __future__ import annotations

import sys
import threading

WINDOW = 0.2  # seconds of calls that are looked at together
TAKEN = 0.25  # cores that others take in the mean while the threads spin; spinning, they would use all of theirs
_AGAIN, _LATEST = 3.0, 60.0  # seconds of calls until spinning is tried again: at first, and at most


class Spinning:
    """Used by the model thread alone."""

    def __init__(self) -> None:
        self._seconds = self._used = 0.0
        self._again = _AGAIN
        self._second_set: threading.Event | None = None  # set, it ends the threads that keep the others from spinning

    @property
    def asleep(self) -> bool:
        return self._second_set is not None

    def saw(self, seconds: float, used: float) -> None:
        """A call took so many seconds, and this process used so many of all cores meanwhile."""
        import torch

        self._seconds, self._used = self._seconds + seconds, self._used + used
        if self._seconds < (self._again if self.asleep else WINDOW):
            return
        if self.asleep:  # perhaps the neighbour is gone
            self._second_set.set()
            self._second_set = None
            self._again = min(2 * self._again, _LATEST)
        elif torch.get_num_threads() * self._seconds - self._used > TAKEN * self._seconds and sys.platform == "linux":
            self._sleep()
        else:
            self._again = _AGAIN
        self._seconds = self._used = 0.0

    def _sleep(self) -> None:
        import torch

        self._second_set, there = threading.Event(), threading.Event()

        def keep(end: threading.Event) -> None:
            torch.ones(1 << 20).add_(1)  # large enough to be shared among threads, which brings them about
            there.set()
            end.wait()

        threading.Thread(target=keep, args=(self._second_set,), name="asleep", daemon=True).start()
        there.wait()
