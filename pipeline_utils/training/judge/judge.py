"""A classifier trained on real pictures in all looks: which thing, which look, which composition.

It says whether a look is told from the others and whether two pictures share a composition. That a
person could name the thing it does not say: it knows nothing else than these things.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..data.looks import STYLES, blur
from ..data.scenes import Scenes, Stage
from ..presets import Preset, Run
from ..train.decoder import Pool
from ..train.runs import Training, Workers, load_average, prefixed

SIDE, MASK = 64, 8  # pictures are judged at this side, outlines told at that
BATCH = 64


@dataclass
class Composition:
    """mask [n, 8, 8]: how much of a cell the drawing covers; ground [n, 6]: top and bottom colour."""

    mask: torch.Tensor
    ground: torch.Tensor

    def __getitem__(self, rows) -> Composition:
        return Composition(self.mask[rows], self.ground[rows])


class Judge(nn.Module):
    """Pictures [n, 3, s, s] in [0, 1] -> thing logits, look logits, composition."""

    def __init__(self, things: int, widths: tuple[int, ...] = (32, 64, 96)):
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *widths), widths, strict=False):
            layers += [nn.Conv2d(before, width, 3, 2, 1), nn.GroupNorm(8, width), nn.SiLU()]
            layers += [nn.Conv2d(width, width, 3, 1, 1), nn.GroupNorm(8, width), nn.SiLU()]
        self.trunk = nn.Sequential(*layers)
        last = widths[-1]
        self.mask = nn.Conv2d(last, 1, 3, 1, 1)
        self.deeper = nn.Sequential(nn.Conv2d(last, 128, 3, 2, 1), nn.GroupNorm(8, 128), nn.SiLU())
        self.thing = nn.Linear(128 * 16, things)
        self.look = nn.Linear(2 * last, len(STYLES))
        self.ground = nn.Linear(2 * last, 6)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Composition]:
        small = F.interpolate(pictures * 2 - 1, size=(SIDE, SIDE), mode="area")
        features = self.trunk(small)  # [n, width, 8, 8]
        whole = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        composition = Composition(self.mask(features)[:, 0].sigmoid(), self.ground(whole))
        return self.thing(self.deeper(features).flatten(1)), self.look(whole), composition


def true_composition(stage: Stage, scenes: Scenes) -> Composition:
    cover = F.adaptive_avg_pool2d(stage.cut_outs(scenes)[:, 3:], MASK)[:, 0]
    return Composition(cover, torch.cat([scenes.top, scenes.bottom], 1))


def judge_loss(judge: Judge, pictures: torch.Tensor, thing, look, mask, ground) -> torch.Tensor:
    things, looks, seen = judge(pictures)
    loss = F.cross_entropy(things, thing, label_smoothing=0.05) + F.cross_entropy(looks, look)
    return loss + 4 * (seen.mask - mask).abs().mean() + 4 * (seen.ground - ground).abs().mean()


def train_judge(preset: Preset, stage: Stage, path: Path, workers: Workers) -> Judge:
    """Train, resuming from ``path``, or load what is trained already."""
    torch.manual_seed(preset.seed + 6)
    judge = Judge(len(stage.drawings.names))
    run = Run(preset.judge_steps * BATCH, BATCH, 1.5e-3, fall=0.5, weight_decay=0.02)
    optimiser = torch.optim.AdamW(judge.parameters(), weight_decay=run.weight_decay)
    training = Training(run, prefixed(judge=judge), [optimiser], path, workers, preset.seed + 7)
    training.resume()
    if training.seen < run.samples:
        random, pool = training.generator, Pool(stage, preset.pool, training.generator, workers)

        def draw() -> tuple:
            scenes, pictures = pool.draw(BATCH, random)
            # Decoded pictures are a little soft and spotted: that is no look.
            pictures = blur(pictures / 2 + 0.5, 0.3 + 1.2 * float(torch.rand((), generator=random)))
            pictures = pictures + 0.04 * torch.randn(pictures.shape, generator=random)
            truth = true_composition(stage, scenes)
            return pictures, scenes.thing, scenes.look, truth.mask, truth.ground

        training.loop(draw, lambda *part: [judge_loss(judge, *part)])
    load_average(path, prefixed(judge=judge))
    return judge.eval().requires_grad_(False)


@torch.no_grad()
def judged(judge: Judge, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Composition]:
    """Of pictures in [0, 1]: things, the likeliest first [n, 5]; look [n]; composition."""
    parts = [judge(part) for part in pictures.split(BATCH)]
    things, looks, seen = zip(*parts, strict=True)
    things = torch.cat(things)
    composition = Composition(torch.cat([c.mask for c in seen]), torch.cat([c.ground for c in seen]))
    return things.topk(min(5, things.shape[1])).indices, torch.cat(looks).argmax(1), composition


@dataclass(frozen=True)
class Ruler:
    """Distances of compositions, in units of what lies between unrelated scenes of one thing."""

    mask: float
    ground: float

    @staticmethod
    def of(judge: Judge, stage: Stage, generator: torch.Generator, count: int = 64) -> Ruler:
        """Measured on real, plain pictures of random things, two seeds each."""
        thing = torch.randint(len(stage.drawings.names), (count,), generator=generator)
        nothing = torch.zeros(count, dtype=torch.long)
        pair = [
            judged(
                judge,
                stage.paint(stage.scenes(torch.randn(count, 8, generator=generator), thing, nothing, nothing - 1)),
            )[2]
            for _ in range(2)
        ]
        mean = lambda a, b: (a - b).abs().mean().item()  # noqa: E731
        return Ruler(mean(pair[0].mask, pair[1].mask), mean(pair[0].ground, pair[1].ground))

    def apart(self, second: Composition, first: Composition) -> torch.Tensor:
        """[n second, n first]: about 0 the same, about 1 unrelated."""
        mask = (second.mask[:, None] - first.mask[None]).abs().mean((2, 3)) / self.mask
        ground = (second.ground[:, None] - first.ground[None]).abs().mean(2) / self.ground
        return (mask + ground) / 2
