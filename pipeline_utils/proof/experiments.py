"""The experiments of "Reproducible pipelines" and "Deterministic batch generation" in the diffusers documentation.

Each makes one of their statements and tries it out with plain pipeline calls, on whatever model is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from huggingface_hub import snapshot_download

from pipeline_utils.models.catalog import FAMILIES
from pipeline_utils.proof.comparison import differing_pixels, l_inf
from pipeline_utils.proof.experiment import Experiment, Result
from pipeline_utils.proof.shared_model import SharedModel, determinism, seeded

if TYPE_CHECKING:
    import torch
    from diffusers import DDIMPipeline

CIFAR = "google/ddpm-cifar10-32"
CIFAR_FOLDER = "SECOND_ROUND_CIFAR"  # environment variable: a local copy of that model
EXPECTED = 1491.1711  # sum of |pixels|, printed in the documentation
TOLERANCE = 0.1  # "a similar, if not the same, result on whatever hardware and PyTorch version"

EXPERIMENTS: list[Experiment] = []  # in the order of the page


def experiment(title: str, code: str) -> Callable:
    """Puts a function among EXPERIMENTS. The page shows its docstring as the statement, and calls it by its name."""

    def add(function: Callable[[SharedModel], Result]) -> Callable[[SharedModel], Result]:
        name = function.__name__.replace("_", "-")
        EXPERIMENTS.append(Experiment(name, title, function.__doc__, code, function))
        return function

    return add


def total(images: np.ndarray) -> float:
    """The sum of |pixels| that the documentation prints."""
    return float(np.abs(images).sum())


@experiment("No generator", "pipe(prompt)\npipe(prompt)")
def no_generator(model: SharedModel) -> Result:
    """Without a generator, two runs give two pictures."""
    one, other = model.call(None), model.call(None)
    found = {"sum 1": total(one), "sum 2": total(other), "L_inf": l_inf(one, other)}
    return Result(l_inf(one, other) > 0, f"Sums of |pixels|: {total(one):.4f} and {total(other):.4f}.", found)


@experiment("A CPU generator", 'pipe(prompt, generator=torch.Generator("cpu").manual_seed(0))')
def cpu_generator(model: SharedModel) -> Result:
    """A generator with a seed makes two runs equal, on every device."""
    one, other = (model.call(seeded([0])[0]) for _ in range(2))
    found = {"sum": total(one), "L_inf": l_inf(one, other)}
    return Result(l_inf(one, other) == 0, f"Both times the sum of |pixels| is {total(one):.4f}.", found)


@experiment(
    "A used generator has moved on",
    "pipe(prompt, generator=g)\npipe(prompt, generator=g)\npipe(prompt, generator=g.manual_seed(0))",
)
def used_generator(model: SharedModel) -> Result:
    """A generator is a random state: used a second time it gives another picture, seeded again the same."""
    generator = seeded([0])[0]
    first, second = model.call(generator), model.call(generator)
    again = model.call(generator.manual_seed(0))
    used, fresh = l_inf(first, second), l_inf(first, again)
    text = f"Used again: L_inf {used:.3g}. Seeded again: L_inf {fresh:.3g}."
    return Result(used > 0 and fresh == 0, text, {"L_inf used": used, "L_inf seeded again": fresh})


@experiment(
    "One generator four times, or four generators",
    "[torch.Generator().manual_seed(0)] * 4\n[torch.Generator().manual_seed(0) for _ in range(4)]",
)
def one_times_four(model: SharedModel) -> Result:
    """A multiplied list holds one generator, used four times; four generators of one seed give one picture."""
    repeated = model.call([seeded([0])[0]] * 4, [model.prompt] * 4)
    fresh = model.call(seeded([0] * 4), [model.prompt] * 4)
    kinds = [len({image.tobytes() for image in images}) for images in (repeated, fresh)]
    text = f"Multiplied: {kinds[0]} different pictures. Four generators: {kinds[1]} in all four places."
    return Result(kinds == [4, 1], text, {"repeated": kinds[0], "fresh": kinds[1]})


@experiment(
    "A list of generators, or each alone",
    "pipe([prompt] * 4, generator=[g0, g1, g2, g3]).images[i]\npipe(prompt, generator=gi).images[0]",
)
def list_or_alone(model: SharedModel) -> Result:
    """Picture i of a batch has the noise of seed i alone; another batch size may change the last bits."""
    from diffusers.utils.torch_utils import randn_tensor

    shape = (4, 4, 8, 8)
    noise = randn_tensor(shape, generator=seeded(range(4)))
    same = all(bool((noise[i] == randn_tensor((1, *shape[1:]), generator=seeded([i])[0])[0]).all()) for i in range(4))
    together = model.call(seeded(range(4)), [model.prompt] * 4)
    alone = np.concatenate([model.call(seeded([i])[0]) for i in range(4)])
    found = {"L_inf": l_inf(together, alone), "differing pixels": differing_pixels(together, alone)}
    text = f"Noise: {'equal' if same else 'not equal'}. Pictures: {found['differing pixels']} of "
    text += f"{together[..., 0].size} pixels differ, L_inf {found['L_inf']:.2g} of 1."
    return Result(same and found["L_inf"] <= 0.05, text, found)


@experiment(
    "One seed, many styles",
    "pipe([prompt] + [prompt + s for s in suffixes], generator=[seed_0() for _ in range(4)])",
)
def styles(model: SharedModel) -> Result:
    """In the second round the prompt without a suffix gives the pick again, bit for bit."""
    first = model.call(seeded(range(4)), [model.prompt] * 4)
    suffixes = (list(model.loaded.spec.suffixes) * 3)[:3]
    second = model.call(seeded([0] * 4), [model.prompt, *(model.prompt + suffix for suffix in suffixes)])
    control, styled = l_inf(first[0], second[0]), min(l_inf(second[0], second[i]) for i in (1, 2, 3))
    text = f"Without a suffix: L_inf {control:.3g}. Each suffix changes the picture."
    return Result(control == 0 and styled > 0, text, {"L_inf control": control, "least L_inf of a style": styled})


@experiment("The device's own generator", 'torch.Generator("cuda").manual_seed(0)')
def device_generator(model: SharedModel) -> Result:
    """A GPU's generator repeats itself, but draws other numbers than the CPU's."""
    device = model.loaded.device.type
    if device == "cpu":
        return Result(None, "The model runs on the CPU, so there is no other device to draw noise on.")
    one, other = (model.call(seeded([0], device)[0]) for _ in range(2))
    twice, against = l_inf(one, other), l_inf(one, model.call(seeded([0])[0]))
    text = f"Twice on {device}: L_inf {twice:.3g}. Against a CPU generator: {against:.3g}."
    return Result(twice == 0 and against > 0, text, {"L_inf twice": twice, "L_inf against CPU": against})


@experiment("DDIM, 50 steps, twice", 'pipe(prompt, num_inference_steps=50, generator=g, output_type="latent")')
def ddim_twice(model: SharedModel) -> Result:
    """The latents of two runs are equal: L_inf dist = 0."""
    family = model.loaded.spec.family
    changes = {"num_inference_steps": 50, "output_type": "np" if family == "UnCLIPPipeline" else "latent"}
    sampler = "its own sampler, since DDIM does not fit it"
    if "DDIMScheduler" in FAMILIES[family].schedulers:
        changes["scheduler"], sampler = "DDIMScheduler", "DDIM"
    generator = seeded([0])[0]
    one, other = (model.call(generator.manual_seed(0), **changes) for _ in range(2))
    dist = l_inf(one, other)
    return Result(dist == 0, f"L_inf dist = {dist} with {sampler}.", {"L_inf": dist})


@experiment("Full determinism on and off", "torch.use_deterministic_algorithms(True)")
def full_determinism(model: SharedModel) -> Result:
    """With deterministic algorithms two runs are equal. Without them they may be, and the bits may be others."""

    def twice(state: bool) -> list[np.ndarray]:
        with determinism(state):
            return [model.call(seeded([0])[0]) for _ in range(2)]

    try:
        runs = [model.alone(partial(twice, state)) for state in (False, True)]
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        reason = str(error).splitlines()[0][:200]
        return Result(False, f"An operation of this model has no deterministic kernel: {reason}")
    off, on, between = l_inf(*runs[False]), l_inf(*runs[True]), l_inf(runs[False][0], runs[True][0])
    text = f"Two runs off: L_inf {off:.3g}. Two runs on: L_inf {on:.3g}. Off against on: L_inf {between:.3g}."
    return Result(on == 0, text, {"L_inf off": off, "L_inf on": on, "L_inf off against on": between})


@experiment(
    "Alone, in a batch, in another slot", "images[0] of [seed 0]\nimages[3] of [seed 7, seed 8, seed 9, seed 0]"
)
def slots(model: SharedModel) -> Result:
    """A seed gives the same pixels whatever company it has, since a call always holds the same number of pictures."""
    lanes = model.loaded.lanes
    wanted = model.recipe(0)
    others = [model.recipe(seed, prompt=model.loaded.spec.examples[-1]) for seed in range(1, lanes + 2)]
    (alone,) = model.make([wanted])
    count, places = 0, sorted({0, lanes - 1, lanes})
    for place in places:
        made = model.make([*others[:place], wanted, *others[place:]])
        count += differing_pixels(made[place], alone)
    where = ", ".join(str(place + 1) for place in places)
    text = f"{count} differing pixels: alone, and as picture {where} of {lanes + 2}, {lanes} in one call."
    return Result(count == 0, text, {"differing pixels": count, "lanes": lanes})


@experiment("Calls of other sizes", "pipe.unet(rows of 5 pictures)[: rows of 4] == pipe.unet(rows of 4 pictures)")
def sizes(model: SharedModel) -> Result:
    """A call of another size is made only after many numbers of it were the plain call's, bit for bit."""
    lanes, tried = model.loaded.lanes, {}
    plain = model.call(seeded(range(lanes)), [model.prompt] * lanes)
    for count in (1, lanes + 1, 2 * lanes):
        made = np.stack(model.make([model.recipe(seed) for seed in range(count)])[:lanes])
        tried[str(count)] = differing_pixels(made, plain[: len(made)])
    rows = [f"{call}: {told(yes)} agree, {told(no)} do not" for call, yes, no in model.loaded.shapes.table()]
    text = f"{sum(tried.values())} differing pixels in rounds of {', '.join(tried)} pictures. Seen so far: "
    return Result(not any(tried.values()), text + ("; ".join(rows) or "no size often enough") + ".", tried)


