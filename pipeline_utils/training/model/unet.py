"""The denoiser: a UNet2DConditionModel that predicts the latents themselves, and its sampler."""

from __future__ import annotations

import threading

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from ..data.scenes import CELLS, CHOICES, DRAWS
from ..presets import Preset
from .latents import Layout

GAIN, CONSTANT = 4.0, 2.0  # of the carry on its way in, and what goes beside it: see lay_path
EVERY = 8  # channels of one draw's way


def build_unet(preset: Preset) -> UNet2DConditionModel:
    shape, channels = preset.unet, Layout(preset.content).channels
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(shape.attention)]
    unet = UNet2DConditionModel(
        sample_size=CELLS,
        in_channels=channels,
        out_channels=channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=shape.widths,
        layers_per_block=shape.layers,
        norm_num_groups=shape.groups,
        cross_attention_dim=preset.text.width,
        # diffusers reads this as the number of heads.
        attention_head_dim=tuple(width // shape.head_width for width in shape.widths),
        # The pooled prompt scales and shifts every block: a short way in for what the picture as a whole
        # is. It is computed inside the UNet, so the plain pipeline needs nothing for it.
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=preset.text.heads,
    )
    # At 64 positions and fewer, fused attention spends half of a CPU's step in its backward pass.
    unet.set_attn_processor(AttnProcessor())
    return unet


def build_scheduler() -> DDIMScheduler:
    """Cosine noise levels that end in pure noise, from which the latents themselves are predicted."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


@torch.no_grad()
def lay_path(unet: UNet2DConditionModel) -> None:
    """Initial weights by which the carry reaches the innermost level unharmed.

    Each draw has four channels of its own at every level: a copy of its carry, the negative,
    a constant and the constant's negative. Copies go through the first layer, identities
    through shortcuts, means through downsamplers; residual branches begin at nearly nothing.
    The negatives keep a normalised group's mean at zero. The constants keep its scale: a group of
    few positions is otherwise divided by what is mostly its own noise, and draws could be read
    from it with R² = .989 only. Constants of 4 make that .9997, and leave so little of the draws
    beside them that they were hardly learned in 18,000 samples.
    """
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D | Transformer2DModel):
            last = module.conv2 if isinstance(module, ResnetBlock2D) else module.proj_out
            last.weight.mul_(0.05)
            last.bias.zero_()
    first = unet.conv_in
    rows = [row for start in _starts(first.out_channels) for row in range(start, start + 4)]
    first.weight[rows], first.bias[rows] = 0, 0
    for draw, start in enumerate(_starts(first.out_channels)):
        carry = first.in_channels - len(DRAWS) + draw
        first.weight[start, carry, 1, 1], first.weight[start + 1, carry, 1, 1] = GAIN, -GAIN
        first.bias[start + 2], first.bias[start + 3] = CONSTANT, -CONSTANT
    for block in unet.down_blocks:
        for resnet in block.resnets:
            if resnet.conv_shortcut is not None:
                _keep(resnet.conv_shortcut, rows, torch.ones(1, 1))
        for downsampler in block.downsamplers or []:
            mean = torch.zeros(3, 3)
            mean[1:, 1:] = 0.25
            _keep(downsampler.conv, rows, mean)


def _starts(width: int) -> range:
    """The first of each draw's channels. Raises ValueError for a level that is too narrow."""
    step = min(EVERY, width // len(DRAWS))
    if step < 4:
        raise ValueError(f"the first level has {width} channels; {len(DRAWS)} draws need {4 * len(DRAWS)}")
    return range(0, step * len(DRAWS), step)


def _keep(conv: nn.Conv2d, rows: list[int], kernel: torch.Tensor) -> None:
    """These channels go through ``conv`` by ``kernel`` alone, each for itself."""
    conv.weight[rows], conv.bias[rows] = 0, 0
    for row in rows:
        conv.weight[row, row] = kernel


class Denoiser(nn.Module):
    """The UNet and, in training, a linear reader on its innermost level, which asks it for the draws and for
    what they come to."""

    def __init__(self, preset: Preset):
        super().__init__()
        self.unet = build_unet(preset)
        lay_path(self.unet)
        inner = preset.unet.widths[-1] * (CELLS // 2 ** (len(preset.unet.widths) - 1)) ** 2
        self.reader = nn.Sequential(
            nn.Flatten(), nn.LayerNorm(inner), nn.Linear(inner, len(DRAWS) + sum(CHOICES.values()))
        )
        nn.init.zeros_(self.reader[2].weight)
        self._seen = threading.local()  # parts of a batch run side by side
        self.unet.mid_block.register_forward_hook(lambda module, given, out: setattr(self._seen, "inner", out))

    def forward(self, state: torch.Tensor, timestep: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        """Noisy latents [n, c, 8, 8], timesteps [n], prompts [n, length, width] -> latents."""
        return self.unet(state, timestep, prompt).sample

    def reading_loss(self, draws: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
        """How well the pass before knew the draws [n, 8] and the choices [n, 5], in the order of CHOICES."""
        read, *logits = self.reader(self._seen.inner).split([len(DRAWS), *CHOICES.values()], 1)
        wrong = [F.cross_entropy(answer, right) for answer, right in zip(logits, choices.unbind(1), strict=True)]
        return F.mse_loss(read, draws) + sum(wrong) / len(wrong)
