"""What every part does: load a model, make pictures, and name their bits."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline_utils.bench.gpu.models import build
from pipeline_utils.engine import engine
from pipeline_utils.engine.call import arguments, call_pipe, clone
from pipeline_utils.engine.events import Finished
from pipeline_utils.models import runtime
from pipeline_utils.models.runtime import Device, Loaded
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings

Row = dict[str, Any]  # a line of a table, by column


@dataclass(frozen=True)
class Work:
    """How a part works. toy: as a rehearsal, on the CPU and at toy size."""

    toy: bool

    def start(self, full_determinism: bool = False, offload: str = "none") -> Device:
        """The device, with this process set up for it."""
        own = {"device": "cpu", "threads": 1} if self.toy else {"device": "cuda", "offload": offload}
        return runtime.start(Settings(full_determinism=full_determinism, **own))

    def load(self, name: str, dtype: str = "float16", lanes: int = 4, device: Device | None = None) -> Loaded:
        # A CPU computes in the other formats for minutes.
        return build(name, device or self.start(), "float32" if self.toy else dtype, self.toy, lanes)

    def times(self, count: int) -> int:
        """How often something is repeated: `count` times, in a rehearsal twice at most."""
        return min(count, 2) if self.toy else count


def recipes(loaded: Loaded, count: int, first_seed: int = 0, **values) -> list[Recipe]:
    """Recipes of different seeds and prompts that ride in one call, as far as the lanes reach."""
    prompts = loaded.spec.examples
    return [loaded.recipe(prompts[n % len(prompts)], first_seed + n, **values) for n in range(count)]


def numbers(loaded: Loaded, asked: Sequence[Recipe]) -> np.ndarray:
    """The pictures as the decoder gives them, before they are rounded: [picture, height, width, 3]."""
    found = []
    for indices in engine.calls(loaded, asked, most=1):
        chosen = [asked[i] for i in indices]
        padded = chosen + [chosen[-1]] * (chosen[0].lanes - len(chosen))
        call = arguments(padded, loaded.spec.family) | {"output_type": "np"}
        result, *_ = call_pipe(clone(loaded.pipe, chosen[0].scheduler), call)
        found += list(result.images[: len(chosen)])
    return np.stack(found)


def played(loaded: Loaded, asked: Sequence[Recipe]) -> dict[int, str]:
    """A round through the engine: the bits of each picture that came out, by its index."""
    events = engine.generate(loaded, asked)
    return {event.index: bits(np.asarray(event.image)) for event in events if isinstance(event, Finished)}


def bits(values: np.ndarray | torch.Tensor) -> str:
    """Twelve hex digits that are equal where every bit is."""
    array = values.detach().float().cpu().numpy() if isinstance(values, torch.Tensor) else values
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def fastest(work: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of `times` runs, each of which must wait for its pictures."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def compile_denoiser(loaded: Loaded, toy: bool) -> None:
    """The denoiser is compiled in place, on its next call; in a rehearsal it is traced and not compiled."""
    denoiser(loaded).compile(backend="eager" if toy else "inductor", dynamic=False)


def denoiser(loaded: Loaded) -> torch.nn.Module:
    return getattr(loaded.pipe, "unet", None) or loaded.pipe.transformer


def tidy() -> None:
    """Gives back what a failed call held, so that the next begins with an empty GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def said(error: BaseException) -> str:
    """An error in one line of a table."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
