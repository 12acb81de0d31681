"""A round as a short script of plain diffusers calls, in the style of the diffusers documentation."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline_utils.engine.call import shared, slerp
from pipeline_utils.engine.engine import alike
from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.models.catalog import BUNDLED, FAMILIES, ModelSpec
from pipeline_utils.models.checkpoints import is_file, is_plain, markers
from pipeline_utils.models.devices import GPUS
from pipeline_utils.models.runtime import WORKSPACES
from pipeline_utils.models.samplers import OF_THE_SOLVER, SILENT
from pipeline_utils.models.sources import absent, local_variant
from pipeline_utils.recipe.recipe import Recipe

_WIDTH = 100  # characters of a line of the script, before a list is broken up


def as_python(recipes: Sequence[Recipe], spec: ModelSpec, fingerprint: Mapping, source: str | None = None) -> str:
    """A script that makes exactly `recipes`, which differ in prompts, seeds and variations only, and saves them as PNG.

    spec: of their model. fingerprint: of the pictures; a CPU's thread count is set from it. source: the
    folder or file to name for a local model; without it the script says where to put one, since a path
    would tell about this machine. Raises InputError when one call cannot serve all recipes, ModelError when
    the model's class is not known.
    """
    if not spec.family:  # a hub model outside the catalog, of which nothing is here
        raise ModelError(f"{spec.title} is not on this machine, so its class is not known.")
    if is_file(spec) and Path(spec.source).is_file() and not is_plain(Path(spec.source)):
        raise ModelError(f"{spec.title} has names that plain diffusers does not read, so there is no script of it.")
    first = recipes[0]
    if not all(alike(first, recipe) for recipe in recipes):
        raise InputError("round", f"{len(recipes)} recipes", "all but prompts, seeds and variations must be the same")
    names = {spec.family if is_file(spec) else "DiffusionPipeline"}
    if _sets_scheduler(first, spec):
        names.add(first.scheduler)
    lines = ["import torch", f"from diffusers import {', '.join(sorted(names))}"]
    if "cuda" in fingerprint:
        workspaces = [f'os.environ["{name}"] = "{size}"' for name, size in WORKSPACES.items()]
        lines = ["import os", "", "# Before CUDA starts.", *workspaces, "", *lines]
    lines += ["", *_switches(first, fingerprint), *_load(first, spec, source, fingerprint), ""]
    if any(recipe.variation_seed is not None for recipe in recipes):
        lines += _blending(spec)
    lines += _round(recipes, spec)
    return "\n".join(lines) + "\n"


def _switches(recipe: Recipe, fingerprint: Mapping) -> list[str]:
    lines = ["torch.backends.cudnn.deterministic = True"] if "cuda" in fingerprint else []
    if recipe.full_determinism:
        lines += [
            "torch.use_deterministic_algorithms(True)",
            "torch.backends.cuda.matmul.allow_tf32 = False",
            "torch.backends.cudnn.allow_tf32 = False",
        ]
    threads = fingerprint.get("threads")
    if isinstance(threads, int) and threads > 0:
        lines.append(f"torch.set_num_threads({threads})  # on a CPU, sums depend on it")
    return [*lines, ""] if lines else []


def _load(recipe: Recipe, spec: ModelSpec, source: str | None, fingerprint: Mapping) -> list[str]:
    dtype = f"dtype=torch.{recipe.dtype}"
    if is_file(spec):
        place = source or f"path/to/{spec.title}.safetensors"
        beside = (Path(spec.source).with_suffix("") / "model_index.json").is_file()
        config = f", config={quoted(str(Path(place).with_suffix('')))}" if beside else ""
        lines = [f"pipe = {spec.family}.from_single_file({quoted(place)}{config}, {dtype})"]
        if marked := markers(Path(spec.source)) if Path(spec.source).is_file() else {}:
            lines += [
                "# What empty weights in the file say of its sampler.",
                f"config = {{**pipe.scheduler.config, **{marked}, '_use_default_values': []}}".replace("'", '"'),
                "pipe.scheduler = type(pipe.scheduler).from_config(config)",
            ]
    elif spec.is_local:
        place = source or (f"assets/{BUNDLED}" if spec.name == BUNDLED else f"path/to/{spec.title}")
        more = {name: None for name in absent(Path(spec.source))}
        variant = local_variant(Path(spec.source)) if Path(spec.source).is_dir() else None
        more |= {"variant": quoted(variant)} if variant else {}
        told = "".join(f", {name}={value}" for name, value in more.items())
        lines = [f"pipe = DiffusionPipeline.from_pretrained({quoted(place)}, {dtype}, use_safetensors=True{told})"]
    else:
        lines = [
            "pipe = DiffusionPipeline.from_pretrained(",
            f"    {quoted(source or spec.source)},",
            f"    revision={quoted(recipe.revision)},",
            f"    {dtype},",
            "    use_safetensors=True,",
            ")",
        ]
    if recipe.offload == "model":
        lines.append("pipe.enable_model_cpu_offload()")
    else:
        lines += [f'pipe.to("{gpu}")' for gpu in GPUS if gpu in fingerprint]
    if _sets_scheduler(recipe, spec):
        lines += [
            "",
            "# What the model's own sampler means, also where that is a default of its class.",
            f"config = {{**{SILENT}, **pipe.scheduler.config}}".replace("'", '"'),
            f'config["_use_default_values"] = {OF_THE_SOLVER}'.replace("'", '"'),
            f"pipe.scheduler = {recipe.scheduler}.from_config(config)",
        ]
    return lines


def _blending(spec: ModelSpec) -> list[str]:
    """The pipeline draws its noise twice, and blends; the lists that it reads come with the round."""
    pair, ids = "one, other", ""
    if spec.family == "FluxPipeline":  # whose noise comes with the places of its patches
        pair, ids = "(one, ids), (other, _)", ", ids"
    return [
        *("", *inspect.getsource(slerp).splitlines(), "", ""),
        "noise = pipe.prepare_latents  # the seventh argument is the list of generators",
        *("", "", "def between(*call):"),
        f"    {pair} = noise(*call), noise(*call[:6], second, *call[7:])",
        f"    return torch.stack([slerp(*three) for three in zip(one, other, share)]){ids}",
        *("", "", "pipe.prepare_latents = between", ""),
    ]


def _round(recipes: Sequence[Recipe], spec: ModelSpec) -> list[str]:
    first, count = recipes[0], len(recipes)
    lanes, padding = first.lanes, -count % first.lanes
    # 1. What differs from picture to picture.
    lists = {"prompts": [r.prompt for r in recipes], "seeds": [r.seed for r in recipes]}
    if first.negative_prompt:
        lists["negative_prompts"] = [r.negative_prompt for r in recipes]
    varied = any(recipe.variation_seed is not None for recipe in recipes)
    if varied:  # a picture without a variation is at share 0
        lists["second_seeds"] = [r.seed if r.variation_seed is None else r.variation_seed for r in recipes]
        lists["shares"] = [r.variation_strength for r in recipes]
    lines = [line for name, values in lists.items() for line in _listed(name, values)]
    # 2. Padding, since another batch size may change the last bits.
    if padding:
        lines += ["", f"# Always {lanes} in one call: another batch size may change the last bits."]
        lines += [f"{name} += {name}[-1:] * {padding}" for name in lists]
    # 3. One call, or one for every `lanes` pictures.
    single = count + padding == lanes
    at = "" if single else "[at]"
    settings = {"negative_prompt": f"negative_prompts{at}"} if first.negative_prompt else {}
    settings |= shared(first, spec.family)
    drawn = f'[torch.Generator("{first.noise_device}").manual_seed(seed) for seed in '
    call = [f"generator = {drawn}seeds{at}]"]
    if varied:
        call += [f"second = {drawn}second_seeds{at}]", f"share = shares{at}"]
    call += [
        "images = pipe(" if single else "images += pipe(",
        f"    prompts{at},",
        "    generator=generator,",
        *(f"    {key}={value}," for key, value in settings.items()),
        ").images",
    ]
    if single:
        lines += ["", *call]
    else:
        lines += ["", "images = []", f"for start in range(0, len(prompts), {lanes}):"]
        lines += ["    " + line for line in [f"at = slice(start, start + {lanes})", *call]]
    lines += ["", f"for number, image in enumerate(images[:{count}]):"]
    return [*lines, '    image.save(f"{number}_seed-{seeds[number]}.png")']


def _listed(name: str, values: Sequence[str | float]) -> list[str]:
    """An assignment of a list; one value that repeats is written once."""
    written = [quoted(value) if isinstance(value, str) else str(value) for value in values]
    if len(values) > 1 and len(set(values)) == 1:
        return [f"{name} = [{written[0]}] * {len(values)}"]
    line = f"{name} = [{', '.join(written)}]"
    return [line] if len(line) <= _WIDTH else [f"{name} = [", *(f"    {value}," for value in written), "]"]


def quoted(text: str) -> str:
    """`text` as a Python literal in double quotes; what cannot be seen is written as an escape."""
    if '"' in text:
        return repr(text)
    return '"' + repr("'" + text)[2:-1] + '"'  # with one ' in it, repr takes double quotes and leaves ' alone


def _sets_scheduler(recipe: Recipe, spec: ModelSpec) -> bool:
    """Is it another sampler than the model's own? An UnCLIP has three of its own."""
    return not FAMILIES[spec.family].fixed_size and recipe.scheduler != (spec.own_scheduler or spec.scheduler)
