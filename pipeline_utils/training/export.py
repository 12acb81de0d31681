"""Write the pipeline folder that the app loads."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, StableDiffusionPipeline

from .packages import LABELS, SETS
from .presets import Preset
from .sampling import assemble_pipeline

SAMPLERS = {"DDIM": DDIMScheduler, "DPM++ 2M": DPMSolverMultistepScheduler}


@dataclass(frozen=True)
class Defaults:
    """What the app starts with; chosen by looking at sheets."""

    sampler: str = "DDIM"
    num_inference_steps: int = 12
    guidance_scale: float = 4.0
    example_prompts: tuple[str, ...] = (
        "a burger",
        "a lion",
        "a strawberry",
        "an avocado",
        "a star on a blue background",
        "a pumpkin at night",
    )
    default_suffixes: tuple[str, ...] = (", highly realistic", ", artsy", ", trending", ", colorful")


def with_sampler(pipe: StableDiffusionPipeline, sampler: str) -> StableDiffusionPipeline:
    """The pipeline with a sampler of SAMPLERS; all share noise levels and prediction type."""
    pipe.scheduler = SAMPLERS[sampler].from_config(pipe.scheduler.config)
    return pipe


def export(preset: Preset, work: Path, folder: Path, defaults: Defaults, extras: dict[str, str]) -> None:
    """Save fp16 safetensors aside, then swap: ``folder`` always holds a whole pipeline.

    ``extras``: further text files by name (model card).
    """
    pipe = with_sampler(assemble_pipeline(preset, work), defaults.sampler)
    aside = folder.with_name(folder.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    pipe.to(dtype=torch.float16).save_pretrained(aside, safe_serialization=True)
    # transformers loads a model in the format its config names and diffusers in float32, so a plain
    # `from_pretrained(folder)` would mix the two.
    config = aside / "text_encoder" / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
    settings = {
        "num_inference_steps": defaults.num_inference_steps,
        "guidance_scale": defaults.guidance_scale,
        "sampler": defaults.sampler,
        "width": preset.size,
        "height": preset.size,
        "example_prompts": list(defaults.example_prompts),
        "default_suffixes": list(defaults.default_suffixes),
    }
    (aside / "second_round.json").write_text(json.dumps(settings, indent=2) + "\n")
    (aside / "LICENSE").write_text(licence_note())
    for name, text in extras.items():
        (aside / name).write_text(text)
    for file in aside.rglob("*.safetensors"):
        file.chmod(0o644)
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def licence_note() -> str:
    """Attribution of the pictures that the weights were trained on."""
    lines = [f"- {item.style}: {item.package} {item.version}, {item.author}, {item.licence}" for item in SETS]
    return (
        "The weights, configuration and text in this folder are offered under the Apache\n"
        "License 2.0 as far as rights of the project's authors exist in them.\n\n"
        "They were trained on drawings under these licences:\n\n"
        + "\n".join(lines)
        + f"\n- names and key words: {LABELS.package} {LABELS.version}, {LABELS.author}, "
        f"{LABELS.licence}\n\n"
        "Sets under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/) ask for\n"
        "attribution; the list above is that attribution. The drawings were rendered,\n"
        "recoloured, placed on backgrounds and filtered for training. Pictures made by the\n"
        "model can resemble single drawings of these sets closely: whoever publishes them\n"
        "should keep the attribution.\n"
    )
