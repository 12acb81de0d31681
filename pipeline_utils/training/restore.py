"""Turn an exported pipeline folder back into checkpoints that training continues from."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from .presets import Preset
from .progress import save_checkpoint
from .text import build_text
from .unet import build_unet
from .vae import build_vae


def weights(built: torch.nn.Module, stored: torch.nn.Module) -> list[torch.Tensor]:
    """The stored module's weights in float32, in the order of the preset's own."""
    built.load_state_dict(stored.state_dict())  # refuses a folder of another shape
    return [p.detach().float() for p in built.parameters()]


def restore(preset: Preset, source: Path, folder: Path) -> list[Path]:
    """Write the checkpoints of all trained parts to ``folder``; what was there is kept.

    An export holds averaged weights alone: optimisers start afresh, and so do budgets. The
    text encoder's teacher was not exported; a text step after this teaches a new one.
    """
    names = ("vae.pt", "text.pt", "unet.pt")
    if there := [name for name in names if (folder / name).exists()]:
        raise FileExistsError(f"{folder} has {', '.join(there)} already: another --work-dir, or remove them first.")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(source / "tokenizer")
    tokenizer.save_pretrained(folder / "tokenizer")
    vae = AutoencoderKL.from_pretrained(source / "vae", torch_dtype=torch.float32)
    text = CLIPTextModel.from_pretrained(source / "text_encoder", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(source / "unet", torch_dtype=torch.float32)
    save_checkpoint(folder / "vae.pt", average=weights(build_vae(preset), vae))
    save_checkpoint(folder / "text.pt", average=weights(build_text(preset, tokenizer), text))
    save_checkpoint(folder / "unet.pt", average=weights(build_unet(preset), unet))
    return [folder / name for name in names]
