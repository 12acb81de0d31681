"""The decoder: paints a look, a ground and a drawing in its place from latents, at 128 px.

The decoder half of a plain AutoencoderKL. Its encoder half stays as it was initialised: nobody
asks this model to begin from a picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from ..data.scenes import CELLS
from ..presets import Preset
from .latents import RAMP_STEP, Layout

WAYS = 4  # channels of every level: the ramps across and down, and which half of its parent a pixel is


def build_decoder(preset: Preset) -> AutoencoderKL:
    widths, channels = preset.decoder.widths, Layout(preset.content).channels
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=preset.decoder.groups,
        mid_block_add_attention=False,
        sample_size=preset.side,
        scaling_factor=1.0,
    )
    if CELLS * 2 ** (len(widths) - 1) != preset.side:
        raise ValueError(
            f"{len(widths)} widths make pictures of {CELLS * 2 ** (len(widths) - 1)} px, not {preset.side}"
        )
    lay_ramps(vae, Layout(preset.content))
    return vae


@torch.no_grad()
def lay_ramps(vae: AutoencoderKL, layout: Layout) -> None:
    """Initial weights by which every pixel of every level knows where it is.

    Nearest upsampling makes four equal pixels of one. The next convolution makes of a ramp a finer
    ramp, (1/4, 1/2, 1/4), and of its step to the left neighbour, 0 inside a parent, which half of
    it the pixel is. Without that, whatever has a fixed place inside a cell was learned very slowly.
    """
    decoder, ramp = vae.decoder, layout.slices["ramp"].start
    vae.post_quant_conv.weight.zero_()
    vae.post_quant_conv.bias.zero_()
    vae.post_quant_conv.weight[:, :, 0, 0] = torch.eye(layout.channels)
    decoder.conv_in.weight[:WAYS], decoder.conv_in.bias[:WAYS] = 0, 0
    decoder.conv_in.weight[0, ramp, 1, 1] = decoder.conv_in.weight[1, ramp + 1, 1, 1] = 1
    for resnet in [*decoder.mid_block.resnets, *(r for block in decoder.up_blocks for r in block.resnets)]:
        resnet.conv2.weight[:WAYS], resnet.conv2.bias[:WAYS] = 0, 0
        if resnet.conv_shortcut is not None:
            resnet.conv_shortcut.weight[:WAYS], resnet.conv_shortcut.bias[:WAYS] = 0, 0
            for way in range(WAYS):
                resnet.conv_shortcut.weight[way, way] = 1
    step = RAMP_STEP
    for block in decoder.up_blocks:
        for upsampler in block.upsamplers or []:
            conv = upsampler.conv
            conv.weight[:WAYS], conv.bias[:WAYS] = 0, 0
            conv.weight[0, 0, 1] = conv.weight[1, 1, :, 1] = torch.tensor([0.25, 0.5, 0.25])
            conv.weight[2, 0, 1] = conv.weight[3, 1, :, 1] = torch.tensor([-2.0, 2.0, 0.0]) / step
            conv.bias[2:WAYS] = -1
            step /= 2


class Heads(nn.Module):
    """A throw-away 1 x 1 layer for each level but the last, which reads the whole picture from it."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.sides = [2**k for k in range(len(widths) - 1, 0, -1)]  # pixels of the picture a position stands for
        self.heads = nn.ModuleList(
            nn.Conv2d(width, 3 * side**2, 1) for width, side in zip(widths[:0:-1], self.sides, strict=True)
        )
        for head in self.heads:
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def upto(self, block: int) -> nn.ModuleDict:
        """Those of the levels up to a block."""
        return nn.ModuleDict({str(k): head for k, head in enumerate(self.heads) if k <= block})

    def forward(self, level: int, features: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(self.heads[level](features), self.sides[level])


def decode(vae: AutoencoderKL, latents: torch.Tensor, upto: int) -> tuple[list[torch.Tensor], torch.Tensor | None]:
    """The features of blocks 0 to ``upto``, and the picture on [-1, 1] where that is the last."""
    decoder = vae.decoder
    hidden, features = decoder.mid_block(decoder.conv_in(vae.post_quant_conv(latents))), []
    for number, block in enumerate(decoder.up_blocks[: upto + 1]):
        for resnet in block.resnets:
            hidden = resnet(hidden, None)
        features.append(hidden)
        if number < upto:
            hidden = block.upsamplers[0](hidden)
    if upto + 1 < len(decoder.up_blocks):
        return features, None
    return features, decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(hidden)))


def parameters_upto(vae: AutoencoderKL, upto: int) -> dict[str, nn.Parameter]:
    """What ``decode`` up to a block makes use of, by name."""
    decoder = vae.decoder
    parts = {"post_quant_conv": vae.post_quant_conv, "conv_in": decoder.conv_in, "mid_block": decoder.mid_block}
    for number, block in enumerate(decoder.up_blocks[: upto + 1]):
        parts[f"up{number}.resnets"] = block.resnets
        if number < upto:
            parts[f"up{number}.upsampler"] = block.upsamplers[0]
    if upto + 1 == len(decoder.up_blocks):
        parts |= {"conv_norm_out": decoder.conv_norm_out, "conv_out": decoder.conv_out}
    return {f"{part}.{name}": p for part, module in parts.items() for name, p in module.named_parameters()}
