"""The models the app knows, and how any other name, folder or file is described. No torch, no gradio."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pipeline_utils.errors import ModelError
from pipeline_utils.models.folder import describe_folder, from_file, from_folder
from pipeline_utils.models.spec import FAMILIES, SAMPLERS, Family, ModelSpec, sampler_class, sampler_label

__all__ = [
    "ALIASES",
    "BUNDLED",
    "FAMILIES",
    "SAMPLERS",
    "Family",
    "ModelSpec",
    "catalog",
    "describe_folder",
    "resolve",
    "sampler_class",
    "sampler_label",
]

ASSETS = Path(__file__).resolve().parents[2] / "assets"

_HUB = (
    ModelSpec(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "Stable Diffusion 1.5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "StableDiffusionPipeline",
        num_inference_steps=50,
        scheduler="PNDMScheduler",
        max_pixels=1024 * 1024,
        note="CreativeML Open RAIL-M. About 3 GB to download.",
    ),
    ModelSpec(
        "stabilityai/stable-diffusion-xl-base-1.0",
        "SDXL 1.0",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "StableDiffusionXLPipeline",
        guidance_scale=5.0,
        scheduler="EulerDiscreteScheduler",
        width=1024,
        height=1024,
        max_pixels=1536 * 1536,
        lanes=1,
        note="CreativeML Open RAIL++-M. About 7 GB to download.",
    ),
    ModelSpec(
        "stabilityai/sdxl-turbo",
        "SDXL-Turbo",
        "stabilityai/sdxl-turbo",
        "StableDiffusionXLPipeline",
        num_inference_steps=1,
        guidance_scale=0.0,
        scheduler="EulerAncestralDiscreteScheduler",
        max_pixels=1024 * 1024,
        extra_schedulers=("LCMScheduler",),
        note="Stability AI Community licence. Trained for 1 to 4 steps without guidance. About 7 GB.",
    ),
    ModelSpec(
        "stabilityai/stable-diffusion-3.5-medium",
        "SD 3.5 Medium",
        "stabilityai/stable-diffusion-3.5-medium",
        "StableDiffusion3Pipeline",
        num_inference_steps=40,
        guidance_scale=4.5,
        scheduler="FlowMatchEulerDiscreteScheduler",
        width=1024,
        height=1024,
        max_pixels=1440 * 1440,
        lanes=1,
        gpu_dtype="bfloat16",
        note="Gated: accept the licence on the hub and log in first. About 16 GB.",
    ),
    ModelSpec(
        "black-forest-labs/FLUX.1-schnell",
        "FLUX.1 schnell",
        "black-forest-labs/FLUX.1-schnell",
        "FluxPipeline",
        num_inference_steps=4,
        guidance_scale=0.0,
        scheduler="FlowMatchEulerDiscreteScheduler",
        width=1024,
        height=1024,
        max_pixels=2048 * 1024,
        lanes=1,
        gpu_dtype="bfloat16",
        note="Apache-2.0. Trained for 1 to 4 steps without guidance. About 34 GB.",
    ),
    ModelSpec(
        "black-forest-labs/FLUX.1-dev",
        "FLUX.1 dev",
        "black-forest-labs/FLUX.1-dev",
        "FluxPipeline",
        num_inference_steps=50,
        guidance_scale=3.5,
        scheduler="FlowMatchEulerDiscreteScheduler",
        width=1024,
        height=1024,
        max_pixels=2048 * 1024,
        lanes=1,
        gpu_dtype="bfloat16",
        note="Gated, non-commercial: accept the licence on the hub and log in first. About 34 GB.",
    ),
    ModelSpec(
        "kakaobrain/karlo-v1-alpha",
        "Karlo UnCLIP",
        "kakaobrain/karlo-v1-alpha",
        "UnCLIPPipeline",
        num_inference_steps=25,
        guidance_scale=8.0,
        scheduler="UnCLIPScheduler",
        width=256,
        height=256,
        max_pixels=256 * 256,
        note="CreativeML Open RAIL-M. Steps count for prior and decoder; super resolution takes 7.",
    ),
)

ALIASES = {
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sdxl-turbo": "stabilityai/sdxl-turbo",
    "sd35-medium": "stabilityai/stable-diffusion-3.5-medium",
    "flux-schnell": "black-forest-labs/FLUX.1-schnell",
    "flux-dev": "black-forest-labs/FLUX.1-dev",
    "karlo": "kakaobrain/karlo-v1-alpha",
}
BUNDLED = "emoji-sd"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_PINNED = re.compile(r"([^@]+)@([0-9a-f]{40})")


def catalog() -> dict[str, ModelSpec]:
    """Every entry by name, the bundled model first."""
    return {spec.name: spec for spec in (resolve(BUNDLED), *_HUB)}


def resolve(name: str, *, paths: bool = True) -> ModelSpec:
    """The spec that a catalog name, alias, hub id, folder or .safetensors file stands for.

    After a hub id or its alias, @ and a commit of 40 hex digits pin the revision. Nothing is downloaded or
    loaded. With paths=False no file is looked for, as befits a name that came from a visitor. Raises
    ModelError in one sentence.
    """
    if not isinstance(name, str) or not name.strip():
        raise ModelError("model: a name is needed, such as emoji-sd, a hub id, a folder or a .safetensors file.")
    name = name.strip()
    if name == BUNDLED:
        return replace(from_folder(ASSETS / BUNDLED), name=BUNDLED, title="Emoji SD (bundled)")
    alias = ALIASES.get(name)
    for spec in _HUB:
        if (alias or name) == spec.name:
            moved = f"{name} was removed from the hub; these are the same weights. "
            return replace(spec, note=moved + spec.note) if name.startswith("runwayml/") else spec
    if paths and (found := _local(name)):
        return found
    if _HUB_ID.fullmatch(name) and ".." not in name:
        return ModelSpec(name, name, name)
    if (match := _PINNED.fullmatch(name)) and not (spec := resolve(match[1], paths=False)).is_local:
        return replace(spec, revision=match[2])
    raise ModelError(
        f"model: {name[:80]!r} is no catalog name, no existing folder or .safetensors file, "
        "and no hub id of the form owner/name or owner/name@commit."
    )


def is_path(name: str) -> bool:
    """Is this the way a folder or file is written, rather than a catalog name or hub id?"""
    return name.startswith(("/", "./", "../", "~", ".\\")) or name.endswith(".safetensors") or "\\" in name


def _local(name: str) -> ModelSpec | None:
    """The spec of the folder or file at `name`, None when there is nothing there."""
    try:
        path = Path(name).expanduser().resolve()
        if path.is_dir():
            return from_folder(path)
        if path.suffix.lower() == ".safetensors":
            return from_file(path)
        found = path.is_file()
    except (OSError, RuntimeError, ValueError):  # too long, no such home, a null character
        return None
    if found:
        raise ModelError(f"model: {path.name} is no folder and no .safetensors file; other formats are not loaded.")
    return None
