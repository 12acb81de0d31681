"""Does a second-round picture resemble its pick? And what would a perfect model score?"""

from __future__ import annotations

from dataclasses import replace

import torch

from .augment import Scenes, paint, sample_scenes
from .composition import Composition, compose_of, distance, parts
from .judge import lone_odds
from .presets import Preset
from .render import Pictures
from .words import COLOURED, SET_IDS, STYLES

SEEDS = 4
# Sets that draw a thing in one pose and outline: a suffix can go between them and change
# nothing of the composition.
ALIKE = tuple(SET_IDS[name] for name in ("3d", "gradient", "flat", "line art"))


def nearest_is_own(second: Composition, first: Composition, style: int) -> torch.Tensor:
    """For pictures paired by position: is each second picture nearest to its own first? [n]"""
    apart = distance(second, first, style)
    return apart.argmin(1) == torch.arange(len(apart), device=apart.device)


def _first_round(preset: Preset, pictures: Pictures, concept: int, sets: list[int], generator) -> Scenes:
    """Four scenes of a concept without a style word, each drawn by one of the sets."""
    odds = replace(lone_odds(preset.odds), background_named=0.0)
    row = pictures.table[concept : concept + 1].cpu()
    first = sample_scenes(SEEDS, row, odds, generator)
    first.look = torch.zeros_like(first.look)
    designs = row[0, sets]
    first.picture = designs[torch.randint(len(designs), (SEEDS,), generator=generator)]
    return first


def _seen(scenes: Scenes, preset: Preset, pictures: Pictures) -> Composition:
    return compose_of((paint(scenes, pictures, preset.size).cpu() + 1) / 2)


def real_rounds(preset: Preset, pictures: Pictures, trials: int = 240, seed: int = 12) -> dict[str, float]:
    """Training pictures taken through two rounds: what the distance itself can reach.

    Placement and ground are kept to the number. Three shares of pictures that are nearest
    to their own pick: ``looks``, the very drawing under a look; ``alike``, the same thing
    by another set that draws it in the same pose; ``others``, by a set with a hand of its own.
    """
    generator = torch.Generator().manual_seed(preset.seed + seed)
    table, right = pictures.table.cpu(), {"looks": [], "alike": [], "others": []}
    looked = [i for i, style in enumerate(STYLES) if style.look]
    own = [i for i, style in enumerate(STYLES) if i and not style.look]
    for trial in range(trials):
        concept = int(torch.randint(len(table), (), generator=generator))
        styles = (looked, own)[trial % 2]
        style = styles[int(torch.randint(len(styles), (), generator=generator))]
        target = next(iter(STYLES[style].sets))
        kind = "looks" if STYLES[style].look else "alike" if target in ALIKE else "others"
        wanted = [s for s in COLOURED if kind != "alike" or s in ALIKE]
        sets = [s for s in wanted if table[concept, s] >= 0]
        if not sets or (kind != "looks" and table[concept, target] < 0):
            continue
        first = _first_round(preset, pictures, concept, sets, generator)
        second = replace(first, look=torch.full_like(first.look, STYLES[style].look))
        if kind != "looks":
            second.picture = table[concept, target].expand(SEEDS)
        own_first = nearest_is_own(_seen(second, preset, pictures), _seen(first, preset, pictures), style)
        right[kind] += own_first.tolist()
    return {kind: sum(hits) / max(1, len(hits)) for kind, hits in right.items()}


def typical_parts(preset: Preset, pictures: Pictures, trials: int = 100) -> dict[str, float]:
    """Mean parts of the distance between unrelated training scenes of one thing."""
    generator = torch.Generator().manual_seed(preset.seed + 17)
    table, sums = pictures.table.cpu(), {}
    for _ in range(trials):
        concept = int(torch.randint(len(table), (), generator=generator))
        sets = [s for s in COLOURED if table[concept, s] >= 0]
        seen = _seen(_first_round(preset, pictures, concept, sets, generator), preset, pictures)
        for name, apart in parts(seen, seen).items():
            sums.setdefault(name, []).append(apart[~torch.eye(SEEDS, dtype=torch.bool)].mean().item())
    return {name: sum(values) / len(values) for name, values in sums.items()}
