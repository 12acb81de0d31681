"""ZeroGPU Spaces lend a GPU for one call of a decorated function, which runs in a forked process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline_utils import engine
from pipeline_utils.engine import Event
from pipeline_utils.models import Models
from pipeline_utils.recipe import Recipe
from pipeline_utils.runtime import Loaded
from pipeline_utils.turns import Turns

# Seconds asked for: a fork and the move to the GPU, then generous time for each step of each call.
_START, _PER_CALL, _PER_STEP, _MOST = 10, 3, 0.5, 120


def here(environment: Mapping[str, str] = os.environ) -> bool:
    """True on a ZeroGPU Space, as the `spaces` package itself decides it."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def seconds(recipes: Sequence[Recipe], previews: bool = False) -> int:
    """GPU seconds to reserve for a round; a shorter wish is served earlier."""
    calls = engine.calls(recipes)
    steps = sum(recipes[indices[0]].num_inference_steps for indices in calls)
    return round(min(_MOST, _START + _PER_CALL * len(calls) + _PER_STEP * steps))


def lent(models: Models) -> Callable[[Loaded, Sequence[Recipe], Turns, threading.Event, bool], Iterator[Event]]:
    """A stand-in for engine.generate that borrows the GPU. Elsewhere the decorator does nothing.

    Only recipes go into the forked process and only events come out of it, because both are
    pickled: the model is found there as it was before the fork, and turns are for one process.
    """
    import spaces

    @spaces.GPU(duration=seconds)
    def make(recipes: Sequence[Recipe], previews: bool) -> Iterator[Event]:
        yield from engine.generate(models.in_memory(), recipes, Turns(), previews=previews)

    def generate(
        loaded: Loaded, recipes: Sequence[Recipe], turns: Turns, stop: threading.Event, previews: bool = False
    ) -> Iterator[Event]:
        for event in make(list(recipes), previews):
            if stop.is_set():
                return
            yield event

    return generate
