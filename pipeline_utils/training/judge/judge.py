"""A classifier trained on real pictures in all looks: which thing, which look, which composition.

It says whether a look is told from the others and whether two pictures share a composition. That a person
could name the thing it does not say: it knows nothing else than these things.
"""

from __future__ import annotations

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


class Judge(nn.Module):
    """Pictures [n, 3, s, s] in [0, 1] -> thing logits, look logits, mask [n, 64], ground [n, 6].

    The mask is how much of each cell the drawing covers, the ground its top and bottom colour.
    """

    def __init__(self, things: int, widths: tuple[int, ...] = (32, 64, 96)):
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *widths), widths, strict=False):
            layers += [nn.Conv2d(before, width, 3, 2, 1), nn.GroupNorm(8, width), nn.SiLU()]
            layers += [nn.Conv2d(width, width, 3, 1, 1), nn.GroupNorm(8, width), nn.SiLU()]
        self.trunk, last = nn.Sequential(*layers), widths[-1]
        self.mask = nn.Conv2d(last, 1, 3, 1, 1)
        self.thing = nn.Sequential(nn.Conv2d(last, 128, 3, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(128 * 16, things))
        self.look, self.ground = nn.Linear(2 * last, len(STYLES)), nn.Linear(2 * last, 6)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.trunk(F.interpolate(pictures * 2 - 1, size=(SIDE, SIDE), mode="area"))  # [n, width, 8, 8]
        whole = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return self.thing(features), self.look(whole), self.mask(features).flatten(1).sigmoid(), self.ground(whole)


def true_composition(stage: Stage, scenes: Scenes) -> tuple[torch.Tensor, torch.Tensor]:
    cover = F.adaptive_avg_pool2d(stage.cut_outs(scenes)[:, 3:], MASK).flatten(1)
    return cover, torch.cat([scenes.top, scenes.bottom], 1)


def judge_loss(judge: Judge, pictures: torch.Tensor, thing, look, mask, ground) -> torch.Tensor:
    things, looks, covered, colours = judge(pictures)
    loss = F.cross_entropy(things, thing, label_smoothing=0.05) + F.cross_entropy(looks, look)
    return loss + 4 * (covered - mask).abs().mean() + 4 * (colours - ground).abs().mean()


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
            return pictures, scenes.thing, scenes.look, *true_composition(stage, scenes)

        training.loop(draw, lambda *part: [judge_loss(judge, *part)])
    load_average(path, prefixed(judge=judge))
    return judge.eval().requires_grad_(False)


@torch.no_grad()
def judged(judge: Judge, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of pictures in [0, 1]: things, the likeliest first [n, 5]; look [n]; composition [n, 70], mask and ground."""
    things, looks, mask, ground = map(torch.cat, zip(*(judge(part) for part in pictures.split(BATCH)), strict=True))
    return things.topk(min(5, things.shape[1])).indices, looks.argmax(1), torch.cat([mask, ground], 1)


def ruler(judge: Judge, stage: Stage, generator: torch.Generator, count: int = 64) -> torch.Tensor:
    """How far masks and grounds of two seeds of a thing are apart in real, plain pictures: [2]."""
    thing = torch.randint(len(stage.drawings.names), (count,), generator=generator)
    plain = torch.zeros_like(thing)
    seen = [
        judged(judge, stage.paint(stage.scenes(torch.randn(count, 8, generator=generator), thing, plain, plain - 1)))[2]
        for _ in range(2)
    ]
    apart = (seen[0] - seen[1]).abs()
    return torch.stack([apart[:, : MASK**2].mean(), apart[:, MASK**2 :].mean()])


def distance(second: torch.Tensor, first: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Of compositions [n, 70] and [m, 70], by a ruler: [n, m], about 0 the same, about 1 unrelated."""
    apart = (second[:, None] - first[None]).abs()
    return (apart[..., : MASK**2].mean(-1) / unit[0] + apart[..., MASK**2 :].mean(-1) / unit[1]) / 2
