"""Who is served next by the model, and how much a visitor may ask of it at once."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_utils.errors import UserError

if TYPE_CHECKING:
    from pipeline_utils.engine.rows import Call

_KEPT = 4096  # visitors whose last minute is remembered
_MINUTE = 60.0  # seconds


class Shares:
    """Equal shares of the model's time by visitor, however many rounds each has under way."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}  # seconds, of those who wait

    def order(self, waiting: Sequence[Call]) -> list[Call]:
        """The calls as they are to be made: a first one of each visitor, who had least in front, then a second one.

        Who comes anew begins where the least served of the others stands.
        """
        lines: dict[str, list[Call]] = {}
        for call in waiting:
            lines.setdefault(call.visitor, []).append(call)
        least = min((self._spent[name] for name in lines if name in self._spent), default=0.0)
        self._spent = {name: max(self._spent.get(name, least), least) for name in lines}
        turns = sorted(lines, key=self._spent.__getitem__)
        longest = max(map(len, lines.values()), default=0)
        return [lines[name][turn] for turn in range(longest) for name in turns if turn < len(lines[name])]

    def spent(self, calls: Sequence[Call], seconds: float) -> None:
        """What was made together is paid for together, by pictures."""
        pictures = [call.company.pictures or 1 for call in calls]
        for call, own in zip(calls, pictures, strict=True):
            self._spent[call.visitor] = self._spent.get(call.visitor, 0.0) + seconds * own / sum(pictures)


class Pace:
    """How many pictures each visitor asked for in the last minute. Thread-safe.

    most: pictures a minute; 0 for any number. clock: seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    def take(self, visitor: str, pictures: int) -> None:
        """Counts a round that is asked for. Raises UserError, which says when there is room for it."""
        if not self._most:
            return
        with self._lock:
            now, asked = self._clock(), self._asked.setdefault(visitor, deque())
            self._asked.move_to_end(visitor)
            while len(self._asked) > _KEPT:
                self._asked.popitem(last=False)
            while asked and asked[0][0] <= now - _MINUTE:
                asked.popleft()
            had = sum(number for _, number in asked)
            # A round of more than a minute's pictures has its turn after a minute of rest.
            if had and had + pictures > self._most:
                raise UserError(
                    f"{self._most} pictures a minute are the most for one visitor here. You asked for {had} in the "
                    f"last minute, and this round has {pictures}: come back in {self._wait(asked, pictures, now)} s."
                )
            asked.append((now, pictures))

    def _wait(self, asked: Sequence[tuple[float, int]], pictures: int, now: float) -> int:
        """Whole seconds until so many more are within the bound."""
        left = sum(number for _, number in asked)
        for when, number in asked:
            left -= number
            if not left or left + pictures <= self._most:
                return max(1, round(when + _MINUTE - now))
        return round(_MINUTE)


@dataclass(frozen=True)
class Bounds:
    """Rounds, checks and proofs that may be under way at once; 0 for any number."""

    visitor: int = 0
    address: int = 0

    def check(self, of_visitor: int, of_address: int) -> None:
        """Raises UserError where one more is too many."""
        if self.visitor and of_visitor >= self.visitor:
            raise UserError(
                f"You have {of_visitor} rounds or checks under way, in all of your tabs; {self.visitor} are the most "
                "for one visitor here. Wait for one of them, or stop it."
            )
        if self.address and of_address >= self.address:
            raise UserError(
                f"{of_address} rounds or checks are under way from your network address; {self.address} are the most "
                "for one address here. Come back in a moment."
            )


def address(peer: str, forwarded: str = "") -> str:
    """The network address that a request came from; "" where it is not known.

    peer: who opened the connection. forwarded: the header X-Forwarded-For, whose last public address is the one that
    the nearest proxies saw; it counts only where the peer is no public address itself, so a proxy of this host.
    """
    for name in (peer, *reversed(forwarded.split(","))):
        try:
            if ipaddress.ip_address(name.strip()).is_global:
                return name.strip()
        except ValueError:
            continue
    return ""
