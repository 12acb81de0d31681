"""Which sizes of a call give the same bits on this device as the size a recipe is made with."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline_utils.errors import UserError
from pipeline_utils.files import writing

# Numbers that have to be equal before a size is trusted. In float32 a sum in another order shows at once. In halves it
# is mostly rounded to the same number: of the bundled model, three denoising steps of four came out equal by luck.
ENOUGH, ENOUGH_HALVES = 2**18, 2**23
_PATIENCE = 4  # calls from one trial to the next in halves, since there have to be so many
MIXED = "mixed"  # instead of a number of pictures: the recipe's own, but of several visitors, so in other slots
_log = logging.getLogger(__name__)


class Shapes:
    """What was tried, bit by bit, with one model. It is remembered where there is a file for it.

    about: everything that may change which sizes agree: the fingerprint, the weights, the number format.
    tries: or every call is the plain one.
    """

    def __init__(
        self, file: Path | None = None, about: Mapping[str, object] | None = None, *, tries: bool = True
    ) -> None:
        self._file, self._about, self._tries = file, dict(about or {}), tries
        text = json.dumps([self._about, ENOUGH, ENOUGH_HALVES], sort_keys=True)
        self._name = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._calls: dict[str, dict[str, bool]] = self._read().get(self._name, {}).get("calls", {})
        self._halves = self._about.get("dtype", "float32") != "float32"
        self._asked: Counter[tuple[str, str]] = Counter()  # how often, of what is not decided yet
        self._equal: Counter[tuple[str, str]] = Counter()  # and how many numbers
        self.seconds: dict[str, float] = {}  # of the plain call, the fastest that was seen
        self.wanted: dict[str, tuple[Any, set]] = {}  # a call of each kind with open sizes, and which (see trials)

    def agree(self, call: str, pictures: int | str) -> bool | None:
        """Does `call` give the same bits with so many pictures? None: it was not tried often enough."""
        return self._calls.get(call, {}).get(str(pictures))

    def is_due(self, call: str, pictures: int | str) -> bool:
        """Is what was not decided yet to be tried with this call?"""
        self._asked[call, str(pictures)] += 1
        return self._tries and (not self._halves or self._asked[call, str(pictures)] % _PATIENCE == 1)

    def learn(self, call: str, pictures: int | str, agree: bool, numbers: int) -> None:
        """A trial, in which so many numbers were compared: one difference decides, and so do enough equal numbers."""
        self._equal[call, str(pictures)] += numbers
        if agree and self._equal[call, str(pictures)] < (ENOUGH_HALVES if self._halves else ENOUGH):
            return
        self._calls.setdefault(call, {})[str(pictures)] = agree
        if self._file is None:
            return
        known = self._read()
        known[self._name] = {"about": self._about, "calls": self._calls}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with writing(self._file) as stream:
                stream.write(json.dumps(known, indent=1).encode())
        except (OSError, UserError) as error:  # it is tried again after the next start
            _log.warning("What was learnt about equal calls is not kept: %s", error)

    def table(self) -> list[tuple[str, list[str], list[str]]]:
        """For each kind of call what it is, the sizes that agree, and those that do not."""
        return [
            (call, [size for size, same in tried.items() if same], [size for size, same in tried.items() if not same])
            for call, tried in sorted(self._calls.items())
        ]

    def _read(self) -> dict:
        with suppress(OSError, ValueError):
            found = json.loads(self._file.read_text("utf-8")) if self._file else {}
            if isinstance(found, dict):
                return found
        return {}
