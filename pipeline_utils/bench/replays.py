"""Many replays in random company: every seed must keep its pixels."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pipeline_utils.engine import engine
from pipeline_utils.engine.events import Finished
from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.stops import Turns
from pipeline_utils.models import runtime
from pipeline_utils.proof.comparison import differing_pixels
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings

KINDS = 24  # different recipes; each is made again many times
MOST = 11  # pictures in one round, so that calls are full, ragged and padded


def count(model: str, steps: int, replays: int, processes: int, seed: int) -> int:
    """Prints the number of differing pixels over `replays` pictures. 0 when there is none, else 1.

    Each process makes its share in rounds of random size, order and company, two rounds at a time in
    turns. The first picture of each recipe that any process made is what all others must equal.
    """
    first: dict[str, tuple[bytes, str]] = {}
    made = wrong = pixels = 0
    start = time.monotonic()
    for number in range(processes):
        share = replays // processes + (number < replays % processes)
        command = [
            sys.executable,
            "-m",
            "pipeline_utils.bench.replays",
            model,
            str(steps),
            str(share),
            str(seed + number),
        ]
        root = Path(__file__).resolve().parent.parent.parent
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as worker:
            for line in worker.stdout:
                answer = json.loads(line)
                data = bytes.fromhex(answer["pixels"])
                known, where = first.setdefault(answer["recipe"], (data, answer["where"]))
                made += 1
                pixels += len(data) // 3
                if known != data:
                    a, b = (np.frombuffer(x, np.uint8).reshape(-1, 3) for x in (known, data))
                    bad = differing_pixels(a, b)
                    wrong += bad
                    print(f"{bad} pixels of {answer['recipe']} differ: {where}, then {answer['where']}", flush=True)
        if worker.returncode:
            return 2
        print(f"process {number + 1} of {processes}: {made} pictures, {wrong} differing pixels", flush=True)
    print(
        f"{made} replays of {len(first)} recipes in {processes} processes, {time.monotonic() - start:.0f} s: "
        f"{wrong} differing pixels of {pixels:,}."
    )
    return 0 if wrong == 0 and made == replays else 1


def kinds(loaded: runtime.Loaded, steps: int) -> list[Recipe]:
    """Recipes of several seeds, prompts, samplers (two that draw noise in every step) and guidance scales."""
    spec = loaded.spec
    samplers = [s for s in spec.schedulers if s in ("EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler")]
    prompts = [*spec.examples, *(spec.examples[0] + suffix for suffix in spec.suffixes)]
    return [
        loaded.recipe(
            prompts[n % len(prompts)],
            n % 5 if n % 3 else 4_294_967_295 - n,
            num_inference_steps=steps,
            scheduler=[spec.scheduler, *samplers][(n // 8) % (1 + len(samplers))],
        )
        for n in range(KINDS)
    ]


def work(model: str, steps: int, share: int, seed: int) -> None:
    """One process: a JSON line for each picture."""
    settings = Settings(model=model)
    models = Models(settings, runtime.start(settings))
    models.preload()
    loaded, turns, draw = models.in_memory(), Turns(), random.Random(seed)
    recipes = kinds(loaded, steps)
    left = share
    while left:
        rounds = []
        for _ in range(2):
            size = min(left, draw.randint(1, MOST))
            left -= size
            if size:
                rounds.append([draw.choice(recipes) for _ in range(size)])
        # Two visitors at once: their steps alternate.
        streams = [(asked, engine.generate(loaded, asked, turns)) for asked in rounds]
        while streams:
            asked, events = draw.choice(streams)
            event = next(events, None)
            if event is None:
                streams.remove((asked, events))
            elif isinstance(event, Finished):
                recipe = asked[event.index]
                where = f"process {seed}, place {event.index + 1} of {len(asked)}"
                line = {"recipe": recipe.id, "pixels": event.image.tobytes().hex(), "where": where}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    for name in ("steps", "share", "seed"):
        parser.add_argument(name, type=int)
    work(**vars(parser.parse_args()))
