"""The denoiser's training: on a sampler's own stops.

What a scene's latents are is a function of the prompt and of the draws in the noise, so the
model could know them at the first step. Where it does not yet, it predicts a mean. Trained as
usual, on true latents with noise, later steps then take that blurred mean for a truth and
settle on one of the drawings it is made of, often a wrong one: more steps were worse. Here each
state comes from the model's own guess before, as DDIM would reach it, and the aim stays the
true latents: every further step is one more chance to read the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import CLIPTextModel

from ..data.captions import Wording
from ..data.scenes import Stage
from ..model.latents import Atlas, Layout, noise_for
from ..model.text import build_text, load_tokenizer, token_ids
from ..model.unet import Denoiser, build_scheduler
from ..presets import Preset
from .optimiser import split_optimisers
from .runs import Training, Workers, load_average, prefixed

# How often a batch is taken to one, two, three stops. The first decides most: until it is known, it comes nearly alone.
EARLY, EARLY_STOPS, STOPS = 0.3, (0.92, 0.05, 0.03), (0.7, 0.2, 0.1)
LEAST = 40  # the lowest timestep of a stop
READING = 0.2  # weight of the reader's error
WEIGHTS = {"ramp": 0.3, "carry": 0.2}  # of channels that are easily learned; the rest weigh 1


def channel_weights(layout: Layout) -> torch.Tensor:
    weights = torch.ones(1, layout.channels, 1, 1)
    for name, value in WEIGHTS.items():
        weights[:, layout.slices[name]] = value
    return weights


def levels(timesteps: torch.Tensor, alphas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Signal and noise [n, 1, 1, 1] at timesteps [n]."""
    level = alphas[timesteps].view(-1, 1, 1, 1)
    return level.sqrt(), (1 - level).sqrt()


def stops(n: int, generator: torch.Generator) -> torch.Tensor:
    """Falling timesteps [n, 3] of a sampler's first stops; the first is pure noise."""
    first = torch.full((n,), 999.0)
    second = LEAST + (970 - LEAST) * torch.rand(n, generator=generator)
    third = LEAST + (0.9 * second - LEAST).clamp(min=0) * torch.rand(n, generator=generator)
    return torch.stack([first, second, third], 1).long()


def chain(
    model: Denoiser,
    text: CLIPTextModel,
    alphas: torch.Tensor,
    weights: torch.Tensor,
    latents: torch.Tensor,
    noise: torch.Tensor,
    draws: torch.Tensor,
    choices: torch.Tensor,
    ids: torch.Tensor,
    timesteps: torch.Tensor,
) -> Iterator[torch.Tensor]:
    """The loss at each stop, each state made of the guess before.

    latents, noise [n, c, 8, 8]; draws [n, 8]; choices [n, 5]; prompt ids [n, length]; timesteps [n, stops].
    """
    state = left = noise
    for number, at in enumerate(timesteps.unbind(1)):
        guess = model(state, at, text(ids).last_hidden_state)
        loss = (weights * (guess - latents).square()).mean()
        yield loss + READING * model.reading_loss(draws, choices) if number == 0 else loss
        guess = guess.detach()
        if number + 1 < timesteps.shape[1]:
            if number:  # the noise that a sampler believes in by now
                signal, sigma = levels(at, alphas)
                left = (state - signal * guess) / sigma
            signal, sigma = levels(timesteps[:, number + 1], alphas)
            state = signal * guess + sigma * left


def train_denoiser(
    preset: Preset,
    stage: Stage,
    atlas: Atlas,
    wording: Wording,
    folder: Path,
    workers: Workers,
    until: int | None = None,
) -> None:
    """Train ``folder/denoiser.pt``: UNet and text encoder together."""
    torch.manual_seed(preset.seed)
    tokenizer, tokens = load_tokenizer(folder), torch.load(folder / "tokens.pt", weights_only=True)
    model, text = Denoiser(preset), build_text(preset, tokenizer, tokens)
    run, named = preset.unet_run, prefixed(model=model, text=text)
    learning = {name: p for name, p in named.items() if p.requires_grad}
    optimisers = split_optimisers(learning, run.weight_decay, workers)
    training = Training(run, learning, optimisers, folder / "denoiser.pt", workers, preset.seed + 1)
    training.resume()
    random, weights, alphas = training.generator, channel_weights(atlas.layout), build_scheduler().alphas_cumprod

    def draw() -> tuple:
        scenes = stage.random(run.batch, preset.odds, random)
        latents = atlas.latents(stage, scenes)
        noise = noise_for(scenes.draws, latents.shape[1], random)
        ids = token_ids(tokenizer, wording.captions(scenes, int(torch.randint(2**31, (), generator=random))))
        odds = EARLY_STOPS if training.seen < EARLY * run.samples else STOPS
        count = 1 + int(torch.multinomial(torch.tensor(odds), 1, generator=random))
        return latents, noise, scenes.draws, scenes.choices, ids, stops(run.batch, random)[:, :count]

    training.loop(draw, lambda *part: chain(model, text, alphas, weights, *part), until)


def load_denoiser(preset: Preset, folder: Path) -> tuple[Denoiser, CLIPTextModel]:
    """The averaged weights of the trained denoiser and of its text encoder."""
    tokens = torch.load(folder / "tokens.pt", weights_only=True)
    model, text = Denoiser(preset), build_text(preset, load_tokenizer(folder), tokens)
    named = prefixed(model=model, text=text)
    load_average(folder / "denoiser.pt", {name: p for name, p in named.items() if p.requires_grad})
    return model.eval().requires_grad_(False), text.eval().requires_grad_(False)


@torch.no_grad()
def sample(model: Denoiser, noise: torch.Tensor, prompt: torch.Tensor, steps: int, batch: int = 64) -> torch.Tensor:
    """DDIM from noise [n, c, 8, 8] under prompts [n, length, width]."""
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    parts = []
    for state, words in zip(noise.split(batch), prompt.split(batch), strict=True):
        for t in scheduler.timesteps:
            guess = model(state, t.expand(len(state)), words)
            state = scheduler.step(guess, t, state).prev_sample
        parts.append(state)
    return torch.cat(parts)
