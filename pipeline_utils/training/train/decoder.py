"""The decoder's training: level by level, each told the whole picture through a throw-away head.

Started at full size at once it stood far behind after the same time: of a picture's 16 x 16
pixels a cell, the coarse levels hear only through all the fine ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from ..data.looks import edges
from ..data.scenes import Odds, Scenes, Stage
from ..model.decoder import Heads, build_decoder, decode, parameters_upto
from ..model.latents import Atlas
from ..presets import Level, Preset, Run
from .optimiser import split_optimisers
from .runs import Training, Workers, load_average, prefixed

ODDS = Odds(look=0.92, silent=0.0)
LEVEL_SHARE = 0.3  # weight of the levels before the last, and of each before it once more
LEVEL_FADE = 40_000  # samples of the last level over which the others' weight falls to a tenth
RENEWED = 6  # painted pictures of the pool that are drawn anew at each step


def strayed(latents: torch.Tensor, atlas: Atlas, generator: torch.Generator, by: float = 0.3) -> torch.Tensor:
    """Latents as a denoiser leaves them: a little wrong in every part, and places between whole cells."""
    n, layout, out = len(latents), atlas.layout, latents.clone()
    unit = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    share = lambda: torch.rand(n, 1, 1, 1, generator=generator)  # noqa: E731
    content, ground, code, place, ramp, carry = (out[:, s] for s in layout.slices.values())
    spread = atlas.components.spread.clamp(max=1).view(1, -1, 1, 1)
    content += by * share() * unit(*content.shape) * spread
    ground += 0.05 * unit(n, 3, 1, 1) + 0.02 * unit(*ground.shape)
    code *= 0.7 + 0.6 * share()
    code += 0.1 * unit(*code.shape)
    place *= 0.6 + 0.6 * share()
    place += 0.06 * unit(n, 2, 1, 1)
    ramp += 0.03 * unit(*ramp.shape)
    carry += 0.03 * unit(*carry.shape)
    return out


def picture_error(made: torch.Tensor, real: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    off = made - real
    return (weight * (off.abs() + 0.5 * off.square())).mean()


def slope_error(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Differences of neighbours: a soft edge is wrong twice."""
    off = made - real
    return (off[..., 1:] - off[..., :-1]).abs().mean() + (off[..., 1:, :] - off[..., :-1, :]).abs().mean()


def edge_weight(pictures: torch.Tensor) -> torch.Tensor:
    """Where [n, 3, s, s] on [-1, 1] changes, errors weigh up to three times as much: [n, 1, s, s]."""
    near = F.max_pool2d(edges(pictures / 2 + 0.5), 3, 1, 1)
    return 1 + 2 * near.clamp(0, 1)


def level_losses(vae: AutoencoderKL, heads: Heads, upto: int, latents, pictures, fade) -> Iterator[torch.Tensor]:
    """The loss of the levels up to a block; ``fade`` [n] in [0, 1]: what is left of the others once the last runs."""
    with torch.no_grad():
        weight = edge_weight(pictures)
    features, made = decode(vae, latents, upto)
    last = min(upto, len(heads.heads) - 1)
    loss = 0.0
    for level in range(last + 1):
        share = LEVEL_SHARE ** (last - level) * (1.0 if made is None else float(fade[0]))
        loss = loss + share * picture_error(heads(level, features[level]), pictures, weight)
    if made is not None:
        loss = loss + 1.5 * picture_error(made, pictures, weight) + 0.5 * slope_error(made, pictures)
    yield loss


class Pool:
    """Painted scenes at hand: to paint one costs as much as to train a coarse level on three."""

    def __init__(self, stage: Stage, size: int, generator: torch.Generator, workers: Workers):
        self.stage = stage
        self.scenes = stage.random(size, ODDS, generator)
        parts = torch.arange(size).split(64)
        self.pictures = torch.cat(workers.map(lambda rows: self._paint(self.scenes[rows]), parts))

    def _paint(self, scenes: Scenes) -> torch.Tensor:
        return (self.stage.paint(scenes) * 255).round().to(torch.uint8)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Scenes, torch.Tensor]:
        """n scenes, some of them new, and their pictures on [-1, 1]."""
        rows = torch.randint(len(self.scenes), (n,), generator=generator)
        fresh = rows[:RENEWED].unique()
        scenes = self.stage.random(len(fresh), ODDS, generator)
        self.scenes.put(fresh, scenes)
        self.pictures[fresh] = self._paint(scenes)
        return self.scenes[rows], self.pictures[rows].float() / 127.5 - 1


def train_decoder(
    preset: Preset, stage: Stage, atlas: Atlas, folder: Path, workers: Workers, until: int | None = None
) -> None:
    """Train level by level, ``folder/decoder-0.pt`` and on; ``until``: so many samples of the last one."""
    torch.manual_seed(preset.seed + 4)
    vae, heads = build_decoder(preset), Heads(preset.decoder.widths)
    earlier = pool = None
    for number, level in enumerate(preset.decoder_run):
        path, last = folder / f"decoder-{number}.pt", number + 1 == len(preset.decoder_run)
        following = folder / f"decoder-{number + 1}.pt"
        if not following.exists():
            live = parameters_upto(vae, level.block) | prefixed(heads=heads.upto(level.block))
            run = Run(level.samples, level.batch, level.rate, fall=0.5, warmup=60, ema=0.995)
            optimisers = split_optimisers(live, run.weight_decay, workers)
            training = Training(run, live, optimisers, path, workers, preset.seed + 5 + number)
            training.resume(earlier)
            pool = pool or Pool(stage, preset.pool, training.generator, workers)
            _train_level(vae, heads, level, training, pool, atlas, until if last else None)
        earlier = path


def _train_level(vae, heads: Heads, level: Level, training: Training, pool: Pool, atlas: Atlas, until) -> None:
    def draw() -> tuple:
        scenes, pictures = pool.draw(level.batch, training.generator)
        latents = strayed(atlas.latents(pool.stage, scenes), atlas, training.generator)
        fade = max(0.1, 1 - training.seen / LEVEL_FADE)
        return latents, pictures, torch.full((level.batch,), fade)

    training.loop(draw, lambda *part: level_losses(vae, heads, level.block, *part), until)


def load_decoder(preset: Preset, folder: Path) -> AutoencoderKL:
    """The averaged weights of the last level."""
    vae = build_decoder(preset)
    path = folder / f"decoder-{len(preset.decoder_run) - 1}.pt"
    load_average(path, parameters_upto(vae, len(preset.decoder.widths) - 1))
    return vae.eval().requires_grad_(False)
