"""Samplers made from a model's own: what its configuration means to another class, and which step counts work."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pipeline_utils.errors import InputError
from pipeline_utils.models.catalog import sampler_label
from pipeline_utils.recipe.recipe import MAX_STEPS, Recipe

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

# Scripts of rounds say the same. What a configuration does not name is what its own class does, and these are what
# classes do that have no such parameter: they clip nothing, and end without noise.
SILENT = {"clip_sample": False, "set_alpha_to_one": True}
OF_THE_SOLVER = ["algorithm_type", "solver_type", "lower_order_final"]  # of one class, and no part of what it means
# Classes with all of these parameters read the same configuration: of noise that betas add, and of straight flows.
_KINDS = ({"beta_start", "beta_schedule", "prediction_type"}, {"shift", "invert_sigmas"})
_NEEDED = ("rescale_betas_zero_snr", "use_flow_sigmas")  # where a model has them, its sampler must know them
_TRIED = (20, 4, 50, 1)  # steps, one of which has to work before a sampler is offered
_STEP = ("self", "model_output", "timestep", "sample")
_NEAR = 60  # step counts that are looked at each way for one that works


def build(own: SchedulerMixin, scheduler: str) -> SchedulerMixin:
    """A fresh scheduler of the class `scheduler` that means what `own`, the model's, does."""
    return _build(type(own).__name__, dict(own.config), scheduler)


def offered(own: SchedulerMixin, classes: Iterable[str]) -> tuple[str, ...]:
    """The class of `own` first, then those of `classes` that work with its configuration."""
    kind = type(own).__name__

    def works(scheduler: str) -> bool:
        known, here = _parameters(scheduler), _parameters(kind)
        alike = any(names <= known and names <= here for names in _KINDS)
        if not alike or any(own.config.get(name) and name not in known for name in _NEEDED):
            return False
        return any(steps(own, scheduler, count) for count in _TRIED)

    return tuple(each for each in dict.fromkeys((kind, *classes)) if each == kind or works(each))


def steps(own: SchedulerMixin, scheduler: str, count: int) -> int:
    """Denoising steps of a call with `num_inference_steps=count`; 0 where it would fail, or end in no numbers."""
    config = {name: value for name, value in own.config.items() if name != "_use_default_values"}
    return _steps(type(own).__name__, json.dumps(config, sort_keys=True, default=str), scheduler, count)


def check(own: SchedulerMixin, recipe: Recipe) -> None:
    """Raises InputError naming the nearest step counts that work, where the recipe's does not."""
    count = recipe.num_inference_steps
    if steps(own, recipe.scheduler, count):
        return
    fewer = range(count - 1, max(0, count - _NEAR), -1)
    more = range(count + 1, min(MAX_STEPS, count + _NEAR))
    near = [next((str(n) for n in ns if steps(own, recipe.scheduler, n)), "") for ns in (fewer, more)]
    found = " or ".join(filter(None, near))
    label = sampler_label(recipe.scheduler)
    limit = f"{label} works with {found}, as this model configures it" if found else "choose another sampler"
    if near[0] and not near[1]:
        limit = f"{label} takes at most {near[0]}, as this model configures it"
    raise InputError("num_inference_steps", count, limit)


def _build(kind: str, config: Mapping, scheduler: str) -> SchedulerMixin:
    defaults = [] if kind == scheduler else OF_THE_SOLVER
    known = _parameters(scheduler)
    means = config if kind == scheduler else {**SILENT, **config}
    means = {name: value for name, value in means.items() if name in known}  # it would log what it does not know
    return _class(scheduler).from_config({**means, "_use_default_values": defaults})


def _class(scheduler: str) -> type[SchedulerMixin]:
    import diffusers

    return getattr(diffusers, scheduler)


def _parameters(scheduler: str) -> set[str]:
    return set(inspect.signature(_class(scheduler).__init__).parameters)


@functools.lru_cache(maxsize=1024)
def _steps(kind: str, config: str, scheduler: str, count: int) -> int:
    """As steps. Goes through them with a few numbers in the place of a picture and of what a model answers.

    A class whose step is called otherwise has a pipeline of its own, which knows how.
    """
    if not any(names <= _parameters(scheduler) for names in (*_KINDS, {"shift"})):
        return count
    arguments = inspect.signature(_class(scheduler).step).parameters
    if [name for name, each in arguments.items() if each.default is each.empty] != [*_STEP]:
        return count
    import torch

    try:
        made = _build(kind, json.loads(config), scheduler)
        # A flow's shift depends on the size of the picture, and any will do here.
        shift = {"mu": 1.0} if made.config.get("use_dynamic_shifting") else {}
        made.set_timesteps(count, **shift)
        draw = torch.Generator().manual_seed(0)
        more = {"generator": draw} if "generator" in arguments else {}
        learned = 2 if str(made.config.get("variance_type")).startswith("learned") else 1
        sample = torch.randn(1, 3, 8, 8, generator=draw) * getattr(made, "init_noise_sigma", 1.0)
        timesteps = list(made.timesteps)
        for timestep in timesteps:
            if hasattr(made, "scale_model_input"):
                made.scale_model_input(sample, timestep)
            answer = torch.randn(1, 3 * learned, 8, 8, generator=draw)
            sample = made.step(answer, timestep, sample, **more, return_dict=False)[0]
        return len(timesteps) if bool(sample.isfinite().all()) else 0
    except Exception:  # whatever is raised, by whichever class: this does not work
        return 0
