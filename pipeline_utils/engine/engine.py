"""The engine: recipes in, events out. It is handed a loaded pipeline and never loads one.

A call always holds `lanes` pictures, so its pixels equal those of the plain call with a list of as many
prompts and generators. They also equal `pipe(prompt, num_images_per_prompt=lanes, generator=[...])`, where
the text encoder reads one prompt instead of a list: on the CPUs measured it gives the same bits either
way, in float32 and in bfloat16. In float32 another batch size changes the last bits of the denoiser.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import diffusers
from diffusers import PNDMScheduler

from pipeline_utils.engine.call import arguments, call_pipe, clone, no_picture, vary
from pipeline_utils.engine.events import Event, Finished, Refused, Step
from pipeline_utils.engine.preview import Watcher
from pipeline_utils.engine.stops import Stopped, Turns, streamed
from pipeline_utils.errors import CapacityError, InputError, ModelError
from pipeline_utils.models import devices
from pipeline_utils.models.devices import GPUS, empty_cache
from pipeline_utils.models.load_errors import ran_out
from pipeline_utils.models.runtime import Loaded, fingerprint
from pipeline_utils.recipe.recipe import Recipe


def generate(
    loaded: Loaded,
    recipes: Sequence[Recipe],
    turns: Turns,
    stop: threading.Event | None = None,
    previews: bool = False,
) -> Iterator[Event]:
    """`make` in a thread of its own, as an iterator. Closing it ends the work as `stop` does.

    Raises InputError or ModelError before any work.
    """
    check(loaded, recipes)
    return streamed(lambda emit, stop: make(loaded, recipes, turns, stop, previews, emit), stop)


def make(
    loaded: Loaded,
    recipes: Sequence[Recipe],
    turns: Turns,
    stop: threading.Event,
    previews: bool,
    emit: Callable[[Event], None],
) -> None:
    """Makes every recipe: a Step after each denoising step, Finished or Refused as pictures come.

    Setting `stop` ends the work within one step with Stopped, and what was emitted is kept. Raises
    InputError or ModelError before any work, CapacityError when memory runs out. A call in which GPU memory was
    short is made once more; where it is short again, the fingerprint of its pictures says so.
    """
    check(loaded, recipes)
    plan, here = calls(recipes), fingerprint(loaded.device)
    done, total = 0, steps(loaded, recipes)
    for indices in plan:
        chosen = [recipes[i] for i in indices]
        # Always exactly `lanes` pictures: pixels are promised for a fixed call shape only.
        padded = chosen + [chosen[-1]] * (chosen[0].lanes - len(chosen))
        begun = done
        with turns.turn(stop) as turn, _explained(loaded, chosen[0]):
            for _ in range(2):
                done = begun
                pipe = vary(clone(loaded.pipe, chosen[0].scheduler), padded)
                watcher = Watcher(pipe, chosen[0].width, chosen[0].height) if previews else None

                def after_step(turn=turn, watcher=watcher, served=tuple(indices)) -> None:
                    nonlocal done
                    done += 1
                    seen = watcher.pictures(len(served)) if watcher else None
                    emit(Step(min(done, total), total, served, seen))
                    if loaded.device.offload == "none":
                        turn.pass_on()
                    elif stop.is_set():  # offload hooks belong to one call at a time
                        raise Stopped

                result, finite, short = call_pipe(pipe, arguments(padded, loaded.spec.family), after_step)
                if not short:
                    break
                empty_cache(loaded.device.type)  # what is cached in pieces may be enough in one
        made_by = here | ({"memory_was_short": True} if short else {})
        flags = getattr(result, "nsfw_content_detected", None) or [False] * len(padded)
        for lane, index in enumerate(indices):
            if finite[lane]:
                emit(Finished(index, result.images[lane].convert("RGB"), made_by, bool(flags[lane])))
            else:
                emit(Refused(index, no_picture(recipes[index])))


def check(loaded: Loaded, recipes: Sequence[Recipe]) -> None:
    """Raises when `loaded` is not the model, the number format or the machine that a recipe asks for."""
    if not recipes:
        raise InputError("round", "0 pictures", "at least one is needed")
    for recipe in recipes:
        if (recipe.model, recipe.revision) != (loaded.spec.name, loaded.revision):
            raise ModelError(
                f"The recipe was made for {recipe.model} at {recipe.revision[:19]}; "
                f"{loaded.spec.name} at {loaded.revision[:19]} is loaded."
            )
        if recipe.dtype != loaded.dtype:
            raise InputError("dtype", recipe.dtype, f"the model is loaded in {loaded.dtype}")
        if recipe.noise_device not in ("cpu", loaded.device.type):
            gpu = GPUS[recipe.noise_device]
            raise InputError("noise_device", recipe.noise_device, f"there is no {gpu} here that the model runs on")
        if recipe.full_determinism != loaded.device.full_determinism:
            state = "with" if loaded.device.full_determinism else "without"
            raise InputError("full_determinism", recipe.full_determinism, f"the app was started {state} it")
        if recipe.offload != loaded.device.offload:
            raise InputError("offload", recipe.offload, f"the app was started with {loaded.device.offload}")
        loaded.spec.check(recipe)


def calls(recipes: Sequence[Recipe]) -> list[list[int]]:
    """Indices of the recipes that ride together, in order; at most `lanes` in one call."""
    result: list[list[int]] = []
    for index, recipe in enumerate(recipes):
        if result and len(result[-1]) < recipe.lanes and alike(recipes[result[-1][0]], recipe):
            result[-1].append(index)
        else:
            result.append([index])
    return result


def steps(loaded: Loaded, recipes: Sequence[Recipe]) -> int:
    """Denoising steps of all calls that make `recipes`."""
    return sum(_steps(loaded, recipes[indices[0]]) for indices in calls(recipes))


def _steps(loaded: Loaded, recipe: Recipe) -> int:
    if loaded.spec.family == "UnCLIPPipeline":
        return 2 * recipe.num_inference_steps + 7  # prior, decoder, super resolution
    kind = getattr(diffusers, recipe.scheduler)
    if kind is PNDMScheduler:  # it begins with steps of several model calls each
        scheduler = kind.from_config(loaded.pipe.scheduler.config)
        scheduler.set_timesteps(recipe.num_inference_steps)
        return len(scheduler.timesteps)
    return recipe.num_inference_steps


def alike(one: Recipe, other: Recipe) -> bool:
    # A negative prompt for one lane is one for all lanes, and none is not the same as "" (see arguments).
    if bool(one.negative_prompt) != bool(other.negative_prompt):
        return False
    own = {"prompt": "x", "negative_prompt": "", "seed": 0, "variation_seed": None, "variation_strength": 0.0}
    return replace(one, **own) == replace(other, **own)


@contextmanager
def _explained(loaded: Loaded, recipe: Recipe) -> Iterator[None]:
    """Turns running out of memory, and a missing deterministic kernel, into a sentence that says what to do."""
    try:
        yield
    except Exception as error:
        if ran_out(error):
            devices.let_go(error, loaded.device.type)
            raise CapacityError(
                f"Memory ran out at {recipe.width}x{recipe.height} with {recipe.lanes} pictures at a time. "
                "Lower the width and height, or start with --lanes 1."
            ) from error
        if isinstance(error, RuntimeError) and loaded.device.full_determinism and "deterministic" in str(error):
            raise ModelError(
                f"{loaded.spec.title} uses an operation that has no deterministic kernel on this device: "
                f"{str(error).splitlines()[0][:200]} Start without --full-determinism, or try another sampler."
            ) from error
        raise
