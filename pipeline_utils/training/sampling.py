"""The trained parts as a plain StableDiffusionPipeline, and pictures from it."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTokenizer

from .presets import Preset
from .text import load_text
from .unet import build_scheduler, load_unet
from .vae import load_vae

NOISE_DEVICE = "cpu"  # the same seed means the same picture on any machine


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder / "tokenizer")


def assemble_pipeline(preset: Preset, folder: Path) -> StableDiffusionPipeline:
    """From the checkpoints in ``folder``."""
    tokenizer = load_tokenizer(folder)
    pipe = StableDiffusionPipeline(
        vae=load_vae(preset, folder),
        text_encoder=load_text(preset, tokenizer, folder),
        tokenizer=tokenizer,
        unet=load_unet(preset, folder),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_pictures(
    pipe: StableDiffusionPipeline,
    prompts: list[str],
    seeds: list[int],
    steps: int,
    guidance: float,
    batch: int = 32,
) -> torch.Tensor:
    """One picture for each (prompt, seed), [n, 3, s, s] in [0, 1] on the CPU."""
    parts = []
    for start in range(0, len(prompts), batch):
        here = slice(start, start + batch)
        generators = [torch.Generator(NOISE_DEVICE).manual_seed(s) for s in seeds[here]]
        made = pipe(
            prompts[here],
            generator=generators,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="pt",
        )
        parts.append(made.images.float().cpu())
    return torch.cat(parts)
