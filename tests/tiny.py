"""Tiny but real pipelines of every supported class, saved as their authors save theirs.

Each function fills `folder` with a diffusers pipeline of random weights made under
`torch.manual_seed(seed)` and returns it. Pictures are 32 x 32 pixels (64 x 64 for SDXL) and a step
takes some milliseconds, so that tests run the real code from the loader to the pixels.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PriorTransformer,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UnCLIPPipeline,
    UnCLIPScheduler,
    UNet2DConditionModel,
    UNet2DModel,
)
from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel
from safetensors.torch import save_file
from transformers import CLIPTextModelWithProjection

from tests.ldm_names import UNET_NAMES, VAE_NAMES, renamed
from tests.tiny_parts import (
    BETAS,
    TEXT_WIDTH,
    WORDS,
    clip_text_model,
    clip_tokenizer,
    louder,
    t5,
    t5_tokenizer,
    unet,
    vae,
)

__all__ = ["WORDS", "clip_tokenizer", "t5_tokenizer"]


def tiny_sd(folder: Path, seed: int = 0) -> Path:
    """StableDiffusionPipeline, 32 x 32 pixels, 77 tokens, DDIM."""
    torch.manual_seed(seed)
    pipe = StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip_text_model(),
        tokenizer=clip_tokenizer(),
        unet=unet(sample_size=8),
        scheduler=DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _save(pipe, folder)


def tiny_sdxl(folder: Path, seed: int = 0) -> Path:
    """StableDiffusionXLPipeline, 64 x 64 pixels, two text encoders, Euler."""
    torch.manual_seed(seed)
    pipe = StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=clip_text_model(),
        text_encoder_2=clip_text_model(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            sample_size=16,
            cross_attention_dim=2 * TEXT_WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + TEXT_WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
        add_watermarker=False,
    )
    return _save(pipe, folder)


def tiny_sd3(folder: Path, seed: int = 0) -> Path:
    """StableDiffusion3Pipeline, 32 x 32 pixels, two CLIP encoders and T5."""
    torch.manual_seed(seed)
    pipe = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=2 * TEXT_WIDTH,
            pooled_projection_dim=2 * TEXT_WIDTH,
            pos_embed_max_size=16,
        ),
        vae=vae(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_text_model(CLIPTextModelWithProjection),
        text_encoder_2=clip_text_model(CLIPTextModelWithProjection),
        text_encoder_3=t5(2 * TEXT_WIDTH),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        tokenizer_3=t5_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    louder(pipe.transformer, "context_embedder.weight|text_embedder.linear_1.weight", 8)
    return _save(pipe, folder)


def tiny_flux(folder: Path, seed: int = 0) -> Path:
    """FluxPipeline, 32 x 32 pixels where its transformer says no size, guidance embedded as in -dev."""
    torch.manual_seed(seed)
    pipe = FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=TEXT_WIDTH,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
        vae=vae(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_text_model(),
        text_encoder_2=t5(TEXT_WIDTH),
        tokenizer=clip_tokenizer(),
        tokenizer_2=t5_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    )
    louder(pipe.transformer, "context_embedder.weight|text_embedder.linear_1.weight", 8)
    return _save(pipe, folder)


def tiny_unclip(folder: Path, seed: int = 0) -> Path:
    """UnCLIPPipeline, 16 x 16 pixels enlarged to 32 x 32 by its two super resolution models."""
    torch.manual_seed(seed)
    blocks = {
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
    }
    enlarge = {
        "sample_size": 32,
        "in_channels": 6,
        "out_channels": 3,
        "down_block_types": ("ResnetDownsampleBlock2D",) * 2,
        "up_block_types": ("ResnetUpsampleBlock2D",) * 2,
        "add_attention": False,
    }
    pipe = UnCLIPPipeline(
        prior=PriorTransformer(
            num_attention_heads=2, attention_head_dim=8, num_layers=1, embedding_dim=TEXT_WIDTH, num_embeddings=77
        ),
        decoder=UNet2DConditionModel(
            sample_size=16,
            in_channels=3,
            out_channels=6,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            cross_attention_dim=TEXT_WIDTH,
            attention_head_dim=4,
            resnet_time_scale_shift="scale_shift",
            class_embed_type="identity",
            **blocks,
        ),
        text_encoder=clip_text_model(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        text_proj=UnCLIPTextProjModel(
            clip_embeddings_dim=TEXT_WIDTH, time_embed_dim=32, cross_attention_dim=TEXT_WIDTH
        ),
        super_res_first=UNet2DModel(**enlarge, **blocks),
        super_res_last=UNet2DModel(**enlarge, **blocks),
        prior_scheduler=UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=5),
        decoder_scheduler=UnCLIPScheduler(variance_type="learned_range"),
        super_res_scheduler=UnCLIPScheduler(variance_type="fixed_small_log"),
    )
    torch.nn.init.ones_(pipe.prior.clip_std)
    _save(pipe, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["text_proj"] = ["unclip", "UnCLIPTextProjModel"]  # as the published UnCLIP models name it
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def tiny_ddim(folder: Path, seed: int = 0) -> Path:
    """DDIMPipeline: makes pictures, but from no prompt."""
    torch.manual_seed(seed)
    unet = UNet2DModel(
        sample_size=32,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )
    return _save(DDIMPipeline(unet=unet, scheduler=DDIMScheduler()), folder)


def tiny_single_file(folder: Path, seed: int = 0) -> Path:
    """`folder`/tiny.safetensors: the weights of tiny_sd under the names of the original Stable Diffusion code.

    `folder`/tiny/ beside it holds the configuration without weights. Returns the file.
    """
    beside = tiny_sd(folder / "tiny", seed)
    pipe = StableDiffusionPipeline.from_pretrained(beside, use_safetensors=True)
    weights = {"model.diffusion_model." + renamed(k, UNET_NAMES): v for k, v in pipe.unet.state_dict().items()}
    for key, value in pipe.vae.state_dict().items():
        linear = "mid_block.attentions" in key and value.dim() == 2
        weights["first_stage_model." + renamed(key, VAE_NAMES)] = value[:, :, None, None] if linear else value
    for key, value in pipe.text_encoder.state_dict().items():
        name = key if key.startswith("text_model.") else "text_model." + key
        weights["cond_stage_model.transformer." + name] = value
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "tiny.safetensors")
    for file in beside.rglob("*.safetensors"):
        file.unlink()
    return folder / "tiny.safetensors"


def _save(pipe: DiffusionPipeline, folder: Path) -> Path:
    if Path(folder).exists():
        shutil.rmtree(folder)
    pipe.save_pretrained(folder)
    return Path(folder)
