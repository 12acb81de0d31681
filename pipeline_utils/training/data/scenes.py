"""What a training picture shows, as a function of its caption and of eight draws of the noise.

Draws are standard normal numbers that the noise carries (see model/latents.py): whatever a caption
leaves open is read from them. One seed is thereby one composition, in every style.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F

from . import looks
from .render import DESIGNS, SIZES, Drawings
from .words import GROUNDS

DRAWS = ("dx", "dy", "size", "design", "red", "green", "blue", "flip")
CHOICES = {"design": DESIGNS, "size": len(SIZES), "flip": 2, "dx": 3, "dy": 3}  # what draws come to, among how many
LARGE = 0.4  # of the seeds draw large, and then in the middle
CELLS = 8  # places are whole cells of the picture apart; latents have one position a cell
APART = 0.5  # of a seed's own ground from the colour of a drawing's rim, in RGB with sides of 1
CHOICES = {"design": DESIGNS, "size": len(SIZES), "flip": 2, "dx": 3, "dy": 3}  # what draws come to, among how many
LARGE = 0.4  # of the seeds draw large, and then in the middle
CELLS = 8  # places are whole cells of the picture apart; latents have one position a cell
# A ground stands at least so far (in RGB, sides of 1) from the colour of a drawing's rim; within the second
# number it glides there, towards one of two colours, so that near draws are near grounds.
APART, GLIDE = 0.5, 0.3
FROM_LIGHT, FROM_DARK = (0.30, 0.36, 0.52), (1.0, 0.96, 0.88)


@dataclass(frozen=True)
class Odds:
    """How often a caption says something."""

    look: float = 0.75
    ground: float = 0.3
    synonym: float = 0.25
    silent: float = 0.05  # says nothing at all: what guidance is measured from


@dataclass
class Scenes:
    """n scenes; int64 [n] but for silent (bool: the caption is empty), draws [n, 8], top and bottom [n, 3] in [0, 1].

    ``said``: the ground that the caption names, -1 where it names none; dx, dy in cells; size, flip: 0 or 1.
    """

    thing: torch.Tensor
    look: torch.Tensor
    said: torch.Tensor
    silent: torch.Tensor
    draws: torch.Tensor
    design: torch.Tensor
    size: torch.Tensor
    flip: torch.Tensor
    dx: torch.Tensor
    dy: torch.Tensor
    top: torch.Tensor
    bottom: torch.Tensor

    def __len__(self) -> int:
        return len(self.thing)

    def __getitem__(self, rows) -> Scenes:
        return Scenes(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def choices(self) -> torch.Tensor:
        """[n, 5] in the order of CHOICES, counted from 0."""
        return torch.stack([self.design, self.size, self.flip, self.dx + 1, self.dy + 1], 1)

    def put(self, rows: torch.Tensor, others: Scenes) -> None:
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(others, f.name)


def uniform(draws: torch.Tensor) -> torch.Tensor:
    """Standard normal draws -> uniform on (0, 1)."""
    return 0.5 * torch.erfc(-draws / math.sqrt(2))


def free_ground(u: torch.Tensor) -> torch.Tensor:
    """A seed's own ground [n, 3] of uniform numbers: mostly light, and without steps."""
    return 1 - 0.62 * u.pow(1.4)


def set_off(ground: torch.Tensor, rim: torch.Tensor) -> torch.Tensor:
    """A ground [n, 3] that is near the colour of a drawing's rim [n, 3], moved straight away from it."""
    off = ground - rim
    near = off.norm(dim=1, keepdim=True).clamp(min=1e-4)
    return (rim + off * (APART / near).clamp(min=1)).clamp(0, 1)


class Stage:
    """Makes scenes of a set of drawings, and paints them."""

    def __init__(self, drawings: Drawings):
        self.drawings, self.rims = drawings, drawings.rims()
        self.upto = drawings.share.cumsum(1)  # [things, designs]
        self.named = torch.stack([looks.colours(g.top, g.bottom) for g in GROUNDS])  # [grounds, 2, 3]

    def scenes(self, draws, thing, look, said, silent=None) -> Scenes:
        """What a caption (thing, look, ground said or -1; all [n]) and draws [n, 8] come to."""
        u = uniform(draws)
        designs = (self.drawings.share[thing] > 0).sum(1)
        design = torch.minimum((self.upto[thing] <= u[:, 3:4]).sum(1), designs - 1)
        size = (u[:, 2] < LARGE).long()
        place = ((u[:, :2] * 3).floor().clamp(0, 2).long() - 1) * (1 - size)[:, None]
        free = set_off(free_ground(u[:, 4:7]), self.rims[thing, design])
        ends = torch.where((said >= 0)[:, None, None], self.named[said.clamp(min=0)], free[:, None].expand(-1, 2, -1))
        silent = torch.zeros(len(draws), dtype=torch.bool) if silent is None else silent
        flip = (u[:, 7] < 0.5).long()
        return Scenes(thing, look, said, silent, draws, design, size, flip, *place.unbind(1), *ends.unbind(1))

    def random(self, n: int, odds: Odds, generator: torch.Generator) -> Scenes:
        """Scenes as training meets them. A silent caption has no look, and the seed's own ground."""
        chance = lambda p: torch.rand(n, generator=generator) < p  # noqa: E731
        which = lambda k: torch.randint(k, (n,), generator=generator)  # noqa: E731
        silent = chance(odds.silent)
        look = torch.where(chance(odds.look) & ~silent, 1 + which(len(looks.STYLES) - 1), 0)
        said = torch.where(chance(odds.ground) & ~silent, which(len(GROUNDS)), -1)
        draws = torch.randn(n, len(DRAWS), generator=generator)
        return self.scenes(draws, which(len(self.drawings.names)), look, said, silent)

    def grounds(self, scenes: Scenes, side: int) -> torch.Tensor:
        """[n, 3, side, side] in [0, 1], falling from top to bottom."""
        fall = ((torch.arange(side) + 0.5) / side).view(1, 1, side, 1)
        top, bottom = scenes.top[:, :, None, None], scenes.bottom[:, :, None, None]
        return torch.lerp(top, bottom, fall).expand(-1, -1, -1, side)

    def cut_outs(self, scenes: Scenes) -> torch.Tensor:
        """RGBA [n, 4, s, s] in [0, 1], premultiplied, turned and in their places."""
        cut = self.drawings.rgba[scenes.thing, scenes.design, scenes.size].float() / 255
        cut = torch.where(scenes.flip.bool()[:, None, None, None], cut.flip(-1), cut)
        cell = cut.shape[-1] // CELLS
        places = (torch.stack([scenes.dy, scenes.dx], 1) * cell).tolist()
        return torch.stack([looks.shifted(c, *place) for c, place in zip(cut, places, strict=True)])

    def paint(self, scenes: Scenes) -> torch.Tensor:
        """Pictures [n, 3, s, s] in [0, 1]."""
        cut = self.cut_outs(scenes)
        return looks.paint(scenes.look, cut[:, :3], cut[:, 3:], self.grounds(scenes, cut.shape[-1]))


def drawing_planes(drawings: Drawings, side: int) -> torch.Tensor:
    """Every drawing, both ways round, at ``side``: float [things, designs, sizes, 2, 4, side, side] in [0, 1]."""
    flat = drawings.rgba.flatten(0, 2)
    small = torch.cat([F.interpolate(p.float() / 255, size=(side, side), mode="area") for p in flat.split(256)])
    both = torch.stack([small, small.flip(-1)], 1)
    return both.view(*drawings.share.shape, len(SIZES), 2, 4, side, side)
