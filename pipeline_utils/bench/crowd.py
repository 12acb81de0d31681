"""A crowd at the app: visitors in processes of their own, over HTTP, some of whom leave in the middle of a round.

Each makes first and second rounds in turn. Every picture is held against what a lone visitor was given for the same
recipe, by the hash of its pixels. Meanwhile a newcomer comes to the page again and again, and waits for a preview.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import astuple, dataclass
from http.client import HTTPResponse

import psutil

from pipeline_utils.bench.page import App, press, started
from pipeline_utils.bench.worker import serve, worker
from pipeline_utils.errors import UserError
from pipeline_utils.models.sources import resolve
from pipeline_utils.recipe.ask import Ask

LEAVES = 7  # every so many rounds of a visitor one is left in its middle
SEEDS = "0-3"


@dataclass(frozen=True)
class Crowd:
    """What so many visitors had. seconds: of each whole round; newcomers: until a first preview."""

    visitors: int
    pictures: int
    took: float
    seconds: list[float]
    newcomers: list[float]
    wrong: int  # pictures that a lone visitor was given otherwise
    crossed: int  # pictures of another prompt or seed than was asked for
    left: int  # rounds that were left in their middle

    @property
    def rate(self) -> float:
        return self.pictures / self.took


def measure(model: str, visitors: Sequence[int], rounds: int) -> int:
    """Prints a table of crowds of these sizes. 0 where every picture was the right one, else 1. Raises UserError."""
    spec = resolve(model)
    prompts, suffixes = list(spec.examples), list(spec.suffixes[:4])
    with ExitStack() as stack:
        app = stack.enter_context(started(model, SECOND_ROUND_VISITOR_ROUNDS="8"))
        alone = _Visitor(app.url)
        solo = {}
        for (
            prompt
        ) in prompts:  # the first rounds of a process pay for what is made once, and are what others are held to
            solo |= alone.both(prompt, suffixes)
        before, found = _memory(app), []
        for count in visitors:
            found.append(_crowd(app, count, rounds, prompts, suffixes, solo))
            print(f"{count} visitors are done", flush=True)
        after = _memory(app)
    print(f"{spec.title}, {rounds} rounds of each visitor, first and second in turn")
    print(
        "| visitors | pictures a second | against one | a round: median, 95 %, longest | a newcomer's first preview |"
    )
    print("|---|---|---|---|---|")
    for crowd in found:
        ordered = sorted(crowd.seconds)
        middle, late = statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        preview = f"{statistics.median(crowd.newcomers):.2f} s, longest {max(crowd.newcomers):.2f} s"
        print(
            f"| {crowd.visitors} | {crowd.rate:.2f} | {crowd.rate / found[0].rate:.2f} "
            f"| {middle:.2f} s, {late:.2f} s, {ordered[-1]:.2f} s | {preview} |"
        )
    pictures, left = sum(each.pictures for each in found), sum(each.left for each in found)
    wrong, crossed = sum(each.wrong for each in found), sum(each.crossed for each in found)
    print(f"memory of the app: {before / 2**20:,.0f} MiB before, {after / 2**20:,.0f} MiB after")
    print(f"{pictures:,} pictures, {left} rounds left in their middle: {wrong} wrong, {crossed} of somebody else.")
    return 1 if wrong or crossed else 0


def _crowd(app: App, count: int, rounds: int, prompts: list[str], suffixes: list[str], solo: dict[str, str]) -> Crowd:
    newcomers: list[float] = []
    over = threading.Event()

    def newcomer() -> None:
        while not over.is_set():
            newcomers.append(press(app, prompts[0], SEEDS).seen)
            over.wait(1)

    with ExitStack() as stack:
        crowd = [stack.enter_context(worker("pipeline_utils.bench.crowd", app.url)) for _ in range(count)]
        for visitor in crowd:
            visitor("ready")
        pool = stack.enter_context(ThreadPoolExecutor(count + 1))
        began = time.perf_counter()
        asked = [
            pool.submit(visitor, "visit", number=n, rounds=rounds, prompts=prompts, suffixes=suffixes)
            for n, visitor in enumerate(crowd)
        ]
        coming = pool.submit(newcomer)
        answers = [each.result() for each in asked]
        took = time.perf_counter() - began
        over.set()
        coming.result()
    hashes = [pair for answer in answers for pair in answer["hashes"]]
    return Crowd(
        visitors=count,
        pictures=len(hashes),
        took=took,
        seconds=[each for answer in answers for each in answer["seconds"]],
        newcomers=newcomers,
        wrong=sum(solo.get(recipe) != pixels for recipe, pixels in hashes),
        crossed=sum(answer["crossed"] for answer in answers),
        left=sum(answer["left"] for answer in answers),
    )


class _Visitor:
    """A program that asks the named endpoints, as Gradio's documentation says it over plain HTTP."""

    def __init__(self, url: str) -> None:
        self._base = url + "/gradio_api/call/"
        self.crossed = 0

    def both(self, prompt: str, suffixes: list[str]) -> dict[str, str]:
        """A first round, and a second one of its first picture: the pixels' hash by recipe."""
        first = self.ask("first_round", *_first(prompt))
        second = self.ask("second_round", *_second(first, suffixes))
        return dict(self.hashes(first, prompt) + self.hashes(second, prompt))

    def ask(self, name: str, *values: object) -> dict:
        with closing(self._events(name, *values)) as events:
            for event, data in events:
                if event == "complete":
                    return data[0]
                if event == "error":
                    raise UserError(f"The app refused {name}: {data}")
        raise UserError("The app broke off the round.")

    def leave(self, name: str, *values: object) -> None:
        """Asks, and goes before the answer is there."""
        with self._stream(name, *values):
            time.sleep(0.3)

    def _stream(self, name: str, *values: object) -> HTTPResponse:
        body = json.dumps({"data": list(values)}).encode()
        asked = urllib.request.Request(self._base + name, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            event_id = json.load(answer)["event_id"]
        return urllib.request.urlopen(f"{self._base}{name}/{event_id}", timeout=600)

    def _events(self, name: str, *values: object) -> Iterator[tuple[str, object]]:
        with self._stream(name, *values) as stream:
            event = ""
            for line in stream:
                kind, _, text = line.decode().strip().partition(": ")
                if kind == "event":
                    event = text
                elif kind == "data":
                    yield event, json.loads(text)

    def hashes(self, answer: dict, prompt: str) -> list[tuple[str, str]]:
        self.crossed += sum(not picture["prompt"].startswith(prompt) for picture in answer["pictures"])
        return [(picture["recipe_id"], picture["pixel_sha256"]) for picture in answer["pictures"]]


def _visit(url: str, number: int, rounds: int, prompts: list[str], suffixes: list[str]) -> dict:
    """What one visitor of a crowd had, who makes first and second rounds in turn."""
    me, seconds, hashes, left, first = _Visitor(url), [], [], 0, None
    for n in range(rounds):
        prompt = prompts[(number + n // 2) % len(prompts)]
        second = n % 2 and first is not None
        asked = ("second_round", *_second(first, suffixes)) if second else ("first_round", *_first(prompt))
        if (number + n) % LEAVES == LEAVES - 1:
            me.leave(*asked)
            left, first = left + 1, None
            continue
        began = time.perf_counter()
        answer = me.ask(*asked)
        seconds.append(time.perf_counter() - began)
        hashes += me.hashes(answer, prompt)
        first = None if second else answer
    return {"seconds": seconds, "hashes": hashes, "left": left, "crossed": me.crossed}


def _first(prompt: str) -> tuple:
    return astuple(Ask(prompt, SEEDS))


def _second(first: dict, suffixes: list[str]) -> tuple:
    return first["pictures"][0]["id"], suffixes, False


def _memory(app: App) -> int:
    """Bytes."""
    return psutil.Process(app.pid).memory_info().rss


if __name__ == "__main__":
    serve(ready=lambda: True, visit=lambda **asked: _visit(sys.argv[1], **asked))
