"""Which noise meets which scene: the seed decides the composition.

Trained with noise drawn apart from the pictures, a denoiser is free to place the same thing
here under one suffix and there under another. Here the noise is coupled with the scene it
meets: what a caption does not tell (where the thing stands, how large, how turned, by which
hand, on what ground) is a function of nine projections of the noise, each of them standard
normal, so that the noise as a whole stays white. One seed then means one composition, in
every style. A velocity learned under any coupling of noise and data still carries noise to
the data (Albergo et al., "Stochastic interpolants with data-dependent couplings", 2023);
DDIM without noise of its own follows it.

The projections are the broad strokes of the directions in which the latents themselves
change with each variable: noise that leans to the left meets scenes that lean to the left,
and the paths from one to the other are short, as under optimal transport. Broad, because a
denoiser has to read them in white noise: of directions with all their detail, those of the
hand, the angle and the design were not read at all in 8,000 steps.
"""

from __future__ import annotations

import functools
import math

import torch

VARIABLES = ("dx", "dy", "scale", "angle", "flip", "design", "red", "green", "blue")
BROAD_CHANNELS = 3  # the first principal components of a patch: light and two colours
BROAD_WAVES = 2  # half waves across the picture, both ways together


def uniform(draws: torch.Tensor) -> torch.Tensor:
    """Standard normal draws -> uniform on (0, 1)."""
    return 0.5 * torch.erfc(-draws / math.sqrt(2))


def broad_strokes(channels: int, side: int) -> torch.Tensor:
    """Orthonormal [b, channels, side, side]: slow cosines, each in one of the first channels."""
    place = (torch.arange(side, dtype=torch.float64) + 0.5) * math.pi / side
    waves = torch.stack([(k * place).cos() for k in range(BROAD_WAVES + 1)])
    waves = waves / waves.norm(dim=1, keepdim=True)
    strokes = []
    for channel in range(BROAD_CHANNELS):
        for down in range(BROAD_WAVES + 1):
            for along in range(BROAD_WAVES + 1 - down):
                stroke = torch.zeros(channels, side, side, dtype=torch.float64)
                stroke[channel] = waves[down][:, None] * waves[along]
                strokes.append(stroke)
    return torch.stack(strokes)


def directions(draws: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """Orthonormal [v, c, s, s]: how latents [n, c, s, s] change with draws [n, v], broadly.

    Least squares, its broad strokes, then the nearest orthonormal set (Löwdin), which favours
    no variable.
    """
    strokes = broad_strokes(*latents.shape[1:3]).flatten(1)
    wanted = (latents - latents.mean(0)).flatten(1).double() @ strokes.T
    slopes = torch.linalg.lstsq(draws.double(), wanted).solution
    slopes = slopes / slopes.norm(dim=1, keepdim=True)
    u, _, v = torch.linalg.svd(slopes, full_matrices=False)
    return (u @ v @ strokes).float().view(-1, *latents.shape[1:])


def couple(noise: torch.Tensor, draws: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """White noise [n, c, h, w] with its projections on ``along`` replaced by draws [n, v]."""
    flat = along.flatten(1)
    missing = draws - noise.flatten(1) @ flat.T
    return noise + (missing @ flat).view_as(noise)


@functools.cache
def _aims(colours: tuple[tuple[float, ...], ...], shares: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Colours [k, 3] in units of their weighted spread, and offsets [k] that give each its
    share of the normal draws: semi-discrete optimal transport, by ascent on a fixed sample."""
    targets, wanted = torch.tensor(colours), torch.tensor(shares)
    mean = (wanted[:, None] * targets).sum(0)
    targets = (targets - mean) / (wanted[:, None] * (targets - mean).square()).sum(0).sqrt()
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(20_000, 3, generator=generator)
    offsets = wanted.log().clone()
    for step in range(600):
        chosen = (sample @ targets.T + offsets).argmax(1)
        share = torch.bincount(chosen, minlength=len(shares)) / len(sample)
        offsets += (2.0 / (1 + step / 60)) * (wanted - share)
    return targets, offsets


def choose_colours(
    draws: torch.Tensor, colours: tuple[tuple[float, ...], ...], shares: tuple[float, ...]
) -> torch.Tensor:
    """Which of the colours each draw [n, 3] means, [n]: a near one, each as often as its share."""
    targets, offsets = _aims(colours, shares)
    return (draws @ targets.T + offsets).argmax(1)
