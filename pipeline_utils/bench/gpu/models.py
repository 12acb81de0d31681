"""Models for figures: the published architectures with seeded random weights, made on the device. Nothing is read.

Neither speed nor the choice of kernels depends on what the weights say. Toy sizes are the same classes, for
rehearsals on a CPU.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import diffusers
import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen3Config,
    Qwen3Model,
)

from pipeline_utils.models import runtime
from pipeline_utils.models.catalog import ASSETS, BUNDLED, FAMILIES, Family, ModelSpec
from pipeline_utils.models.runtime import Device, Loaded
from pipeline_utils.models.sources import resolve
from pipeline_utils.settings import Settings

SPECS = {
    "sd15": ModelSpec(
        "local:sd15", "SD 1.5", "", "StableDiffusionPipeline", num_inference_steps=20, scheduler="PNDMScheduler"
    ),
    "sdxl": ModelSpec(
        "local:sdxl",
        "SDXL",
        "",
        "StableDiffusionXLPipeline",
        guidance_scale=5.0,
        scheduler="EulerDiscreteScheduler",
        width=1024,
        height=1024,
        max_pixels=4 * 1024 * 1024,
    ),
    "z-image": ModelSpec(
        "local:z-image",
        "Z-Image-Turbo",
        "",
        "ZImagePipeline",
        num_inference_steps=9,
        guidance_scale=0.0,
        scheduler="FlowMatchEulerDiscreteScheduler",
        width=1024,
        height=1024,
        max_pixels=4 * 1024 * 1024,
        gpu_dtype="bfloat16",
    ),
}
TOY_SIDE, TOY_STEPS = 64, 4  # pixels; as few steps as PNDM takes

_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
_TOY_VAE = {"block_out_channels": (8,) * 4, "layers_per_block": 1, "norm_num_groups": 4}
_CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
_CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
_TOY_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 16,
}
_SD15 = {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768, "attention_head_dim": 8}
_TOY_SD15 = {"block_out_channels": (8, 16, 16, 16), "cross_attention_dim": 16, "attention_head_dim": 2}
_TOY_UNET = {"layers_per_block": 1, "norm_num_groups": 4}
_SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_TOY_SDXL = {
    "block_out_channels": (8, 16, 16),
    "transformer_layers_per_block": (1, 1, 1),
    "attention_head_dim": (2, 2, 2),
    "cross_attention_dim": 32,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 16,
}
_Z_IMAGE = {"dim": 3840, "n_layers": 30, "n_refiner_layers": 2, "n_heads": 30, "n_kv_heads": 30, "cap_feat_dim": 2560}
_TOY_Z_IMAGE = {
    "dim": 32,
    "n_layers": 1,
    "n_refiner_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 2,
    "cap_feat_dim": 16,
    "axes_dims": [4, 6, 6],
}
_QWEN = {
    "vocab_size": 151_936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
_TOY_QWEN = {
    "vocab_size": 49_408,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def build(name: str, device: Device, dtype: str, toy: bool = False, lanes: int = 4) -> Loaded:
    """A pipeline of the published architecture on `device`. name: a key of SPECS, or the bundled model.

    Weights are drawn from seed 0 on the device itself, so they are equal in every process of one machine.
    Raises torch.OutOfMemoryError where they do not fit.
    """
    if name == BUNDLED and not toy:
        return runtime.load(resolve(BUNDLED), Settings(dtype=dtype, lanes=lanes), device)
    # The class is no family of the app; here it is measured as if it were.
    FAMILIES.setdefault("ZImagePipeline", Family(("FlowMatchEulerDiscreteScheduler",), 16, negative_prompt=False))
    spec = SPECS["sd15" if name == BUNDLED else name]  # a toy of its class stands for the bundled model
    parts = {"local:sd15": _sd15, "local:sdxl": _sdxl, "local:z-image": _z_image}[spec.name](
        toy, device.type, getattr(torch, dtype)
    )
    pipe = getattr(diffusers, spec.family)(**parts)
    pipe.set_progress_bar_config(disable=True)
    if device.offload == "model":
        pipe.to("cpu").enable_model_cpu_offload()
    return Loaded(sized(spec, toy), "sha256:" + "0" * 16, pipe, device, dtype, lanes)


def sized(spec: ModelSpec, toy: bool) -> ModelSpec:
    """`spec`, at toy size with small pictures of few steps."""
    if not toy:
        return spec
    return replace(spec, width=TOY_SIDE, height=TOY_SIDE, num_inference_steps=TOY_STEPS)


def _made(kind: type, config: Any, device: str, dtype: torch.dtype) -> torch.nn.Module:
    """A module with the weights its class begins with, in evaluation mode. config: of transformers, or keywords."""
    torch.manual_seed(0)
    with torch.device(device):
        made = kind(**config) if isinstance(config, dict) else kind(config)
    for name, weight in made.named_parameters():
        if name.endswith("pad_token"):  # its class leaves it uninitialised
            torch.nn.init.normal_(weight, std=0.02)
    return made.to(dtype).eval().requires_grad_(False)


def _tokenizer(tokens: int) -> CLIPTokenizer:
    """The bundled model's: a text encoder's work depends on how many tokens there are, not on which."""
    return CLIPTokenizer.from_pretrained(ASSETS / BUNDLED / "tokenizer", model_max_length=tokens)


def _clip(config: dict, tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return CLIPTextConfig(vocab_size=49_408, max_position_embeddings=77, **config, **ends)


def _sd15(toy: bool, device: str, dtype: torch.dtype) -> dict[str, Any]:
    tokenizer = _tokenizer(77)
    unet = _TOY_SD15 | _TOY_UNET if toy else _SD15
    return {
        "unet": _made(diffusers.UNet2DConditionModel, unet, device, dtype),
        "vae": _made(diffusers.AutoencoderKL, _VAE | (_TOY_VAE if toy else {}), device, dtype),
        "text_encoder": _made(CLIPTextModel, _clip(_TOY_TEXT if toy else _CLIP_L, tokenizer), device, dtype),
        "tokenizer": tokenizer,
        "scheduler": diffusers.PNDMScheduler(**_BETAS, skip_prk_steps=True, set_alpha_to_one=False),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _sdxl(toy: bool, device: str, dtype: torch.dtype) -> dict[str, Any]:
    tokenizer = _tokenizer(77)
    one, two = (_clip(_TOY_TEXT if toy else config, tokenizer) for config in (_CLIP_L, _CLIP_G))
    vae = _VAE | {"scaling_factor": 0.13025, "force_upcast": True} | (_TOY_VAE if toy else {})
    unet = _SDXL | (_TOY_SDXL | _TOY_UNET if toy else {})
    return {
        "unet": _made(diffusers.UNet2DConditionModel, unet, device, dtype),
        "vae": _made(diffusers.AutoencoderKL, vae, device, dtype),
        "text_encoder": _made(CLIPTextModel, one, device, dtype),
        "text_encoder_2": _made(CLIPTextModelWithProjection, two, device, dtype),
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer,
        "scheduler": diffusers.EulerDiscreteScheduler(**_BETAS, timestep_spacing="leading"),
        "add_watermarker": False,
    }


def _z_image(toy: bool, device: str, dtype: torch.dtype) -> dict[str, Any]:
    tokenizer = _tokenizer(512)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    vae = {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159}
    vae |= {"use_quant_conv": False, "use_post_quant_conv": False}
    return {
        "transformer": _made(diffusers.ZImageTransformer2DModel, _TOY_Z_IMAGE if toy else _Z_IMAGE, device, dtype),
        "vae": _made(diffusers.AutoencoderKL, _VAE | vae | (_TOY_VAE if toy else {}), device, dtype),
        "text_encoder": _made(Qwen3Model, Qwen3Config(**(_TOY_QWEN if toy else _QWEN)), device, dtype),
        "tokenizer": tokenizer,
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