def told(names: list[str]) -> str:
    return ", ".join(names) or "none"


@experiment("Three visitors at once", "three threads, one pipeline each, the same weights")
def under_load(model: SharedModel) -> Result:
    """Rounds that share the model step by step give the same pixels as one after the other."""
    rounds = [[model.recipe(10 * visitor + n) for n in range(2)] for visitor in range(3)]
    alone = [model.make(recipes) for recipes in rounds]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(model.make, rounds))
    count = sum(differing_pixels(a, b) for x, y in zip(alone, together, strict=True) for a, b in zip(x, y, strict=True))
    text = f"{count} differing pixels in 6 pictures of 3 visitors who shared the model step by step."
    return Result(count == 0, text, {"differing pixels": count})


@experiment("A new process", "python -m pipeline_utils replay recipe.json -o again.png")
def restart(model: SharedModel) -> Result:
    """After a restart the same recipe gives the same bits."""
    import torch

    (here,) = model.make([model.recipe(0)])
    count = differing_pixels(here, model.make_in_new_process(torch.get_num_threads()))
    text = f"{count} differing pixels between this process and a new one."
    return Result(count == 0, text, {"differing pixels": count})


@experiment("Two threads against one", "torch.set_num_threads(1)")
def threads(model: SharedModel) -> Result:
    """On a CPU the number of threads may change the last bits, so it stands in the fingerprint."""
    if model.loaded.device.type != "cpu":
        return Result(None, "The model runs on a GPU, where the number of CPU threads does not matter.")
    import torch

    own = torch.get_num_threads()
    other = 1 if own > 1 else 2
    (here,) = model.make([model.recipe(0)])
    # In a process of its own: a thread that starts here meanwhile would inherit the other count.
    there = model.make_in_new_process(other)
    count = differing_pixels(here, there)
    text = f"{count} of {here.shape[0] * here.shape[1]} pixels differ between {own} and {other} threads"
    text += f", by at most {int(l_inf(here, there))} of 255." if count else "."
    return Result(True, text, {"differing pixels": count, "threads": f"{own} and {other}"})


