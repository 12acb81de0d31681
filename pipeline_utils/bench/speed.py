"""How fast rounds are beside the documentation's script, and what company and previews cost, as ratios of one run.

Script and app have a process each, and take turns: a ratio is of two neighbours in time, and the median of all
turns is told. All run on the CPU. The script is always in float32; the app is once as the script, and once as it
starts by default. On a machine that is not quiet the ratios mean little: threads that wait for each other can lose
far more to others' work in one process than in another. So what others do between the turns is told too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline_utils.bench.worker import Answers, worker
from pipeline_utils.models.sources import resolve
from pipeline_utils.proof.comparison import differing_pixels

LANES = 4  # of the script, whose calls are of four pictures
VISITORS, ROUNDS = 8, 2  # that come together, and that each of them makes
QUIET = 0.2  # cores that others may keep busy
BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # never longer than this process


@dataclass
class Row:
    """pairs: one of each turn; the ratio is the first by the second. percent: told as what it is above 1."""

    work: str
    names: tuple[str, str]
    goal: float | None
    at_most: bool = False
    percent: bool = False
    unit: str = "s"
    pairs: list[tuple[float, float]] = field(default_factory=list)

    def __str__(self) -> str:
        ratio = statistics.median(one / other for one, other in self.pairs)
        goal = met = "–"
        if self.goal is not None:
            goal = ("at most " if self.at_most else "at least ") + self._told(self.goal)
            met = "yes" if (ratio <= self.goal if self.at_most else ratio >= self.goal) else "NO"
        columns = zip(self.names, zip(*self.pairs, strict=True), strict=True)
        beside = ", ".join(f"{name} {statistics.median(values):.3f} {self.unit}" for name, values in columns)
        return f"| {self.work} | {self._told(ratio)} | {goal} | {met} | {beside} |"

    def _told(self, ratio: float) -> str:
        return f"{100 * (ratio - 1):.1f} %" if self.percent else f"{ratio:.2f}"


class Speed:
    """One run: the script, the app as the script, and the app by default, each in its process."""

    def __init__(self, model: str, folder: Path, stack: ExitStack, settle: float) -> None:
        self.spec, self._folder = resolve(model), folder
        self._prompts, self._suffixes = list(self.spec.examples), list(self.spec.suffixes[:LANES])

        def app(dtype: str, lanes: int) -> Answers:
            (home := folder / dtype).mkdir()
            given = (model, dtype, str(lanes), str(home))
            return stack.enter_context(worker("pipeline_utils.bench.visitors", *given))

        self._apps = {"equal": app("float32", LANES), "default": app("auto", 0)}
        for each in self._apps.values():  # the first round of a process pays for what is made once
            each("first", prompt=self._prompts[0])
            each("second", suffixes=self._suffixes)
        self._apps["default"]("together", visitors=VISITORS, rounds=ROUNDS, prompts=self._prompts)  # so does company
        self.newcomer()
        self.settled = max(app("settle", most=settle) for app in self._apps.values())
        as_script = self._apps["equal"]("about")
        self.default = self._apps["default"]("about")
        self._call = {name: as_script[name] for name in ("scheduler", "settings")}
        given = (as_script["source"], as_script["revision"], as_script["dtype"])
        self._plain = stack.enter_context(worker("pipeline_utils.bench.plain", *given))
        self._script("first", self._prompts[0])
        self._script("second", self._prompts[0])
        self.differing = self.pixels = 0

    def rounds(self, turn: int) -> dict[tuple[str, str], float]:
        """Seconds by who and which round, in another order each turn. Pixels of the equal pair are compared."""
        prompt = self._prompts[turn % len(self._prompts)]
        asked = {"first": {"prompt": prompt}, "second": {"suffixes": self._suffixes}}
        found: dict[tuple[str, str], dict] = {}
        for which, values in asked.items():
            asks = {who: partial(app, which, **values) for who, app in self._apps.items()}
            asks["script"] = partial(self._script, which, prompt)
            order = [*asks]
            shift = turn % len(order)
            found |= {(who, which): asks[who]() for who in order[shift:] + order[:shift]}
        pictures = {key: answer["files"] for key, answer in found.items()}
        pick = pictures["script", "first"][:1]  # which the control has to equal
        self._compare(pictures["equal", "first"], pictures["script", "first"])
        self._compare(pictures["equal", "second"], pick + pictures["script", "second"])
        return {key: answer["seconds"] for key, answer in found.items()}

    def visitors(self, turn: int) -> tuple[float, float]:
        """Pictures a second of many visitors, and of one."""
        found = {}
        for count in (VISITORS, 1) if turn % 2 else (1, VISITORS):
            seconds = self._apps["default"]("together", visitors=count, rounds=ROUNDS, prompts=self._prompts)
            found[count] = LANES * ROUNDS * count / seconds
        return found[VISITORS], found[1]

    def previews(self, turn: int) -> tuple[float, float]:
        """Seconds of a first round with previews, and without."""
        prompt, found = self._prompts[turn % len(self._prompts)], {}
        for previews in (True, False) if turn % 2 else (False, True):
            found[previews] = self._apps["default"]("first", prompt=prompt, previews=previews)["seconds"]
        return found[True], found[False]

    def newcomer(self) -> tuple[float, float]:
        """Seconds until a newcomer's first preview, and of one step with all of them."""
        found = self._apps["default"]("newcomer", others=VISITORS, prompts=self._prompts)
        return found["wait"], found["step"]

    def _script(self, which: str, prompt: str) -> dict:
        """The calls of the documentation: one prompt and four seeds; then one seed and four prompts."""
        asked = {"prompt": prompt, "seeds": [*range(LANES)]}
        if which == "second":
            asked = {"prompt": [prompt + suffix for suffix in self._suffixes], "seeds": [0] * len(self._suffixes)}
        (folder := self._folder / which).mkdir(exist_ok=True)
        return self._plain("call", **asked, **self._call, folder=str(folder))

    def _compare(self, ours: list[str], theirs: list[str]) -> None:
        for files in zip(ours, theirs, strict=True):
            one, other = (np.asarray(Image.open(file).convert("RGB")) for file in files)
            self.differing += differing_pixels(one, other)
            self.pixels += one[..., 0].size


