"""Many replays in random company: every recipe must keep the pixels of the plain pipeline call."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from pipeline_utils.bench.worker import serve, worker
from pipeline_utils.engine import engine
from pipeline_utils.engine.call import shared
from pipeline_utils.engine.events import Finished
from pipeline_utils.engine.pool import Models
from pipeline_utils.models import runtime
from pipeline_utils.models.catalog import FAMILIES
from pipeline_utils.proof.comparison import differing_pixels
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings

KINDS, EACH = 6, 4  # recipes that can share a call, and how many of each kind; each is made again many times
MOST = 11  # pictures in one round, so that calls are full, ragged and padded
AT_ONCE = 8  # rounds, at most
DTYPES = ("float32", "bfloat16")  # one after the other, process by process


def count(model: str, steps: int, replays: int, processes: int, seed: int) -> int:
    """Prints the number of differing pixels over `replays` pictures. 0 when there is none, else 1.

    Each process makes its share in rounds of random size, order and company, some of them at a time. What all must
    equal is made in a process without the engine, by a plain call that holds the one recipe in all its lanes.
    """
    known: dict[str, np.ndarray] = {}
    made = wrong = pixels = 0
    start = time.monotonic()
    for number in range(processes):
        given = (model, DTYPES[number % len(DTYPES)], str(steps), str(seed + number))
        with worker("pipeline_utils.bench.replays", *given) as visitors:
            expected = visitors("plainly")
            if not expected["calls"].keys() <= known.keys():
                known |= plain(**expected)
            visitors("begin", share=replays // processes + (number < replays % processes))
            while picture := visitors("picture"):
                right = known[picture["recipe"]]
                data = np.frombuffer(bytes.fromhex(picture["pixels"]), np.uint8).reshape(right.shape)
                bad = differing_pixels(right, data)
                made, wrong, pixels = made + 1, wrong + bad, pixels + right[..., 0].size
                if bad:
                    print(f"{bad} pixels of {picture['recipe']} differ: {picture['where']}", flush=True)
        print(f"process {number + 1} of {processes}: {made} pictures, {wrong} differing pixels", flush=True)
    print(
        f"{made} replays of {len(known)} recipes in {processes} processes, {time.monotonic() - start:.0f} s: "
        f"{wrong} differing pixels of {pixels:,}."
    )
    return 0 if wrong == 0 and made == replays else 1


def plain(source: str, revision: str, dtype: str, calls: dict[str, dict]) -> dict[str, np.ndarray]:
    """The first picture of each plain call, [height, width, 3], by the id of its recipe."""
    found = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        worker("pipeline_utils.bench.plain", source, revision, dtype) as script,
    ):
        for recipe, asked in calls.items():
            first = script("call", **asked, folder=folder)["files"][0]
            found[recipe] = np.asarray(Image.open(first))
    return found


def kinds(loaded: runtime.Loaded, steps: int) -> list[list[Recipe]]:
    """Recipes of several seeds and prompts, by kind: of some steps, size and sampler (two draw noise in every step)."""
    spec, family = loaded.spec, FAMILIES[loaded.spec.family]
    noisy = [s for s in spec.schedulers if s in ("EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler")]
    samplers, prompts = [spec.scheduler, *noisy], [*spec.examples, *(spec.examples[0] + s for s in spec.suffixes)]
    width, height = spec.width, spec.height
    half = [side // 2 // family.size_step * family.size_step for side in (width, height)]
    sizes = [(width, height), (half[0], height), (width, half[1])][: 1 if family.fixed_size else None]
    found = []
    for kind in range(KINDS):
        size = sizes[kind // 2 % len(sizes)]
        common = loaded.recipe(
            prompts[0],
            0,
            num_inference_steps=steps + kind % 4,
            scheduler=samplers[kind % len(samplers)],
            width=size[0],
            height=size[1],
        )
        numbers = range(EACH * kind, EACH * kind + EACH)
        seeds = [n % 5 if n % 3 else 4_294_967_295 - n for n in numbers]
        found.append(
            [replace(common, prompt=prompts[n % len(prompts)], seed=s) for n, s in zip(numbers, seeds, strict=True)]
        )
    return found


class Company:
    """One process of visitors."""

    def __init__(self, model: str, dtype: str, steps: str, seed: str) -> None:
        """steps: the fewest of a recipe. seed: of the random plan."""
        settings = Settings(model=model, dtype=dtype, device="cpu")
        models = Models(settings, runtime.start(settings))
        models.preload()
        self._loaded, self._seed = models.in_memory(), seed
        self._kinds = kinds(self._loaded, int(steps))

    def plainly(self) -> dict[str, Any]:
        """What a plain pipeline has to be told to make each recipe."""
        spec = self._loaded.spec
        return {
            "source": spec.source,
            "revision": "" if spec.is_local else self._loaded.revision,
            "dtype": self._loaded.dtype,
            "calls": {
                recipe.id: {
                    "prompt": [recipe.prompt] * recipe.lanes,
                    "seeds": [recipe.seed] * recipe.lanes,
                    "scheduler": recipe.scheduler,
                    "settings": shared(recipe, spec.family),
                }
                for kind in self._kinds
                for recipe in kind
            },
        }

    def begin(self, share: int) -> None:
        self._pictures = self._made(share)

    def picture(self) -> dict[str, str] | None:
        """The next one, None when the share is made."""
        return next(self._pictures, None)

    def _made(self, left: int) -> Iterator[dict[str, str]]:
        draw = random.Random(self._seed)
        every = [recipe for kind in self._kinds for recipe in kind]
        rounds, wanted = [], draw.randint(1, AT_ONCE)
        while left or rounds:
            while left and len(rounds) < wanted:
                # Half of the rounds are of one kind, as visitors make them, so that calls are full too.
                several = draw.choice([every, draw.choice(self._kinds)])
                asked = draw.choices(several, k=min(left, draw.randint(1, MOST)))
                rounds.append((asked, engine.generate(self._loaded, asked)))
                left -= len(asked)
            asked, events = own = draw.choice(rounds)
            event = next(events, None)
            if event is None:
                rounds.remove(own)
                wanted = draw.randint(1, AT_ONCE)
            elif isinstance(event, Finished):
                where = f"process {self._seed}, place {event.index + 1} of {len(asked)}, {len(rounds)} rounds at a time"
                yield {"recipe": asked[event.index].id, "pixels": event.image.tobytes().hex(), "where": where}


if __name__ == "__main__":
    company = Company(*sys.argv[1:])
    serve(plainly=company.plainly, begin=company.begin, picture=company.picture)
