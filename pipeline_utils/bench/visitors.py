"""Visitors of the app, in a process of its own: their rounds go to the end, and onto a shelf, as page and API do it."""

from __future__ import annotations

import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from pipeline_utils.bench.worker import serve
from pipeline_utils.engine.call import shared
from pipeline_utils.engine.events import Step
from pipeline_utils.engine.pool import Models
from pipeline_utils.picture.picture import Picture
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.studio import Made, RoundEvent, Studio

PICTURES = 4
WATCHED = 8  # steps of a newcomer


class Visitors:
    """They share one studio, which runs on the CPU."""

    def __init__(self, model: str, dtype: str, lanes: str, folder: str) -> None:
        """dtype, lanes: settings of the app. folder: an empty one, for the shelves."""
        settings = Settings(model=model, device="cpu", dtype=dtype, lanes=int(lanes), data=Path(folder))
        models = Models(settings)
        models.preload()
        self._folder, self._shelves, self._draw = Path(folder), count(), random.Random(0)
        self._studio = Studio(settings, models, Shelf(self._folder))
        self._pick: Picture | None = None

    def first(self, prompt: str, previews: bool = False) -> dict[str, Any]:
        """Seconds of a first round of seeds 0 to 3, and the files of its pictures. The first of them is the pick."""
        seconds, made = self._played(self._studio.first_round, Ask(prompt, _seeds(0)), previews=previews)
        self._pick = made[0].picture
        return {"seconds": seconds, "files": [str(each.file) for each in made]}

    def second(self, suffixes: list[str]) -> dict[str, Any]:
        """As first, for a second round of the pick; its control leads."""
        seconds, made = self._played(self._studio.second_round, self._pick, suffixes)
        return {"seconds": seconds, "files": [str(each.file) for each in made]}

    def about(self) -> dict[str, Any]:
        """What the plain call has to be told to make the pick, and where it was made."""
        recipe, spec = self._pick.recipe, self._studio.models.spec(self._studio.models.default)
        return {
            "source": spec.source,
            "revision": "" if spec.is_local else recipe.revision,
            "dtype": recipe.dtype,
            "lanes": recipe.lanes,
            "scheduler": recipe.scheduler,
            "settings": shared(recipe, spec.family),
            "fingerprint": self._pick.fingerprint,
        }

    def together(self, visitors: int, rounds: int, prompts: list[str]) -> float:
        """Seconds until each of them has made first rounds, one after the other."""

        def visit(number: int) -> None:
            for nth in range(rounds):
                ask = Ask(prompts[number % len(prompts)], _seeds(number * rounds + nth))
                self._played(self._studio.first_round, ask)

        began = time.perf_counter()
        with ThreadPoolExecutor(visitors) as pool:
            list(pool.map(visit, range(visitors)))
        return time.perf_counter() - began

    def settle(self, most: float) -> float:
        """Seconds until the sizes of calls that were wanted are tried, which is done while nobody comes."""
        began = time.perf_counter()
        with self._studio.models.use(self._studio.models.default) as loaded:
            while loaded.shapes.wanted and time.perf_counter() - began < most:
                time.sleep(0.1)
        return time.perf_counter() - began

    def newcomer(self, others: int, prompts: list[str]) -> dict[str, float]:
        """wait: seconds until a newcomer sees something while the others make one round after the other.

        step: seconds from one step of a visitor to the next meanwhile, the median of all of them.
        """
        over, enough = threading.Event(), threading.Event()
        steps: list[list[float]] = [[] for _ in range(others + 1)]  # when; the newcomer's are the last

        def watch(number: int, stop: threading.Event) -> Iterator[Step]:
            ask = Ask(prompts[number % len(prompts)], _seeds(number))
            for event in self._studio.first_round(ask, stop=stop, previews=True, shelf=self._shelf()):
                if isinstance(event, Step):
                    steps[number].append(time.perf_counter())
                    yield event

        def visit(number: int) -> None:
            while not over.is_set():
                for _ in watch(number, over):
                    pass

        with ThreadPoolExecutor(others) as pool:
            visits = [pool.submit(visit, number) for number in range(others)]

            def until(all_of_them: Callable[[list[float]], bool]) -> None:
                while not all(all_of_them(times) for times in steps[:-1]):
                    for each in visits:
                        if each.done():
                            each.result()  # raises what ended it
                    time.sleep(0.002)

            try:
                until(lambda times: len(times) > 1)
                # Anywhere within their steps, as a newcomer would come.
                time.sleep(self._draw.random() * (steps[0][-1] - steps[0][-2]))
                began, seen = time.perf_counter(), 0.0
                for event in watch(others, enough):
                    if not seen and event.previews is not None:
                        seen = steps[-1][-1]
                    if seen and len(steps[-1]) >= WATCHED:
                        enough.set()
                wait = (seen or time.perf_counter()) - began  # without previews, the round is what is seen
                until(lambda times: times[-1] > began)
            finally:
                over.set()
        gaps = [later - earlier for times in steps for earlier, later in pairwise(times) if later > began]
        return {"wait": wait, "step": statistics.median(gaps)}

    def _played(self, start: Callable[..., Iterator[RoundEvent]], *asked: Any, **how: Any) -> tuple[float, list[Made]]:
        shelf = self._shelf()
        began = time.perf_counter()
        made = [event for event in start(*asked, shelf=shelf, **how) if isinstance(event, Made)]
        return time.perf_counter() - began, sorted(made, key=lambda each: each.index)

    def _shelf(self) -> Shelf:
        """A new one, since a picture that is on a shelf is not written again."""
        return Shelf(self._folder / str(next(self._shelves)))


def _seeds(number: int) -> str:
    """As many as a round has pictures, other ones for each number."""
    return f"{number * PICTURES}-{number * PICTURES + PICTURES - 1}"


if __name__ == "__main__":
    visitors = Visitors(*sys.argv[1:])
    serve(
        first=visitors.first,
        second=visitors.second,
        about=visitors.about,
        together=visitors.together,
        newcomer=visitors.newcomer,
        settle=visitors.settle,
    )
