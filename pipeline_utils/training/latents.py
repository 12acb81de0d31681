"""Latents to train the UNet on: a pool kept ready on the CPU, or encoded anew on a GPU.

On a CPU, painting and encoding a picture costs as much as an eighth of a UNet step, so a
pool of latents is painted once and renewed little by little. Captions are not part of it:
each use of a latent says anew what it shows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from .augment import Scenes, paint, sample_scenes
from .presets import Preset
from .render import Pictures
from .runtime import Place, in_parallel
from .words import STYLES

CHUNK = 400  # pictures painted and encoded together
RENEW = 60  # steps after which the oldest chunk makes room for a new one


def encoder(vae: AutoencoderKL, place: Place) -> Callable[[torch.Tensor], torch.Tensor]:
    """Pictures -> latents scaled to unit size, by the posterior's mean."""
    scale = vae.config.scaling_factor

    @torch.no_grad()
    def encode(pictures: torch.Tensor) -> torch.Tensor:
        with place.autocast():
            return vae.encode(pictures).latent_dist.mode().float() * scale

    return encode


class Pool:
    """A sliding window over an endless, seeded sequence of chunks.

    Chunk k is the same whenever it is made; at a step the window is known from the step
    alone. Hence a resumed run sees the very latents the first one would have seen. Chunks
    are cached in ``folder`` so that resuming is quick.
    """

    def __init__(self, preset: Preset, pictures: Pictures, encode, folder: Path, side: int):
        self.preset, self.pictures, self.encode = preset, pictures, encode
        self.table = pictures.table.cpu()
        self.chunk = min(CHUNK, preset.pool)
        self.count = max(1, preset.pool // self.chunk)
        self.latents = torch.empty(self.count * self.chunk, preset.vae.latent_channels, side, side, dtype=torch.float16)
        self.scenes: list[Scenes | None] = [None] * self.count
        self.held = [-1] * self.count
        # Other odds draw other scenes: their latents are no use.
        drawn_by = repr((preset.odds, STYLES, pictures.names)).encode()
        self.folder = folder / f"{zlib.crc32(drawn_by):08x}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def _make(self, number: int) -> None:
        slot = number % self.count
        generator = torch.Generator().manual_seed(self.preset.seed * 1_000_003 + number)
        scenes = sample_scenes(self.chunk, self.table, self.preset.odds, generator)
        cached = self.folder / f"{number}.pt"
        if cached.exists():
            latents = torch.load(cached, weights_only=True)
        else:
            parts = torch.arange(self.chunk, device=self.pictures.rgba.device).split(50)
            latents = torch.cat(in_parallel(lambda rows: self._latents(scenes, rows.cpu()), list(parts)))
            torch.save(latents, cached)
        (self.folder / f"{number - self.count}.pt").unlink(missing_ok=True)
        self.latents[slot * self.chunk : (slot + 1) * self.chunk] = latents
        self.scenes[slot] = scenes
        self.held[slot] = number
        self.merged = None

    def _latents(self, scenes: Scenes, rows: torch.Tensor) -> torch.Tensor:
        painted = paint(scenes.select(rows), self.pictures, self.preset.size)
        return self.encode(painted).half().cpu()

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[torch.Tensor, Scenes]:
        """Latents [n, c, s, s] float32 and what they show, for a step."""
        first = step // RENEW
        for number in range(first, first + self.count):
            if self.held[number % self.count] != number:
                self._make(number)
        if self.merged is None:
            self.merged = Scenes(*(torch.cat([getattr(s, f.name) for s in self.scenes]) for f in fields(Scenes)))
        rows = torch.randint(len(self.latents), (n,), generator=generator)
        return self.latents[rows].float(), self.merged.select(rows)


class Stream:
    """Every batch painted and encoded anew, on the device."""

    def __init__(self, preset: Preset, pictures: Pictures, encode):
        self.preset, self.pictures, self.encode = preset, pictures, encode
        self.table = pictures.table.cpu()

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[torch.Tensor, Scenes]:
        scenes = sample_scenes(n, self.table, self.preset.odds, generator)
        return self.encode(paint(scenes, self.pictures, self.preset.size)), scenes
