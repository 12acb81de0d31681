"""Which noise meets which scene: the seed decides the composition.

Trained with noise drawn apart from the pictures, a denoiser is free to place the same thing
here under one suffix and there under another. Here the noise is coupled with the scene it
meets: what a caption does not tell (where the thing stands, how large, how turned, by which
hand, on what ground) is a function of nine projections of the noise, each of them standard
normal, so that the noise as a whole stays white. One seed then means one composition, in
every style. A velocity learned under any coupling of noise and data still carries noise to
the data (Albergo et al., "Stochastic interpolants with data-dependent couplings", 2023);
DDIM without noise of its own follows it.

The projections are the directions in which the latents themselves change with each
variable: noise that leans to the left meets scenes that lean to the left, and the paths
from one to the other are short, as under optimal transport.
"""

from __future__ import annotations

import functools
import math

import torch

VARIABLES = ("dx", "dy", "scale", "angle", "flip", "design", "red", "green", "blue")


def uniform(draws: torch.Tensor) -> torch.Tensor:
    """Standard normal draws -> uniform on (0, 1)."""
    return 0.5 * torch.erfc(-draws / math.sqrt(2))


def directions(draws: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """Orthonormal [v, c, h, w]: how latents [n, c, h, w] change with draws [n, v].

    Least squares, then the nearest orthonormal set (Löwdin), which favours no variable.
    """
    wanted = (latents - latents.mean(0)).flatten(1).double()
    slopes = torch.linalg.lstsq(draws.double(), wanted).solution
    slopes = slopes / slopes.norm(dim=1, keepdim=True)
    u, _, v = torch.linalg.svd(slopes, full_matrices=False)
    return (u @ v).float().view(-1, *latents.shape[1:])


def couple(noise: torch.Tensor, draws: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """White noise [n, c, h, w] with its projections on ``along`` replaced by draws [n, v]."""
    flat = along.flatten(1)
    missing = draws - noise.flatten(1) @ flat.T
    return noise + (missing @ flat).view_as(noise)


@functools.cache
def _offsets(colours: tuple[tuple[float, ...], ...], shares: tuple[float, ...]) -> torch.Tensor:
    """Offsets that give each colour its share of the normal draws: semi-discrete optimal
    transport, by ascent on a fixed sample."""
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(20_000, 3, generator=generator)
    targets, wanted = _standard(torch.tensor(colours), torch.tensor(shares)), torch.tensor(shares)
    offsets = wanted.log().clone()
    for step in range(600):
        chosen = (sample @ targets.T + offsets).argmax(1)
        share = torch.bincount(chosen, minlength=len(shares)) / len(sample)
        offsets += (2.0 / (1 + step / 60)) * (wanted - share)
    return offsets


def _standard(colours: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Colours in units of their weighted spread."""
    mean = (shares[:, None] * colours).sum(0)
    spread = (shares[:, None] * (colours - mean).square()).sum(0).sqrt()
    return (colours - mean) / spread


def choose_colours(
    draws: torch.Tensor, colours: tuple[tuple[float, ...], ...], shares: tuple[float, ...]
) -> torch.Tensor:
    """Which of the colours each draw [n, 3] means, [n]: a near one, each as often as its share."""
    targets = _standard(torch.tensor(colours), torch.tensor(shares))
    return (draws @ targets.T + _offsets(colours, shares)).argmax(1)
