"""Which ways of computing give the same bits on this machine, and how fast they are."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
import torch

from pipeline_utils.engine.call import arguments, clone
from pipeline_utils.models import runtime
from pipeline_utils.models.runtime import Loaded
from pipeline_utils.models.sources import resolve
from pipeline_utils.proof.comparison import differing_pixels
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings

LANES = (1, 2, 4, 8)
MEMORY = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Row:
    """seconds: for one picture, the faster of two rounds. slots: do all slots of a call agree?"""

    dtype: str
    memory: str
    threads: int
    lanes: int
    pixels: np.ndarray  # pictures, height, width, 3
    seconds: float
    slots: bool


def table(model: str, steps: int, pictures: int) -> None:
    """Prints one line for each combination; the ratios are of this run, taken one after the other."""
    counts = [n for n in (2, 1) if n <= (os.cpu_count() or 1)]
    spec = resolve(model)
    base: Row | None = None
    reference: dict[tuple[str, str, int], Row] = {}
    here = runtime.fingerprint(device())
    print(f"{spec.title}, {steps} steps, {pictures} pictures, torch {here['torch']}, {here['device']}")
    print("| dtype | memory | threads | lanes | slots agree | differing from 4 lanes | from the first line | speed |")
    print("|---|---|---|---|---|---|---|---|")
    for dtype in ("float32", "bfloat16"):
        loaded = runtime.load(spec, Settings(model=model, device="cpu", dtype=dtype), device())
        for memory, layout in MEMORY.items():
            for part in ("unet", "vae"):
                if hasattr(loaded.pipe, part):
                    getattr(loaded.pipe, part).to(memory_format=layout)
            for threads in counts:
                torch.set_num_threads(threads)
                for lanes in sorted(LANES, key=lambda n: n != 4):  # 4 first: the others are compared with it
                    row = measure(loaded, memory, threads, lanes, steps, pictures)
                    base = base or row
                    four = reference.setdefault((dtype, memory, threads), row)
                    from_four, from_base = (differing_pixels(row.pixels, other.pixels) for other in (four, base))
                    print(
                        f"| {dtype} | {memory} | {threads} | {lanes} | {'yes' if row.slots else 'NO'} "
                        f"| {from_four} | {from_base} | {base.seconds / row.seconds:.2f} |",
                        flush=True,
                    )
    total = base.pixels[..., 0].size
    print(f"Of {total} pixels. Speed: pictures a second, the first line being 1 ({1 / base.seconds:.2f} a second).")


def device() -> runtime.Device:
    return runtime.Device("cpu", False, "none")


def measure(loaded: Loaded, memory: str, threads: int, lanes: int, steps: int, pictures: int) -> Row:
    examples = loaded.spec.examples
    recipes = [
        loaded.recipe(examples[seed % len(examples)], seed, num_inference_steps=steps, lanes=lanes)
        for seed in range(pictures)
    ]
    times, found = [], None
    for _ in range(2):
        start = time.perf_counter()
        found = run(loaded, recipes)
        times.append(time.perf_counter() - start)
    moved = run(loaded, [recipes[-1], *recipes[:-1]])  # each in the next slot, among other neighbours
    return Row(
        loaded.dtype, memory, threads, lanes, found, min(times) / pictures, bool((np.roll(moved, -1, 0) == found).all())
    )


def run(loaded: Loaded, recipes: list[Recipe]) -> np.ndarray:
    """All pictures in this very thread, in calls of the recipes' lanes: (pictures, height, width, 3)."""
    found = []
    lanes = recipes[0].lanes
    for start in range(0, len(recipes), lanes):
        chosen = recipes[start : start + lanes]
        padded = chosen + [chosen[-1]] * (lanes - len(chosen))
        pipe = clone(loaded.pipe, chosen[0].scheduler)
        images = pipe(**arguments(padded, loaded.spec.family)).images
        found += [np.asarray(image.convert("RGB")) for image in images[: len(chosen)]]
    return np.stack(found)