@experiment(
    "The documentation's own number",
    'ddim = DDIMPipeline.from_pretrained("google/ddpm-cifar10-32", use_safetensors=True)\n'
    'ddim(num_inference_steps=2, output_type="np", generator=torch.Generator("cpu").manual_seed(0))',
)
def cifar(model: SharedModel) -> Result:
    """google/ddpm-cifar10-32, two DDIM steps from seed 0: the sum of |pixels| is 1491.1711."""
    from diffusers import DDIMPipeline

    try:
        folder = os.environ.get(CIFAR_FOLDER) or snapshot_download(
            CIFAR, allow_patterns=["*.json", "*.safetensors"], etag_timeout=5
        )
        ddim = DDIMPipeline.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    except Exception:  # whatever the reason: there is no such model here, and nothing else depends on it
        reason = f"{CIFAR} can be had neither from the hub nor from a folder named by ${CIFAR_FOLDER}"
        return Result(None, f"Not available here: {reason}.")
    ddim.set_progress_bar_config(disable=True)
    return measure_ddim(ddim, model, EXPECTED)


def measure_ddim(ddim: DDIMPipeline, model: SharedModel, expected: float) -> Result:
    """The documentation's experiment on any DDIMPipeline, in one turn: without generators, and twice from seed 0."""

    def run(generator: torch.Generator | None) -> np.ndarray:
        model.check_stop()
        return ddim(num_inference_steps=2, output_type="np", generator=generator).images

    free, fixed = model.alone(lambda: [(run(None), run(None)), (run(seeded([0])[0]), run(seeded([0])[0]))])
    found = {"sum": total(fixed[0]), "expected": expected, "L_inf": l_inf(*fixed), "L_inf without": l_inf(*free)}
    ok = abs(found["sum"] - expected) <= TOLERANCE and found["L_inf"] == 0 < found["L_inf without"]
    text = (
        f"Sum of |pixels|: {found['sum']:.4f}, expected {expected}; again L_inf {found['L_inf']:.3g}. "
        f"Without a generator: {total(free[0]):.4f} and {total(free[1]):.4f}."
    )
    return Result(ok, text, found)
