"""What a latent is: the principal components of a square patch of pixels, evened out.

A linear map found in seconds keeps more of a small drawing than an autoencoder keeps that
learned its latents during an hour on a CPU. So the latents are fixed first; the
autoencoder's two halves then learn to follow them, and the denoiser need not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from .augment import paint, sample_scenes
from .presets import SURVEY, Preset
from .progress import load_checkpoint, save_checkpoint
from .render import Pictures

# 0 leaves fine detail as faint as it is among pixels (1 part in 40 of the coarsest),
# 1 makes noise-like detail weigh as much as shape and colour.
EVENED = 0.3


@dataclass(frozen=True)
class Components:
    """weight [c, 3, f, f], bias [c]: pictures to latents of unit mean square. inverse
    [c, 3, f, f], mean [3, f, f]: back. c components of f x f patches."""

    weight: torch.Tensor
    bias: torch.Tensor
    inverse: torch.Tensor
    mean: torch.Tensor

    def to(self, device: torch.device | str) -> Components:
        return Components(*(t.to(device) for t in (self.weight, self.bias, self.inverse, self.mean)))

    def latents(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures [n, 3, s, s] in [-1, 1] -> latents [n, c, s/f, s/f]."""
        return F.conv2d(pictures, self.weight, self.bias, stride=self.weight.shape[-1])

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents [n, c, h, w] -> pictures [n, 3, h*f, w*f]: all that the components keep."""
        side = self.inverse.shape[-1]
        h, w = latents.shape[-2:]
        return F.conv_transpose2d(latents, self.inverse, stride=side) + self.mean.repeat(1, h, w)


@torch.no_grad()
def find_components(preset: Preset, pictures: Pictures, n: int = 2048) -> Components:
    """From n painted scenes, the same every time."""
    generator = torch.Generator().manual_seed(preset.seed + 13)
    scenes = sample_scenes(n, pictures.table.cpu(), SURVEY, generator)
    painted = torch.cat([paint(scenes.select(rows), pictures, preset.size).cpu() for rows in torch.arange(n).split(64)])
    side = preset.size // preset.latent_size
    patches = F.pixel_unshuffle(painted, side).double().movedim(1, -1).flatten(0, -2)  # [patches, 3 * side^2]
    mean = patches.mean(0)
    spread, basis = torch.linalg.eigh(torch.cov(patches.T))
    keep = preset.vae.latent_channels
    spread, basis = spread.flip(0)[:keep].clamp(min=1e-9), basis.flip(1)[:, :keep].T  # [keep, 3 * side^2]
    # An eigenvector has no sign of its own: its largest entry is made positive.
    largest = basis.gather(1, basis.abs().argmax(1, keepdim=True))
    basis = basis * largest.sign()
    size = spread.pow((1 - EVENED) / 2)  # standard deviations after evening out
    scale = spread.pow(-EVENED / 2) / size.square().mean().sqrt()
    weight = basis * scale[:, None]
    shape = (-1, 3, side, side)
    return Components(
        weight.view(shape).float(),
        -(weight @ mean).float(),
        (basis / scale[:, None]).view(shape).float(),
        mean.view(shape[1:]).float(),
    )


def load_components(preset: Preset, pictures: Pictures, folder: Path) -> Components:
    """From ``folder/components.pt``, which is written the first time."""
    path = folder / "components.pt"
    if (state := load_checkpoint(path)) is None:
        state = find_components(preset, pictures).__dict__
        save_checkpoint(path, **state)
    return Components(**state)
