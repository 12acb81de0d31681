"""What the original Stable Diffusion code calls the weights of a tiny pipeline."""

from __future__ import annotations

import re

# From names in diffusers to names in the original code, for two UNet blocks of one layer and three VAE blocks.
_RESNET_NAMES = {
    r"norm1": "in_layers.0",
    r"conv1": "in_layers.2",
    r"time_emb_proj": "emb_layers.1",
    r"norm2": "out_layers.0",
    r"conv2": "out_layers.3",
    r"conv_shortcut": "skip_connection",
}
UNET_NAMES = {
    r"^conv_in": "input_blocks.0.0",
    r"^time_embedding\.linear_1": "time_embed.0",
    r"^time_embedding\.linear_2": "time_embed.2",
    r"^conv_norm_out": "out.0",
    r"^conv_out": "out.2",
    r"^down_blocks\.0\.resnets\.0": "input_blocks.1.0",
    r"^down_blocks\.0\.downsamplers\.0\.conv": "input_blocks.2.0.op",
    r"^down_blocks\.1\.resnets\.0": "input_blocks.3.0",
    r"^down_blocks\.1\.attentions\.0": "input_blocks.3.1",
    r"^mid_block\.resnets\.0": "middle_block.0",
    r"^mid_block\.attentions\.0": "middle_block.1",
    r"^mid_block\.resnets\.1": "middle_block.2",
    r"^up_blocks\.0\.resnets\.(\d)": r"output_blocks.\1.0",
    r"^up_blocks\.0\.attentions\.(\d)": r"output_blocks.\1.1",
    r"^up_blocks\.0\.upsamplers\.0": "output_blocks.1.2",
    r"^up_blocks\.1\.resnets\.0": "output_blocks.2.0",
    r"^up_blocks\.1\.resnets\.1": "output_blocks.3.0",
    **{rf"^((?:in|out)put_blocks\.\d\.0|middle_block\.\d)\.{k}": rf"\1.{v}" for k, v in _RESNET_NAMES.items()},
}
VAE_NAMES = {
    r"down_blocks\.(\d)\.resnets": r"down.\1.block",
    r"down_blocks\.(\d)\.downsamplers\.0": r"down.\1.downsample",
    **{rf"up_blocks\.{n}\.resnets": f"up.{2 - n}.block" for n in range(3)},
    **{rf"up_blocks\.{n}\.upsamplers\.0": f"up.{2 - n}.upsample" for n in range(3)},
    r"mid_block\.resnets\.0": "mid.block_1",
    r"mid_block\.resnets\.1": "mid.block_2",
    r"mid_block\.attentions\.0": "mid.attn_1",
    r"attn_1\.group_norm": "attn_1.norm",
    r"attn_1\.to_out\.0": "attn_1.proj_out",
    r"attn_1\.to_([qkv])": r"attn_1.\1",
    r"conv_norm_out": "norm_out",
    r"conv_shortcut": "nin_shortcut",
}


def renamed(key: str, names: dict[str, str]) -> str:
    for pattern, name in names.items():
        key = re.sub(pattern, name, key)
    return key
