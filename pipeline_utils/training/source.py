"""Endless training batches for the denoiser: latents, what they show, and noise that fits."""

from __future__ import annotations

import torch

from .augment import Scenes, paint, sample_scenes
from .components import Components
from .coupling import couple, directions
from .presets import SURVEY, Preset
from .render import Pictures
from .runtime import Place, in_parallel


class Source:
    """Every batch painted anew, where the pictures are."""

    def __init__(self, preset: Preset, pictures: Pictures, components: Components, place: Place):
        self.preset, self.pictures, self.place = preset, pictures, place
        self.components = components.to(place.device)
        self.table = pictures.table.cpu()
        self.along = self._directions().to(place.device)

    def scenes(self, n: int, generator: torch.Generator) -> Scenes:
        return sample_scenes(n, self.table, self.preset.odds, generator)

    @torch.no_grad()
    def latents(self, scenes: Scenes) -> torch.Tensor:
        """[n, c, s, s] of unit mean square."""

        def part(rows: torch.Tensor) -> torch.Tensor:
            painted = paint(scenes.select(rows.cpu()), self.pictures, self.preset.size)
            return self.components.latents(painted)

        rows = torch.arange(len(scenes), device=self.place.device)
        return torch.cat(in_parallel(part, list(rows.chunk(self.place.shards))))

    def noise(self, scenes: Scenes, generator: torch.Generator) -> torch.Tensor:
        """White noise [n, c, s, s], coupled with the scenes."""
        shape = (len(scenes), *self.along.shape[1:])
        white = torch.randn(shape, generator=generator, device=self.place.device)
        return couple(white, scenes.draws.to(self.place.device), self.along)

    def _directions(self, n: int = 4096) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.preset.seed + 18)
        parts = [sample_scenes(64, self.table, SURVEY, generator) for _ in range(n // 64)]
        latents = torch.cat([self.latents(part) for part in parts]).cpu()
        return directions(torch.cat([part.draws for part in parts]), latents)
