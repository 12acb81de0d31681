"""Does a picture come out the same in every lane of a call, whatever rides in the others?

It held in every test on CPUs. On a GPU a library may choose another kernel for part of a batch, so it
is tried out when a model is loaded; where it fails, pictures are made one at a time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline_utils.engine import gpu
from pipeline_utils.engine.call import arguments, call_pipe, clone
from pipeline_utils.models.load_errors import ran_out
from pipeline_utils.models.runtime import Loaded

STEPS = 4  # enough for a second-order sampler and for PNDM to leave its start behind
ONE_LANE = (
    "Pictures are made one at a time here: in calls of {lanes} this device gave other bits for the same seed, "
    "depending on its place among the others."
)
NO_MEMORY = "Pictures are made one at a time here: memory ran out when calls of {lanes} were tried at the start."


class LanesDisagree(Exception):
    """The model has one lane from now on, so a round that was built for more is to be built again."""


def settled(loaded: Loaded) -> Loaded:
    """`loaded` as it is, or with one lane and a note in its spec saying why."""
    reason = "" if loaded.lanes == 1 else why_one_lane(loaded)
    return one_lane(loaded, reason) if reason else loaded


def one_lane(loaded: Loaded, reason: str) -> Loaded:
    """`loaded` with one lane, and the reason in its spec's note."""
    return replace(loaded, lanes=1, spec=replace(loaded.spec, note=f"{reason} {loaded.spec.note}".strip()))


def why_one_lane(loaded: Loaded) -> str:
    """Why pictures have to be made one at a time here, as a note to a visitor; "" where they need not."""
    try:
        return "" if lanes_agree(loaded) else ONE_LANE.format(lanes=loaded.lanes)
    except Exception as error:
        if not ran_out(error):
            raise
        gpu.let_go(error, loaded.device.type)
    return NO_MEMORY.format(lanes=loaded.lanes)


def lanes_agree(loaded: Loaded) -> bool:
    """Makes one seed in every lane of a call, among neighbours of other seeds and prompts.

    Compared bit by bit as numbers, before they are rounded to pixels. Costs `lanes` calls of a few steps. Raises
    MemoryError when GPU memory was short, since pictures would be made with other kernels then.
    """
    spec = loaded.spec
    wanted = loaded.recipe(spec.examples[0], 0, num_inference_steps=STEPS)
    first: np.ndarray | None = None
    for lane in range(loaded.lanes):
        # Other neighbours in each call, so that both the lane and the company change.
        seeds = range(1 + lane * loaded.lanes, (lane + 1) * loaded.lanes)
        recipes = [replace(wanted, seed=seed, prompt=spec.examples[-1]) for seed in seeds]
        recipes.insert(lane, wanted)
        pipe = clone(loaded.pipe, wanted.scheduler)
        result, _, short = call_pipe(pipe, arguments(recipes, spec.family) | {"output_type": "np"})
        if short:
            raise MemoryError
        found = result.images[lane]  # height, width, 3
        first = found if first is None else first
        if not np.array_equal(found, first, equal_nan=True):
            return False
    return True
