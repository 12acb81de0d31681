"""Latents whose channels have meanings, [n, channels, 8, 8].

content   the drawing itself, centred (model/components.py)
ground    the ground's colour on [-1, 1]
code      the look as a code of +-1, the same at all positions
place     by how many cells the decoder moves the drawing, likewise
ramp      fixed coordinates: the decoder's nearest-neighbour upsampling hides from a pixel where
          in its cell it is, and differences of a ramp tell it
carry     nothing; here the noise carries the draws. With a target of 0, a sampler leaves the
          noise in these channels as it is, smaller at each step: draws can be read at every level

A draw is the sum of one carry channel of the noise over its 64 positions, divided by 8: standard
normal, for any white noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..data.looks import STYLES
from ..data.render import Drawings
from ..data.scenes import CELLS, DRAWS, Scenes, Stage, drawing_planes
from .components import Components, find_components

CODE_BITS, RAMP_STEP = 8, 0.5


@dataclass(frozen=True)
class Layout:
    """Which channels hold what."""

    content: int

    @property
    def slices(self) -> dict[str, slice]:
        widths = {"content": self.content, "ground": 3, "code": CODE_BITS, "place": 2, "ramp": 2, "carry": len(DRAWS)}
        out, start = {}, 0
        for name, width in widths.items():
            out[name] = slice(start, start + width)
            start += width
        return out

    @property
    def channels(self) -> int:
        return self.slices["carry"].stop

    def part(self, name: str, latents: torch.Tensor) -> torch.Tensor:
        return latents[:, self.slices[name]]


def far_codes(count: int, bits: int = CODE_BITS) -> torch.Tensor:
    """Codes [count, bits] of +-1, each as far as can be from those before: a bit read wrong is no other look."""
    every = torch.tensor([[1.0 if k >> b & 1 else -1.0 for b in range(bits)] for k in range(2**bits)])
    chosen = [0]
    while len(chosen) < count:
        apart = (every[:, None] != every[chosen]).sum(-1).amin(1)
        chosen.append(int(apart.argmax()))
    return every[chosen]


CODES = far_codes(len(STYLES))


def ramps() -> torch.Tensor:
    """[2, 8, 8]: across and down, from -1.75 to 1.75."""
    line = (torch.arange(float(CELLS)) - (CELLS - 1) / 2) * RAMP_STEP
    return torch.stack([line.expand(CELLS, CELLS), line[:, None].expand(CELLS, CELLS)])


class Atlas:
    """The latents of every drawing, and of scenes made of them."""

    def __init__(self, drawings: Drawings, content: int):
        planes = drawing_planes(drawings, drawings.side // 2)
        has = drawings.share > 0
        self.layout = Layout(content)
        self.components: Components = find_components(planes[has].flatten(0, 2), content, drawings.side // 2 // CELLS)
        flat = planes.flatten(0, 3)
        content_of = torch.cat([self.components.latents(part) for part in flat.split(256)])
        self.content = content_of.view(*planes.shape[:4], content, CELLS, CELLS)  # [things, designs, sizes, 2, ...]

    def latents(self, stage: Stage, scenes: Scenes) -> torch.Tensor:
        """What the denoiser is to predict of scenes, [n, channels, 8, 8]."""
        n = len(scenes)
        flat = lambda v: v.float()[:, :, None, None].expand(-1, -1, CELLS, CELLS)  # noqa: E731
        return torch.cat(
            [
                self.content[scenes.thing, scenes.design, scenes.size, scenes.flip],
                stage.grounds(scenes, CELLS) * 2 - 1,
                flat(CODES[scenes.look]),
                flat(torch.stack([scenes.dx, scenes.dy], 1)),
                ramps().expand(n, -1, -1, -1),
                torch.zeros(n, len(DRAWS), CELLS, CELLS),
            ],
            1,
        )


def draws_of(noise: torch.Tensor) -> torch.Tensor:
    """The draws [n, 8] that noise [n, channels, 8, 8] carries."""
    return noise[:, -len(DRAWS) :].sum((2, 3)) / CELLS


def noise_for(draws: torch.Tensor, channels: int, generator: torch.Generator) -> torch.Tensor:
    """White noise [n, channels, 8, 8] that carries these draws [n, 8]."""
    noise = torch.randn(len(draws), channels, CELLS, CELLS, generator=generator)
    noise[:, -len(DRAWS) :] += ((draws - draws_of(noise)) / CELLS)[:, :, None, None]
    return noise
