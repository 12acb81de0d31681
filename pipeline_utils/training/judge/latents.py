"""How well the denoiser knows what a prompt and a seed mean, read from its latents.

Pictures hide much: a decoder mends, and a judge of pictures forgives. Here every scene's true
latents are known.
"""

from __future__ import annotations

import torch
from transformers import CLIPTextModel, CLIPTokenizer

from ..data.captions import Wording
from ..data.scenes import Odds, Scenes, Stage
from ..model.latents import CODES, Atlas, noise_for
from ..model.text import token_ids
from ..model.unet import Denoiser
from ..train.denoiser import sample

FIRST = 12  # components that hold the shape; the rest is detail
BAD = 0.25  # error, in shares of the variance, from which a drawing is not known again


@torch.no_grad()
def measure_latents(
    model: Denoiser,
    text: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    stage: Stage,
    atlas: Atlas,
    wording: Wording,
    steps: tuple[int, ...] = (1, 2, 4, 8, 12),
    count: int = 192,
    seed: int = 999,
) -> dict[int, dict[str, float]]:
    """By number of DDIM steps: errors in shares of the variance, and shares of scenes that are right.

    Scenes are drawn with ``seed``, an eighth of them with a ground that is named. One step is the guess
    at t = 999.
    """
    generator = torch.Generator().manual_seed(seed)
    scenes = stage.random(count, Odds(look=0.5, ground=0.125, silent=0.0), generator)
    truth = atlas.latents(stage, scenes)
    noise = noise_for(scenes.draws, truth.shape[1], generator)
    prompt = text(token_ids(tokenizer, wording.captions(scenes, seed))).last_hidden_state
    return {k: compare(sample(model, noise, prompt, k), truth, stage, atlas, scenes) for k in steps}


def compare(made: torch.Tensor, truth: torch.Tensor, stage: Stage, atlas: Atlas, scenes: Scenes) -> dict[str, float]:
    """made, truth [n, channels, 8, 8]."""
    off, layout = (made - truth).square(), atlas.layout
    variance = lambda name: layout.part(name, truth).var(0).mean()  # noqa: E731
    shape = off[:, :FIRST].mean((1, 2, 3)) / truth[:, :FIRST].var(0).mean()
    design, size, flip, mirror = nearest(made, stage, atlas, scenes)
    place = layout.part("place", made).mean((2, 3)).round()
    codes = layout.part("code", made).mean((2, 3))
    look = (codes[:, None] - CODES).square().sum(2).argmin(1)
    right = {
        "place right": (place == torch.stack([scenes.dx, scenes.dy], 1)).all(1),
        "direction right": flip == scenes.flip,
        "design right": design == scenes.design,
        "size right": size == scenes.size,
        "look right": look == scenes.look,
        "bad drawings": shape > BAD,
    }
    return {
        "error": (layout.part("content", off).mean() / variance("content")).item(),
        "error of the shape": shape.mean().item(),
        "error of the shape, median": shape.median().item(),
        "error of the ground": (layout.part("ground", off).mean() / variance("ground")).item(),
        "mirror margin": mirror.mean().item(),
        **{name: hits.float().mean().item() for name, hits in right.items()},
    }


def nearest(made: torch.Tensor, stage: Stage, atlas: Atlas, scenes: Scenes) -> tuple[torch.Tensor, ...]:
    """Which of its thing's drawings each content is nearest to: design, size, flip [n]; and by how much the
    scene's own drawing is nearer than its mirror image, in shares of the variance [n]."""
    content = atlas.layout.part("content", made)
    known = atlas.content[scenes.thing]  # [n, designs, sizes, 2, c, 8, 8]
    apart = (known - content[:, None, None, None]).square().mean((-3, -2, -1))  # [n, designs, sizes, 2]
    lacking = stage.drawings.share[scenes.thing] == 0
    best = apart.masked_fill(lacking[:, :, None, None], torch.inf).flatten(1).argmin(1)
    sizes = apart.shape[2]
    row = torch.arange(len(made))
    own = apart[row, scenes.design, scenes.size]  # [n, 2]
    margin = (own[row, 1 - scenes.flip] - own[row, scenes.flip]) / atlas.content.var(0).mean()
    return best // (2 * sizes), best // 2 % sizes, best % 2, margin
