"""A few drawn shapes in place of the fetched picture sets, for the toy training runs."""

from __future__ import annotations

import numpy as np
import torch

from pipeline_utils.training.augment import sample_scenes
from pipeline_utils.training.packages import SETS
from pipeline_utils.training.presets import PRESETS, Odds
from pipeline_utils.training.render import Pictures, assemble
from pipeline_utils.training.words import INK

NAMES = ["ball", "box", "apple"]
SMOKE = PRESETS["smoke"]


def drawing(concept: int, style: int, side: int) -> np.ndarray:
    """A disc, a square or a half disc, in a colour of the style; ink is black."""
    y, x = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    inside = [x**2 + y**2 < 0.6, np.maximum(abs(x), abs(y)) < 0.7, (x**2 + y**2 < 0.7) & (y > 0)]
    colour = (0, 0, 0) if style in INK else (200, 40 + 20 * style, 60)
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[inside[concept]] = (*colour, 255)
    return rgba


def shapes() -> Pictures:
    """Every shape in every set, but for one set that lacks one."""
    drawings = {
        (c, s): drawing(c, s, SMOKE.source) for c in range(len(NAMES)) for s in range(len(SETS)) if (c, s) != (1, 4)
    }
    return assemble(drawings, NAMES, [("round",), ("square",), ("fruit",)])


def scenes_of(pictures: Pictures, n: int = 64, seed: int = 0, **odds):
    """Scenes, and the generator they were drawn with, for what comes after them."""
    generator = torch.Generator().manual_seed(seed)
    return sample_scenes(n, pictures.table, Odds(**odds), generator), generator