def measure(model: str, repeats: int, busy: bool, settle: float) -> int:
    """Prints the table of one run. 0 where script and app made equal pictures, else 1. Raises UserError.

    busy: a neighbour keeps one core busy meanwhile. Then what counts is how much slower that makes each.
    settle: seconds at most for trials before the first turn.
    """
    script, ours = "script", "app"

    def goal(value: float) -> float | None:
        return None if busy else value

    first = {
        "equal": Row("round one as the script", (script, ours), goal(0.97)),
        "default": Row("round one by default", (script, ours), goal(1.4)),
    }
    second = {
        "equal": Row("second round of 5 as the script's 4", (script, ours), goal(0.85)),
        "default": Row("second round of 5 by default", (script, ours), goal(1.2)),
    }
    company = Row(f"{VISITORS} visitors", ("together", "one"), goal(1.5), unit="pictures a second")
    cost = Row("what previews cost", ("with", "without"), goal(1.03), at_most=True, percent=True)
    newcomer = Row(f"a newcomer to {VISITORS}, in steps", ("first preview", "step"), goal(3), at_most=True)
    slower = {
        who: Row(f"{name} beside a busy neighbour", ("beside", "alone"), most, at_most=True)
        for who, name, most in (
            ("equal", "round one as the script", 2.5),
            ("default", "round one by default", 2.5),
            ("script", "the script's round one", None),
        )
    }
    others: list[float | None] = []
    with ExitStack() as stack:
        run = Speed(model, Path(stack.enter_context(tempfile.TemporaryDirectory())), stack, settle)
        here, own = run.default["fingerprint"], run.default["settings"]
        told = ", ".join(f"{name} {value}" for name, value in own.items())
        print(f"{run.spec.title}, {LANES} pictures, {told}, medians of {repeats} turns")
        print(f"by default {run.default['dtype']}, {run.default['lanes']} lanes; the script float32, {LANES} lanes")
        print(f"torch {here['torch']}, {here['threads']} threads, {here['device']}")
        print(f"sizes of calls were tried for {run.settled:.0f} s, as an app does while nobody comes")
        for turn in range(repeats):
            print(f"turn {turn + 1}", flush=True)
            others.append(_others())
            alone = run.rounds(turn) if busy else {}
            with _neighbour() if busy else nullcontext():
                found = run.rounds(turn)
                company.pairs.append(run.visitors(turn))
                cost.pairs.append(run.previews(turn))
                newcomer.pairs.append(run.newcomer())
            for rows, which in ((first, "first"), (second, "second")):
                for who, row in rows.items():
                    row.pairs.append((found[script, which], found[who, which]))
            for who, row in slower.items() if busy else ():
                row.pairs.append((found[who, "first"], alone[who, "first"]))
        if None not in others:
            cores = statistics.median(others)
            quiet = "" if cores < QUIET else ": it was not quiet here, so the ratios mean little"
            print(f"others kept {cores:.1f} of {os.cpu_count()} cores busy{quiet}")
        print("| work | ratio | goal | met | medians |")
        print("|---|---|---|---|---|")
        for row in (*(slower.values() if busy else ()), *first.values(), *second.values(), company, cost, newcomer):
            print(row)
        print(f"{run.differing} differing pixels of {run.pixels:,} between the script and the app as the script.")
    return 1 if run.differing else 0


def _others() -> float | None:
    """How many cores others keep busy, while nothing of this measurement runs; None where /proc does not tell."""

    def ticks() -> np.ndarray:  # user, nice, system, idle, waiting for disks, interrupts (2), stolen
        return np.array(Path("/proc/stat").read_text().split()[1:9], dtype=int)

    try:
        before = ticks()
        time.sleep(0.5)
        spent = ticks() - before
    except OSError:
        return None
    return (os.cpu_count() or 1) * float(1 - spent[3:5].sum() / spent.sum())


@contextmanager
def _neighbour() -> Iterator[None]:
    """Another process that keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()
