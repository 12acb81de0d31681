"""Write the pipeline folder that the app loads."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from .data.looks import STYLES
from .data.meanings import Meanings
from .data.packages import LABELS, SETS
from .data.words import FILLERS, GROUNDS, PREFIXES
from .model.unet import build_scheduler


@dataclass(frozen=True)
class Defaults:
    """What the app starts with; chosen by looking at sheets."""

    sampler: str = "DDIM"
    num_inference_steps: int = 2
    guidance_scale: float = 1.5
    example_prompts: tuple[str, ...] = (
        "a lion",
        "a panda",
        "a rocket",
        "an avocado",
        "a dog on a blue background",
        "a fox at night",
    )
    default_suffixes: tuple[str, ...] = (", highly realistic", ", artsy", ", trending", ", colorful")


def assemble_pipeline(
    vae: AutoencoderKL, text: CLIPTextModel, tokenizer: CLIPTokenizer, unet: UNet2DConditionModel
) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def own_words(names: list[str], meanings: Meanings) -> dict:
    """What the model knows, for a page that tells people: words.json of the folder.

    ``near``: for a word that was in no caption, things that it knows.
    """
    near = {word: [name] for name, words in zip(names, meanings.held_out, strict=True) for word in words}
    return {
        "things": dict(zip(names, meanings.used, strict=True)),
        "styles": list(STYLES[1:]),
        "backgrounds": [phrase for ground in GROUNDS for phrase in ground.phrases],
        "said": [*PREFIXES, *FILLERS],
        "near": meanings.hints | {word: names for word, names in near.items() if " " not in word},
    }


def export(pipe: StableDiffusionPipeline, folder: Path, defaults: Defaults, texts: dict[str, str]) -> None:
    """Save fp16 safetensors aside, then swap: ``folder`` always holds a whole pipeline.

    ``texts``: further files by name (model card, words.json).
    """
    aside = folder.with_name(folder.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    pipe.to(dtype=torch.float16).save_pretrained(aside, safe_serialization=True)
    # transformers loads a model in the format its config names and diffusers in float32, so a plain
    # `from_pretrained(folder)` would mix the two.
    config = aside / "text_encoder" / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
    side = pipe.vae.config.sample_size
    settings = asdict(defaults) | {"width": side, "height": side}
    texts = texts | {"second_round.json": json.dumps(settings, indent=2) + "\n", "LICENSE": licence_note()}
    for name, text in texts.items():
        (aside / name).write_text(text, "utf-8")
    for file in aside.rglob("*.safetensors"):
        file.chmod(0o644)
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_pipeline(folder: Path) -> DiffusionPipeline:
    pipe = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_pictures(
    pipe: DiffusionPipeline, prompts: list[str], seeds: list[int], steps: int, guidance: float, batch: int = 32
) -> torch.Tensor:
    """One picture for each (prompt, seed), [n, 3, s, s] in [0, 1]."""
    parts = []
    for start in range(0, len(prompts), batch):
        here = slice(start, start + batch)
        # Noise is drawn on the CPU: the same seed means the same picture on any machine.
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds[here]]
        made = pipe(
            prompts[here], generator=generators, num_inference_steps=steps, guidance_scale=guidance, output_type="pt"
        )
        parts.append(made.images.float().cpu())
    return torch.cat(parts)


def licence_note() -> str:
    """Attribution of the pictures that the weights were trained on."""
    lines = [f"- {item.package} {item.version}, {item.author}, {item.licence}" for item in SETS]
    return (
        "The weights, configuration and text in this folder are offered under the Apache License 2.0\n"
        "as far as rights of the project's authors exist in them.\n\n"
        "They were trained on drawings under these licences:\n\n"
        + "\n".join(lines)
        + f"\n- names and key words: {LABELS.package} {LABELS.version}, {LABELS.author}, "
        f"{LABELS.licence}\n\n"
        "Sets under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/) ask for attribution; the list\n"
        "above is that attribution. The drawings were rendered, recoloured, placed on backgrounds and filtered\n"
        "for training. Pictures made by the model can resemble single drawings of these sets closely: whoever\n"
        "publishes them should keep the attribution.\n"
    )
