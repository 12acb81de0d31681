"""One pipeline call: the weights keep their number formats, and what is no picture is not taken for one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline_utils.models.catalog import sampler_label
from pipeline_utils.recipe.recipe import Recipe


def called(pipe, call: dict[str, Any]) -> tuple[Any, list[bool]]:
    """(what `pipe`, a clone, answers to `call`; for each picture, whether all its numbers are finite)."""
    finite: list[bool] = []

    def look(numbers: torch.Tensor) -> None:  # [picture, ...]
        found = torch.isfinite(numbers).flatten(1).all(dim=1).tolist()
        finite[:] = [here and before for here, before in zip(found, finite or found, strict=True)]

    processor = getattr(pipe, "image_processor", None)
    if processor is None:  # an UnCLIP works on pixels: the last sample is the picture
        scheduler = pipe.super_res_scheduler
        scheduler.step = _seen(scheduler.step, lambda given, result: look(result.prev_sample))
    else:  # decoded pixels, before they are clipped and rounded
        pipe.image_processor = copy.copy(processor)
        pipe.image_processor.postprocess = _seen(processor.postprocess, lambda given, result: look(given))
    with formats_kept(pipe):
        result = pipe(**call)
    return result, finite


def no_picture(recipe: Recipe) -> str:
    """What is said instead of a picture that came out as numbers which are none."""
    return (
        f"Seed {recipe.seed} gives no picture with {recipe.num_inference_steps} steps of "
        f"{sampler_label(recipe.scheduler)} in {recipe.dtype}: some of its numbers are not finite "
        "(NaN or infinity). Try other steps, another sampler or another number format."
    )


@contextmanager
def formats_kept(pipe) -> Iterator[None]:
    """Every weight has its number format again afterwards, whatever happens.

    A pipeline may lift a part to float32 for a while, and leaves it so when it is broken off. Visitors
    share the weights, and a part in another format is another model.
    """
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    before = [
        (held, name, value.dtype)
        for part in parts
        for module in part.modules()
        for held in (module._parameters, module._buffers)
        for name, value in held.items()
        if value is not None
    ]
    try:
        yield
    finally:
        for held, name, dtype in before:
            if held[name].dtype != dtype:
                held[name].data = held[name].data.to(dtype)


def _seen(function: Callable, look: Callable[[torch.Tensor, Any], None]) -> Callable:
    """`function`, with its first argument and its result shown to `look`."""

    def both(given, *args, **kwargs):
        result = function(given, *args, **kwargs)
        look(given, result)
        return result

    return both
