"""How alike two pictures are in composition, whatever their style.

Line art, a silhouette and a photo-like picture of the same scene share hardly a pixel
value; what they share is where the object stands, how large and how turned it is: its
outline. So the distance looks at a filled foreground mask only. Colour, shading and
texture, which a suffix is meant to change, do not enter.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .looks import blur


def foreground(pictures: torch.Tensor) -> torch.Tensor:
    """Soft filled masks [n, 32, 32] of pictures [n, 3, s, s] in [0, 1].

    The backdrop is what the border shows, continued inwards as a smooth fall in x, y and
    distance from the centre, which fits plain grounds, skies and dark corners alike. What
    differs from it is ink; what has ink on all four sides is inside.
    """
    small = F.interpolate(pictures, size=(64, 64), mode="bilinear", antialias=True)
    small = blur(small, 0.8)  # halftone dots and paper grain are no objects
    axis = torch.linspace(-1, 1, 64, device=pictures.device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    basis = torch.stack([torch.ones_like(x), x, y, x**2 + y**2], -1).flatten(0, 1)  # [64 * 64, 4]
    border = (torch.maximum(x.abs(), y.abs()) > 0.9).flatten()
    ring, values = basis[border], small.flatten(2)[..., border].transpose(1, 2)  # [n, ring, 3]
    weights = torch.ones_like(values[..., :1])
    for _ in range(4):
        # Where the object touches the border it is an outlier: each round trusts it less.
        normal = torch.einsum("rk,nro,rl->nkl", ring, weights, ring)
        normal = normal + 1e-3 * torch.eye(4, device=pictures.device)
        wanted = torch.einsum("rk,nro,nrc->nkc", ring, weights, values)
        fitted = torch.linalg.solve(normal, wanted)  # [n, 4, 3]
        off = (ring @ fitted - values).abs().amax(2, keepdim=True)
        weights = 1 / (1 + (off / 0.06) ** 2)
    backdrop = (basis @ fitted).transpose(1, 2).unflatten(2, (64, 64))
    off = (small - backdrop).abs().amax(1)
    # Pale looks have little contrast: the threshold is relative, within limits.
    limit = (0.6 * off.flatten(1).quantile(0.97, dim=1)).clamp(0.06, 0.22)[:, None, None]
    ink = (off / limit).clamp(0, 1) ** 3
    sides = [
        ink.cummax(1).values,
        ink.flip(1).cummax(1).values.flip(1),
        ink.cummax(2).values,
        ink.flip(2).cummax(2).values.flip(2),
    ]
    filled = torch.stack(sides).amin(0)
    return F.avg_pool2d(blur(filled[:, None], 1.0), 2)[:, 0]


def distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """1 - intersection over union of soft masks [..., 32, 32], broadcasting: 0 same, 1 apart."""
    both = torch.minimum(first, second).sum((-2, -1))
    either = torch.maximum(first, second).sum((-2, -1))
    return 1 - both / either.clamp(min=1e-6)
