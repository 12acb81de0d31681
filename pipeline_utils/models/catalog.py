"""What a model is: its class, its sensible values, and the hub models known beforehand. No torch, no gradio."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pipeline_utils.errors import InputError
from pipeline_utils.recipe.recipe import MAX_GUIDANCE, Recipe, check_float

ASSETS = Path(__file__).resolve().parents[2] / "assets"
BUNDLED = "emoji-sd"  # a folder of the assets

# Label in the page: class in diffusers. A recipe holds the class name, its scheduler.
SAMPLERS = {
    "DDIM": "DDIMScheduler",
    "DPM-Solver++ 2M": "DPMSolverMultistepScheduler",
    "Euler": "EulerDiscreteScheduler",
    "Euler a": "EulerAncestralDiscreteScheduler",
    "UniPC": "UniPCMultistepScheduler",
    "PNDM": "PNDMScheduler",
    "LCM": "LCMScheduler",
    "Flow Euler": "FlowMatchEulerDiscreteScheduler",
    "UnCLIP": "UnCLIPScheduler",
}
_FEWEST_STEPS = {"PNDMScheduler": 4, "UnCLIPScheduler": 2}  # made of four each; divided by one less
_DIFFUSION = tuple(list(SAMPLERS.values())[:6])
_PLAIN_SUFFIXES = (", highly realistic", ", artsy", ", trending", ", colorful")


@dataclass(frozen=True)
class Family:
    """What pipelines of one class have in common.

    size_step: width and height are multiples of it. variations: noise is drawn once, before the first
    step, so it can be blended. latent_side: of a model that says no size of its own.
    """

    schedulers: tuple[str, ...]
    size_step: int = 8
    negative_prompt: bool = True
    fixed_size: bool = False
    variations: bool = True
    latent_side: int = 128


FAMILIES = {
    "StableDiffusionPipeline": Family(_DIFFUSION, latent_side=64),
    "StableDiffusionXLPipeline": Family(_DIFFUSION),
    "StableDiffusion3Pipeline": Family(("FlowMatchEulerDiscreteScheduler",), 16),
    "FluxPipeline": Family(("FlowMatchEulerDiscreteScheduler",), 16, negative_prompt=False),
    "UnCLIPPipeline": Family(("UnCLIPScheduler",), 1, negative_prompt=False, fixed_size=True, variations=False),
}


@dataclass(frozen=True)
class ModelSpec:
    """One model and its sensible values.

    name: what recipes call it. source: hub id, or the path of a folder or .safetensors file.
    family: pipeline class in diffusers; "" until a hub model outside the catalog is loaded.
    revision: the commit, or the content hash, that is meant; "" for what a folder holds now, and for the
    newest commit. max_pixels: width x height that a round may ask for. lanes: pictures in one pipeline call.
    size_step: of width and height, 0 for that of the family. own_scheduler: class of the one it comes with, where
    that is known. offered: the classes that were found to work when it was loaded.
    """

    name: str
    title: str
    source: str
    family: str = ""
    num_inference_steps: int = 30
    guidance_scale: float = 7.5
    max_guidance: float = MAX_GUIDANCE
    scheduler: str = ""
    width: int = 512
    height: int = 512
    max_pixels: int = 2 * 512 * 512
    lanes: int = 4
    gpu_dtype: str = "float16"
    examples: tuple[str, ...] = (
        "Labrador in the style of Vermeer",
        "a lighthouse in a storm, oil painting",
        "a cup of coffee on a wooden table",
    )
    suffixes: tuple[str, ...] = _PLAIN_SUFFIXES
    extra_schedulers: tuple[str, ...] = ()
    size_step: int = 0
    own_scheduler: str = ""
    offered: tuple[str, ...] = ()
    note: str = ""
    revision: str = ""

    @property
    def is_local(self) -> bool:
        return Path(self.source).is_absolute()

    @property
    def schedulers(self) -> tuple[str, ...]:
        if self.offered:
            return tuple(dict.fromkeys((self.scheduler, *self.offered)))
        own = tuple(filter(None, (self.scheduler, self.own_scheduler)))
        return tuple(dict.fromkeys(own + FAMILIES[self.family].schedulers + self.extra_schedulers))

    @property
    def defaults(self) -> dict[str, int | float | str]:
        """The fields of a recipe for which the model has values of its own."""
        fields = ("num_inference_steps", "guidance_scale", "scheduler", "width", "height")
        return {name: getattr(self, name) for name in fields}

    def check(self, recipe: Recipe) -> None:
        """Raises InputError when this model cannot make `recipe`."""
        family = FAMILIES[self.family]
        step = self.size_step or family.size_step
        fewest = _FEWEST_STEPS.get(recipe.scheduler, 1)
        if recipe.num_inference_steps < fewest:
            limit = f"{sampler_label(recipe.scheduler)} takes {fewest} or more"
            raise InputError("num_inference_steps", recipe.num_inference_steps, limit)
        check_float("guidance_scale", recipe.guidance_scale, 0.0, self.max_guidance)
        # What is not offered for this model may have been before, and pictures are made again as they were made.
        if recipe.scheduler not in {*self.schedulers, *family.schedulers, *self.extra_schedulers}:
            names = ", ".join(sampler_label(s) for s in self.schedulers)
            raise InputError("sampler", sampler_label(recipe.scheduler), f"{self.title} works with {names}")
        if recipe.negative_prompt and not family.negative_prompt:
            raise InputError("negative_prompt", recipe.negative_prompt, f"{self.title} takes none")
        if recipe.variation_seed is not None and not family.variations:
            limit = f"{self.title} draws noise in several places, so it makes no variations"
            raise InputError("variation_seed", recipe.variation_seed, limit)
        for side in ("width", "height"):
            value = getattr(recipe, side)
            if family.fixed_size and value != getattr(self, side):
                raise InputError(side, value, f"{self.title} makes {self.width}x{self.height} pictures only")
            if value % step:
                below = value - value % step
                near = f"{below} or {below + step}" if below else str(step)
                raise InputError(side, value, f"a multiple of {step}, such as {near}")
        if recipe.width * recipe.height > self.max_pixels:
            side = int(self.max_pixels**0.5)
            raise InputError(
                "width x height",
                f"{recipe.width}x{recipe.height}",
                f"at most {self.max_pixels} pixels for {self.title}, such as {side}x{side}",
            )


def _hub() -> tuple[tuple[ModelSpec, ...], dict[str, str]]:
    """(models of the hub known beforehand, their names by alias) from catalog.toml."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    for values in table["models"]:
        values["extra_schedulers"] = tuple(values.get("extra_schedulers", ()))
    return tuple(ModelSpec(source=values["name"], **values) for values in table["models"]), table["aliases"]


HUB, ALIASES = _hub()


def sampler_label(scheduler: str) -> str:
    return next((label for label, name in SAMPLERS.items() if name == scheduler), scheduler)


def sampler_class(sampler: str) -> str:
    """Class name of a sampler given by label or class name, also one that only some models have. Raises InputError."""
    found = SAMPLERS.get(sampler, sampler) if isinstance(sampler, str) else ""
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{2,50}Scheduler", found):
        raise InputError("sampler", sampler, "one of " + ", ".join(SAMPLERS))
    return found
