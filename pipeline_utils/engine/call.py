"""One plain pipeline call: a clone to call, its arguments, the noise of its variations, and what came out.

Also, whether a picture comes out the same in every lane of a call, whatever rides in the others. It did in every test
on CPUs. On a GPU a library may choose another kernel for part of a batch, so it is tried out when a model is loaded;
where it fails, pictures are made one at a time.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL, SchedulerMixin

from pipeline_utils.engine.model_thread import asked
from pipeline_utils.engine.packing import once_for_each_text
from pipeline_utils.engine.rows import Call, Company
from pipeline_utils.models import devices, samplers
from pipeline_utils.models.catalog import FAMILIES, sampler_label
from pipeline_utils.models.load_errors import ran_out
from pipeline_utils.models.runtime import Loaded
from pipeline_utils.recipe.recipe import CALLED, Recipe

STEPS = 4  # enough for a second-order sampler and for PNDM to leave its start behind
ONE_LANE = (
    "Pictures are made one at a time here: in calls of {lanes} this device gave other bits for the same seed, "
    "depending on its place among the others."
)
NO_MEMORY = "Pictures are made one at a time here: memory ran out when calls of {lanes} were tried at the start."


def clone(pipe, scheduler: str, company: Company | None = None):
    """A pipeline that shares the weights of `pipe` but owns its scheduler state.

    Two visitors in one pipeline object would overwrite each other's timesteps and guidance. Its heavy calls go
    through the model thread, in `company`; without one each is made as it is.
    """
    own, device = copy.copy(pipe), pipe._execution_device  # where parts go to be run, also while they are offloaded
    own.company = company or Company(device)
    for name, part in pipe.components.items():
        if isinstance(part, SchedulerMixin):
            setattr(own, name, samplers.build(part, scheduler if name == "scheduler" else type(part).__name__))
        elif isinstance(part, torch.nn.Module):
            setattr(own, name, _stand_in(name, part, own.company))
    return own


def _stand_in(name: str, part: torch.nn.Module, company: Company) -> torch.nn.Module:
    """`part` itself to whoever looks at it, but its heavy calls are made by the model thread."""
    own = copy.copy(part)  # shares all weights and settings
    for hooks in ("_forward_hooks", "_forward_pre_hooks"):  # they belong to the call that is made
        setattr(own, hooks, OrderedDict())
    # A pipeline lifts such a decoder to float32 for its call, and everybody's with it.
    lifted = getattr(getattr(part, "config", None), "force_upcast", False) and part.dtype == torch.float16

    def instead(name: str, function: Callable, method: Callable) -> Callable:
        signature = _signature(method)

        def ask(*args, **kwargs):
            if isinstance(part, AutoencoderKL):
                kwargs.pop("generator", None)  # which it does not read
            return once_for_each_text(Call(name, function, signature, args, kwargs, company, lifted), asked)

        return ask

    own.forward = instead(name, part, type(part).forward)
    if hasattr(part, "decode"):
        own.decode = instead(f"{name}.decode", part.decode, type(part).decode)
    return own


@functools.cache
def _signature(method: Callable) -> inspect.Signature:
    """Without self."""
    signature = inspect.signature(method)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def arguments(recipes: Sequence[Recipe], family: str) -> dict[str, Any]:
    """Keyword arguments of the plain diffusers call that makes `recipes`, which share all but prompts and seeds.

    A variation is not among them: see vary. The generators are fresh, since a used one has moved on.
    """
    generators = [torch.Generator(r.noise_device).manual_seed(r.seed) for r in recipes]
    call: dict[str, Any] = {"prompt": [r.prompt for r in recipes], "generator": generators}
    # None and "" differ in SDXL, whose empty negative embedding is zeros: "" in a recipe means none.
    if recipes[0].negative_prompt:
        call["negative_prompt"] = [r.negative_prompt for r in recipes]
    return call | shared(recipes[0], family)


def shared(recipe: Recipe, family: str) -> dict[str, int | float]:
    """The arguments that all pictures of one call have in common."""
    if family == "UnCLIPPipeline":
        return {
            "prior_num_inference_steps": recipe.num_inference_steps,
            "decoder_num_inference_steps": recipe.num_inference_steps,
            "decoder_guidance_scale": recipe.guidance_scale,
        }
    return {name: getattr(recipe, name) for name in CALLED}


class Answer(NamedTuple):
    """result: what the pipeline answers. finite: for each picture, whether all its numbers are.

    short: GPU memory was short meanwhile, so the kernels, and with them the last bits, may be others than usual.
    """

    result: Any
    finite: list[bool]
    short: bool


def call_pipe(pipe, call: dict[str, Any], after_step: Callable[[], None] = lambda: None) -> Answer:
    """Calls `pipe`, a clone, with the arguments `call`.

    after_step: called after each denoising step. What it raises ends the call.
    """
    finite: list[bool] = []

    def look(numbers: torch.Tensor) -> None:  # [picture, ...]
        found = torch.isfinite(numbers).flatten(1).all(dim=1).tolist()
        finite[:] = [here and before for here, before in zip(found, finite or found, strict=True)]

    def on_step_end(_pipe, _step, _timestep, tensors):
        after_step()
        return tensors

    if FAMILIES[type(pipe).__name__].fixed_size:
        # UnCLIP has no step callback; the step methods of its three own schedulers serve instead.
        for part in pipe.components.values():
            if isinstance(part, SchedulerMixin):
                part.step = _watched(part.step, lambda given, result: after_step())
    else:
        call = call | {"callback_on_step_end": on_step_end}
    processor = getattr(pipe, "image_processor", None)
    if processor is None:  # an UnCLIP works on pixels: the last sample is the picture
        scheduler = pipe.super_res_scheduler
        scheduler.step = _watched(scheduler.step, lambda given, result: look(result.prev_sample))
    else:  # decoded pixels, before they are clipped and rounded
        pipe.image_processor = copy.copy(processor)
        pipe.image_processor.postprocess = _watched(processor.postprocess, lambda given, result: look(given))
    with _formats_kept(pipe):
        try:
            result = pipe(**call)
        except BaseException:
            pipe.maybe_free_model_hooks()  # broken off, it would leave an offloaded part on the GPU
            raise
    return Answer(result, finite, pipe.company.short)


def no_picture(recipe: Recipe) -> str:
    """What is said instead of a picture that came out as numbers which are none."""
    return (
        f"Seed {recipe.seed} gives no picture with {recipe.num_inference_steps} steps of "
        f"{sampler_label(recipe.scheduler)} in {recipe.dtype}: some of its numbers are not finite "
        "(NaN or infinity). Try other steps, another sampler or another number format."
    )


@contextmanager
def _formats_kept(pipe) -> Iterator[None]:
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


def _watched(function: Callable, look: Callable[[Any, Any], None]) -> Callable:
    """`function`, with its first argument and its result shown to `look`."""

    def both(given, *args, **kwargs):
        result = function(given, *args, **kwargs)
        look(given, result)
        return result

    return both


def vary(pipe, recipes: Sequence[Recipe]):
    """`pipe`, a clone for one call, with the noise of each recipe that has a variation turned towards its second seed.

    A pipeline draws its noise in `prepare_latents`; here it does so twice, and the two are blended. The noise
    of the others is what it was, bit for bit. What a sampler draws in its steps (Euler a) comes from the
    generator of the picture's own seed, as it is after its first draw, so it is that of the pick at every strength.
    """
    if all(recipe.variation_seed is None for recipe in recipes):
        return pipe
    draw = pipe.prepare_latents
    signature = inspect.signature(draw)

    def blend(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        mixed = one.clone()  # [picture, ...]
        for at, recipe in enumerate(recipes):
            if recipe.variation_seed is not None:
                mixed[at] = slerp(one[at], other[at], recipe.variation_strength)
        return mixed

    def prepare_latents(*args, **kwargs):
        call = signature.bind(*args, **kwargs)
        first = draw(*call.args, **call.kwargs)
        seeds = [recipe.seed if recipe.variation_seed is None else recipe.variation_seed for recipe in recipes]
        call.arguments["generator"] = [
            torch.Generator(recipe.noise_device).manual_seed(seed) for recipe, seed in zip(recipes, seeds, strict=True)
        ]
        second = draw(*call.args, **call.kwargs)
        if isinstance(first, torch.Tensor):
            return blend(first, second)
        return blend(first[0], second[0]), *first[1:]  # Flux returns the places of its patches too

    pipe.prepare_latents = prepare_latents
    return pipe


# Scripts of rounds hold a copy of this function, see as_python.
def slerp(one, other, share):
    """Spherical interpolation: `one` at share 0, `other` at share 1, on the great circle in between."""
    # float64, so that the order of the sums never shows; on the CPU, since Apple's GPUs have none
    a, b = one.cpu().double(), other.cpu().double()
    angle = torch.arccos(((a * b).sum() / (a.norm() * b.norm())).clamp(-1, 1))
    if torch.sin(angle) < 1e-6:  # the same direction: a straight line is the same
        return ((1 - share) * a + share * b).to(one)
    ratio = [torch.sin(part * angle) / torch.sin(angle) for part in (1 - share, share)]
    return (ratio[0] * a + ratio[1] * b).to(one)


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
        devices.let_go(error, loaded.device.type)
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
