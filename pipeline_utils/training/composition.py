"""How alike two pictures are in composition, whatever their style.

Line art, a silhouette and a photo-like picture of the same scene share hardly a pixel
value. What a suffix must leave is where the object stands, how large and how turned it is,
its outline, and the ground behind it. Three parts, one for each of these, are added up;
the object's own colours, shading and texture, which a suffix is meant to change, do not
enter. The ground is compared as the suffix paints it: ", sepia" makes brown of any ground,
so that two grounds it makes alike count as alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .looks import PAINTERS, blur
from .words import STYLES

SIDE = 64  # pictures are compared at this size
# What each part is on average between two unrelated scenes of one thing, in training
# pictures (see resemblance.typical_parts): divided by it, the parts count alike.
TYPICAL = {"outline": 0.54, "place": 0.50, "ground": 0.26}


@dataclass
class Composition:
    """mask [n, 32, 32] soft and filled; place [n, 5]; ground [n, 3, 64, 64] in [0, 1]."""

    mask: torch.Tensor
    place: torch.Tensor
    ground: torch.Tensor

    def __getitem__(self, index) -> Composition:
        return Composition(self.mask[index], self.place[index], self.ground[index])


def compose_of(pictures: torch.Tensor) -> Composition:
    """The composition of pictures [n, 3, s, s] in [0, 1]."""
    small = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    small = blur(small, 0.8)  # halftone dots and paper grain are no objects
    ground = fitted_ground(small)
    mask = filled(small, ground)
    return Composition(mask, placement(mask), ground.clamp(0, 1))


def foreground(pictures: torch.Tensor) -> torch.Tensor:
    """Soft filled masks [n, 32, 32] of pictures [n, 3, s, s] in [0, 1]."""
    return compose_of(pictures).mask


def _grid(side: int, device) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.linspace(-1, 1, side, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return y, x


def border(device) -> torch.Tensor:
    """Which of the [64, 64] pixels count as the border."""
    y, x = _grid(SIDE, device)
    return torch.maximum(x.abs(), y.abs()) > 0.9


def fitted_ground(small: torch.Tensor) -> torch.Tensor:
    """What the border shows, continued inwards as a smooth fall in x, y and distance from the
    centre, which fits plain grounds, skies and dark corners alike. [n, 3, 64, 64], not clamped."""
    y, x = _grid(SIDE, small.device)
    basis = torch.stack([torch.ones_like(x), x, y, x**2 + y**2], -1).flatten(0, 1)  # [64 * 64, 4]
    rim = border(small.device).flatten()
    ring, values = basis[rim], small.flatten(2)[..., rim].transpose(1, 2)  # [n, ring, 3]
    weights = torch.ones_like(values[..., :1])
    for _ in range(4):
        # Where the object touches the border it is an outlier: each round trusts it less.
        normal = torch.einsum("rk,nro,rl->nkl", ring, weights, ring)
        normal = normal + 1e-3 * torch.eye(4, device=small.device)
        wanted = torch.einsum("rk,nro,nrc->nkc", ring, weights, values)
        fitted = torch.linalg.solve(normal, wanted)  # [n, 4, 3]
        off = (ring @ fitted - values).abs().amax(2, keepdim=True)
        weights = 1 / (1 + (off / 0.06) ** 2)
    return (basis @ fitted).transpose(1, 2).unflatten(2, (SIDE, SIDE))


def filled(small: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """What differs from the ground is ink; what has ink on all four sides is inside."""
    off = (small - ground).abs().amax(1)
    # Pale looks have little contrast: the threshold is relative, within limits.
    limit = (0.6 * off.flatten(1).quantile(0.97, dim=1)).clamp(0.06, 0.22)[:, None, None]
    ink = (off / limit).clamp(0, 1) ** 3
    sides = [
        ink.cummax(1).values,
        ink.flip(1).cummax(1).values.flip(1),
        ink.cummax(2).values,
        ink.flip(2).cummax(2).values.flip(2),
    ]
    return F.avg_pool2d(blur(torch.stack(sides).amin(0)[:, None], 1.0), 2)[:, 0]


def placement(mask: torch.Tensor) -> torch.Tensor:
    """Where a mask [n, s, s] stands: [n, 5] of centre x and y (in half sides, as the side is
    2), log2 of its side, and how long it is along the diagonals and the axes (its tilt)."""
    y, x = _grid(mask.shape[-1], mask.device)
    weight = mask.flatten(1) + 1e-6
    total = weight.sum(1)
    mean = lambda values: (weight * values.flatten(-2)).sum(1) / total  # noqa: E731
    cx, cy = mean(x), mean(y)
    dx, dy = x - cx[:, None, None], y - cy[:, None, None]
    xx, yy, xy = mean(dx**2), mean(dy**2), mean(dx * dy)
    spread = (xx + yy).clamp(min=1e-6)
    return torch.stack([cx, cy, spread.log2() / 2, 2 * xy / spread, (xx - yy) / spread], 1)


def painted_ground(first: Composition, style: int) -> torch.Tensor:
    """The first picture's ground as a style (an index into STYLES) paints it, [n, 3, 64, 64]."""
    alpha = F.interpolate(first.mask[:, None], size=(SIDE, SIDE), mode="bilinear")
    noise = torch.full((len(alpha), 1, SIDE // 8, SIDE // 8), 0.5, device=alpha.device)
    nothing = torch.zeros_like(first.ground)
    painted = PAINTERS[STYLES[style].look](nothing, alpha, first.ground, noise)
    return blur(painted, 0.8).clamp(0, 1)


def parts(second: Composition, first: Composition, style: int = 0) -> dict[str, torch.Tensor]:
    """Distances [n second, n first] of every second picture, drawn in ``style``, to every first."""
    a, b = second.mask[:, None], first.mask[None]
    union = torch.maximum(a, b).sum((-2, -1)).clamp(min=1e-6)
    rim = border(second.ground.device)
    ours, theirs = second.ground[..., rim], painted_ground(first, style)[..., rim]
    return {
        "outline": 1 - torch.minimum(a, b).sum((-2, -1)) / union,
        "place": (second.place[:, None] - first.place[None]).norm(dim=-1),
        "ground": (ours[:, None] - theirs[None]).abs().mean((-2, -1)),
    }


def distance(second: Composition, first: Composition, style: int = 0) -> torch.Tensor:
    """The mean of the parts, each in units of what is typical between unrelated scenes:
    about 0 same, about 1 unrelated. [n second, n first]."""
    return sum(value / TYPICAL[name] for name, value in parts(second, first, style).items()) / len(TYPICAL)
