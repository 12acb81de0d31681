"""What the denoiser's innermost level knows of the draws, and a loss that asks for more.

The draws that decide a composition (see coupling) are nine projections out of thousands of
numbers of white noise, and a denoiser is told of them only by pictures that come out wrong:
some it found in the course of thousands of steps, others never. Asked directly, it reads all
of them within some hundred. The reader is needed in training only.
"""

from __future__ import annotations

import threading

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from .coupling import VARIABLES

SHARE = 0.2  # of the reader's loss, beside that of the velocity


class Reader(nn.Module):
    """Innermost features of a UNet (as it goes) -> draws [n, VARIABLES]."""

    def __init__(self, unet: UNet2DConditionModel):
        super().__init__()
        widths, side = unet.config.block_out_channels, unet.config.sample_size
        features = widths[-1] * (side // 2 ** (len(widths) - 1)) ** 2
        self.layers = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, len(VARIABLES)))
        nn.init.zeros_(self.layers[1].weight)
        # Shards of one batch pass through the same UNet in several threads at once.
        self.seen = threading.local()
        unet.mid_block.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        self.seen.features = output

    def forward(self) -> torch.Tensor:
        """The draws as read in this thread's last pass."""
        return self.layers(self.seen.features.flatten(1)).float()

    def loss(self, draws: torch.Tensor, noisy: torch.Tensor) -> torch.Tensor:
        """Mean squared error; ``noisy`` [n, 1]: the share of noise in the variance. With less
        noise the picture itself shows what was drawn, and the noise less and less."""
        return (noisy.square() * (self() - draws).square()).mean()
