"""A few drawn shapes in place of the fetched picture sets, for toy training runs."""

from __future__ import annotations

import numpy as np
import torch

from pipeline_utils.training.data.render import SIZES, Drawings, assemble
from pipeline_utils.training.presets import DecoderShape, Level, Preset, Run, TextShape, UnetShape

NAMES = ["ball", "box", "apple"]
SHARES = [0.5, 0.3, 0.2]
SMOKE = Preset(
    "smoke",
    things=3,
    side=32,
    content=12,
    text=TextShape(vocabulary=600, width=32, layers=1, heads=2, length=24),
    unet=UnetShape(widths=(32, 32), layers=(1, 1), attention=(True, True), head_width=8, groups=4),
    decoder=DecoderShape(widths=(8, 16, 16)),
    unet_run=Run(samples=8, batch=4, rate=1e-3, warmup=2),
    decoder_run=(Level(block=0, samples=8, batch=4, rate=1e-3), Level(block=2, samples=8, batch=4, rate=1e-3)),
    pool=8,
    judge_steps=2,
)


def drawing(thing: int, design: int, side: int) -> np.ndarray:
    """A disc, a square or a half disc, in a colour of the design, with a dark half to tell directions by."""
    y, x = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    inside = [x**2 + y**2 < 0.8, np.maximum(abs(x), abs(y)) < 0.8, (x**2 + y**2 < 0.9) & (y > -0.2)]
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[inside[thing]] = (200, 60 + 70 * design, 60, 255)
    rgba[inside[thing] & (x > 0.2)] = (60, 30 + 50 * design, 90, 255)
    return rgba


def shapes(side: int = SMOKE.side) -> Drawings:
    """Every shape in every set, but for one set that lacks the box."""
    found = {
        (thing, design): [drawing(thing, design, round(size * side)) for size in SIZES]
        for thing in range(len(NAMES))
        for design in range(len(SHARES))
        if (thing, design) != (1, 2)
    }
    return assemble(found, SHARES, NAMES)


def many_draws(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))
