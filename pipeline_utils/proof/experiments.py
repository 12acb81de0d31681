"""The experiments of "Reproducible pipelines" and "Deterministic batch generation", on whatever model is loaded.

Both are pages of the diffusers documentation; each experiment here makes one of their statements and
tries it out with plain pipeline calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from diffusers.utils.torch_utils import randn_tensor

from pipeline_utils.engine.stops import Stopped
from pipeline_utils.errors import UserError
from pipeline_utils.proof.lab import Lab, Result, differing, gap, seeded, total
from pipeline_utils.proof.process import full_determinism, restart, threads
from pipeline_utils.proof.reference import reference

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """claim: what is expected, in one sentence. code: the calls that matter, as one would type them."""

    id: str
    title: str
    claim: str
    code: str
    run: Callable[[Lab], Result]


def no_generator(lab: Lab) -> Result:
    one, other = lab.call(None), lab.call(None)
    found = {"sum 1": total(one), "sum 2": total(other), "L_inf": gap(one, other)}
    return Result(gap(one, other) > 0, f"Sums of |pixels|: {total(one):.4f} and {total(other):.4f}.", found)


def cpu_generator(lab: Lab) -> Result:
    one, other = (lab.call(seeded([0])[0]) for _ in range(2))
    found = {"sum": total(one), "L_inf": gap(one, other)}
    return Result(gap(one, other) == 0, f"Both times the sum of |pixels| is {total(one):.4f}.", found)


def used_generator(lab: Lab) -> Result:
    generator = seeded([0])[0]
    first, second = lab.call(generator), lab.call(generator)
    again = lab.call(generator.manual_seed(0))
    found = {"L_inf used": gap(first, second), "L_inf seeded again": gap(first, again)}
    ok = found["L_inf used"] > 0 and found["L_inf seeded again"] == 0
    return Result(
        ok, f"Used again: L_inf {gap(first, second):.3g}. Seeded again: L_inf {gap(first, again):.3g}.", found
    )


def one_times_four(lab: Lab) -> Result:
    repeated = lab.call([seeded([0])[0]] * 4, [lab.prompt] * 4)
    fresh = lab.call(seeded([0] * 4), [lab.prompt] * 4)
    kinds = [len({image.tobytes() for image in images}) for images in (repeated, fresh)]
    text = f"Multiplied: {kinds[0]} different pictures. Four generators: {kinds[1]} in all four places."
    return Result(kinds == [4, 1], text, {"repeated": kinds[0], "fresh": kinds[1]})


def list_or_alone(lab: Lab) -> Result:
    shape = (4, 4, 8, 8)
    noise = randn_tensor(shape, generator=seeded(range(4)))
    same = all(bool((noise[i] == randn_tensor((1, *shape[1:]), generator=seeded([i])[0])[0]).all()) for i in range(4))
    together = lab.call(seeded(range(4)), [lab.prompt] * 4)
    alone = np.concatenate([lab.call(seeded([i])[0]) for i in range(4)])
    found = {"L_inf": gap(together, alone), "differing pixels": differing(together, alone)}
    text = f"Noise: {'equal' if same else 'not equal'}. Pictures: {found['differing pixels']} of "
    text += f"{together[..., 0].size} pixels differ, L_inf {found['L_inf']:.2g} of 1."
    return Result(same and found["L_inf"] <= 0.05, text, found)


def styles_on_one_seed(lab: Lab) -> Result:
    first = lab.call(seeded(range(4)), [lab.prompt] * 4)
    suffixes = (list(lab.loaded.spec.suffixes) * 3)[:3]
    second = lab.call(seeded([0] * 4), [lab.prompt, *(lab.prompt + suffix for suffix in suffixes)])
    styled = [gap(second[0], second[i]) for i in (1, 2, 3)]
    found = {"L_inf control": gap(first[0], second[0]), "least L_inf of a style": min(styled)}
    ok = found["L_inf control"] == 0 and min(styled) > 0
    return Result(
        ok, f"Without a suffix: L_inf {gap(first[0], second[0]):.3g}. Each suffix changes the picture.", found
    )


def device_generator(lab: Lab) -> Result:
    device = lab.loaded.device.type
    if device == "cpu":
        return Result(None, "The model runs on the CPU, so there is no other device to draw noise on.")
    one, other = (lab.call(seeded([0], device)[0]) for _ in range(2))
    cpu = lab.call(seeded([0])[0])
    found = {"L_inf twice": gap(one, other), "L_inf against CPU": gap(one, cpu)}
    text = f"Twice on {device}: L_inf {found['L_inf twice']:.3g}. Against a CPU generator: {gap(one, cpu):.3g}."
    return Result(found["L_inf twice"] == 0 and found["L_inf against CPU"] > 0, text, found)


def ddim_twice(lab: Lab) -> Result:
    generator = seeded([0])[0]
    latent = "np" if lab.loaded.spec.family == "UnCLIPPipeline" else "latent"
    changes = {"num_inference_steps": 50, "output_type": latent}
    if lab.is_diffusion:
        changes["scheduler"] = "DDIMScheduler"
    one = lab.call(generator.manual_seed(0), **changes)
    other = lab.call(generator.manual_seed(0), **changes)
    sampler = "DDIM" if lab.is_diffusion else "its own sampler, since DDIM does not fit it"
    return Result(gap(one, other) == 0, f"L_inf dist = {gap(one, other)} with {sampler}.", {"L_inf": gap(one, other)})


def slots(lab: Lab) -> Result:
    lanes = lab.loaded.lanes
    wanted = lab.recipe(0)
    others = [lab.recipe(seed, prompt=lab.loaded.spec.examples[-1]) for seed in range(1, lanes + 2)]
    (alone,) = lab.engine([wanted])
    count, places = 0, sorted({0, lanes - 1, lanes})
    for place in places:
        made = lab.engine([*others[:place], wanted, *others[place:]])
        count += differing(made[place], alone)
    where = ", ".join(str(place + 1) for place in places)
    text = f"{count} differing pixels: alone, and as picture {where} of {lanes + 2}, {lanes} in one call."
    return Result(count == 0, text, {"differing pixels": count, "lanes": lanes})


def under_load(lab: Lab) -> Result:
    rounds = [[lab.recipe(10 * visitor + n) for n in range(2)] for visitor in range(3)]
    alone = [lab.engine(recipes) for recipes in rounds]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lab.engine, rounds))
    count = sum(differing(a, b) for x, y in zip(alone, together, strict=True) for a, b in zip(x, y, strict=True))
    text = f"{count} differing pixels in 6 pictures of 3 visitors who took turns step by step."
    return Result(count == 0, text, {"differing pixels": count})


EXPERIMENTS = (
    Experiment(
        "no-generator",
        "No generator",
        "Without a generator, two runs give two pictures.",
        "pipe(prompt)\npipe(prompt)",
        no_generator,
    ),
    Experiment(
        "cpu-generator",
        "A CPU generator",
        "A generator with a seed makes two runs equal, on every device.",
        'pipe(prompt, generator=torch.Generator("cpu").manual_seed(0))',
        cpu_generator,
    ),
    Experiment(
        "used-generator",
        "A used generator has moved on",
        "A generator is a random state: used a second time it gives another picture, seeded again the same.",
        "pipe(prompt, generator=g)\npipe(prompt, generator=g)\npipe(prompt, generator=g.manual_seed(0))",
        used_generator,
    ),
    Experiment(
        "one-times-four",
        "One generator four times, or four generators",
        "A multiplied list holds one generator, used four times; four generators of one seed give one picture.",
        "[torch.Generator().manual_seed(0)] * 4\n[torch.Generator().manual_seed(0) for _ in range(4)]",
        one_times_four,
    ),
    Experiment(
        "list-or-alone",
        "A list of generators, or each alone",
        "Picture i of a batch has the noise of seed i alone; another batch size may change the last bits.",
        "pipe([prompt] * 4, generator=[g0, g1, g2, g3]).images[i]\npipe(prompt, generator=gi).images[0]",
        list_or_alone,
    ),
    Experiment(
        "styles",
        "One seed, many styles",
        "In the second round the prompt without a suffix gives the pick again, bit for bit.",
        "pipe([prompt] + [prompt + s for s in suffixes], generator=[seed_0() for _ in range(4)])",
        styles_on_one_seed,
    ),
    Experiment(
        "device-generator",
        "The device's own generator",
        "A GPU's generator repeats itself, but draws other numbers than the CPU's.",
        'torch.Generator("cuda").manual_seed(0)',
        device_generator,
    ),
    Experiment(
        "ddim-twice",
        "DDIM, 50 steps, twice",
        "The latents of two runs are equal: L_inf dist = 0.",
        'pipe(prompt, num_inference_steps=50, generator=g, output_type="latent")',
        ddim_twice,
    ),
    Experiment(
        "full-determinism",
        "Full determinism on and off",
        "With deterministic algorithms two runs are equal. Without them they may be, and the bits may be others.",
        "torch.use_deterministic_algorithms(True)",
        full_determinism,
    ),
    Experiment(
        "slots",
        "Alone, in a batch, in another slot",
        "A seed gives the same pixels whatever company it has, since a call always holds the same number of pictures.",
        "images[0] of [seed 0]\nimages[3] of [seed 7, seed 8, seed 9, seed 0]",
        slots,
    ),
    Experiment(
        "under-load",
        "Three visitors at once",
        "Rounds that take turns step by step give the same pixels as one after the other.",
        "three threads, one pipeline each, the same weights",
        under_load,
    ),
    Experiment(
        "restart",
        "A new process",
        "After a restart the same recipe gives the same bits.",
        "python -m pipeline_utils replay recipe.json -o again.png",
        restart,
    ),
    Experiment(
        "threads",
        "Two threads against one",
        "On a CPU the number of threads may change the last bits, so it stands in the fingerprint.",
        "torch.set_num_threads(1)",
        threads,
    ),
    Experiment(
        "cifar",
        "The documentation's own number",
        "google/ddpm-cifar10-32, two DDIM steps from seed 0: the sum of |pixels| is 1491.1711.",
        'ddim = DDIMPipeline.from_pretrained("google/ddpm-cifar10-32", use_safetensors=True)\n'
        'ddim(num_inference_steps=2, output_type="np", generator=torch.Generator("cpu").manual_seed(0))',
        reference,
    ),
)


def run(experiments: Sequence[Experiment], lab: Lab) -> Iterator[tuple[Experiment, Result | None]]:
    """(experiment, None) before each, then with its result. Raises Stopped when told to stop."""
    for experiment in experiments:
        yield experiment, None
        try:
            result = experiment.run(lab)
        except Stopped:
            raise
        except UserError as error:
            result = Result(False, str(error))
        except Exception as error:  # a finding too, about this model on this machine
            _log.exception("The experiment %s failed.", experiment.id)
            result = Result(False, f"It failed: {type(error).__name__}: {str(error)[:300]}")
        yield experiment, result
