"""The engine: recipes in, events out. It is handed a loaded pipeline and never loads one.

Its pixels equal those of the plain call of `lanes` pictures, with a list of as many prompts and generators; a call of
another number is only made where it gives the same bits (see packing). They also equal
`pipe(prompt, num_images_per_prompt=lanes, generator=[...])`, where the text encoder reads one prompt instead of a
list: on the CPUs measured it gives the same bits either way, in float32 and in bfloat16.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pipeline_utils.engine.call import Answer, arguments, call_pipe, clone, no_picture, vary
from pipeline_utils.engine.events import Event, Finished, Refused, Step
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.engine.preview import Watcher
from pipeline_utils.engine.rows import Company
from pipeline_utils.engine.stops import Stopped, streamed
from pipeline_utils.errors import CapacityError, InputError, ModelError
from pipeline_utils.models import devices, samplers
from pipeline_utils.models.catalog import FAMILIES
from pipeline_utils.models.devices import GPUS, empty_cache
from pipeline_utils.models.load_errors import ran_out
from pipeline_utils.models.runtime import Loaded, fingerprint
from pipeline_utils.recipe.recipe import Recipe

MOST = 8  # pictures in one pipeline call where any number may be: the first are seen before the last are begun


def generate(
    loaded: Loaded, recipes: Sequence[Recipe], stop: threading.Event | None = None, previews: bool = False
) -> Iterator[Event]:
    """`make` in a thread of its own, as an iterator. Closing it ends the work as `stop` does.

    Raises InputError or ModelError before any work.
    """
    check(loaded, recipes)
    return streamed(lambda emit, stop: make(loaded, recipes, stop, previews, emit), stop)


def make(
    loaded: Loaded,
    recipes: Sequence[Recipe],
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
    here, done, total = fingerprint(loaded.device), 0, steps(loaded, recipes)
    for indices in calls(loaded, recipes):
        chosen = [recipes[i] for i in indices]
        if not _any_number(loaded):
            chosen += [chosen[-1]] * (chosen[0].lanes - len(chosen))

        def call(chosen: list[Recipe] = chosen, served: tuple[int, ...] = tuple(indices), begun: int = done) -> Answer:
            nonlocal done
            watcher: Watcher | None = None

            def after_step() -> None:
                nonlocal done
                done += 1
                seen = watcher.pictures(len(served)) if watcher else None
                emit(Step(min(done, total), total, served, seen))
                if stop.is_set():
                    raise Stopped

            for _ in range(2):
                done = begun
                company = Company(loaded.pipe._execution_device, len(chosen), chosen[0].lanes, loaded.shapes)
                pipe = vary(clone(loaded.pipe, chosen[0].scheduler, company), chosen)
                if previews:
                    watcher = Watcher(pipe, chosen[0].width, chosen[0].height, getattr(loaded.pipe, "vae", None))
                answer = call_pipe(pipe, arguments(chosen, loaded.spec.family), after_step)
                if not answer.short:
                    break
                empty_cache(loaded.device.type)  # what is cached in pieces may be enough in one
            return answer

        with _explained(loaded, chosen[0]):
            # Hooks that move parts about belong to one call at a time.
            result, finite, short = MODEL.run(call, stop, alone=loaded.device.offload != "none")
        made_by = here | ({"memory_was_short": True} if short else {})
        flags = getattr(result, "nsfw_content_detected", None) or [False] * len(chosen)
        for place, index in enumerate(indices):
            if finite[place]:
                emit(Finished(index, result.images[place].convert("RGB"), made_by, bool(flags[place])))
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
        if own := getattr(loaded.pipe, "scheduler", None):
            samplers.check(own, recipe)


def calls(loaded: Loaded, recipes: Sequence[Recipe], most: int = MOST) -> list[list[int]]:
    """Indices of the recipes that go into one pipeline call, in order; at most `most`, or a recipe's lanes."""
    result: list[list[int]] = []
    for index, recipe in enumerate(recipes):
        room = max(recipe.lanes, most) if recipe.lanes > 1 and _any_number(loaded) else recipe.lanes
        if result and len(result[-1]) < room and alike(recipes[result[-1][0]], recipe):
            result[-1].append(index)
        else:
            result.append([index])
    return result


def steps(loaded: Loaded, recipes: Sequence[Recipe]) -> int:
    """Denoising steps of all calls that make `recipes`."""
    return sum(_steps(loaded, recipes[indices[0]]) for indices in calls(loaded, recipes))


def _any_number(loaded: Loaded) -> bool:
    """Do the heavy calls see to their sizes, or must the pipeline call itself hold exactly `lanes` pictures?"""
    fixed = FAMILIES[loaded.spec.family].fixed_size
    whole = fixed or loaded.device.offload != "none" or getattr(loaded.pipe, "safety_checker", None)
    return not whole


def _steps(loaded: Loaded, recipe: Recipe) -> int:
    if loaded.spec.family == "UnCLIPPipeline":
        return 2 * recipe.num_inference_steps + 7  # prior, decoder, super resolution
    return samplers.steps(loaded.pipe.scheduler, recipe.scheduler, recipe.num_inference_steps)


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
