"""A classifier of concepts and styles, trained on augmented real pictures, that judges."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .augment import paint, sample_scenes
from .optimiser import make_optimiser
from .presets import Odds, Preset, Schedule
from .progress import Budget, load_checkpoint, save_checkpoint, set_rate
from .render import Pictures
from .runtime import Place
from .words import STYLES


class Judge(nn.Module):
    """Pictures [n, 3, s, s] in [-1, 1] -> concept logits, style logits."""

    def __init__(self, concepts: int, widths: tuple[int, ...] = (32, 64, 96, 128)):
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in widths:
            layers += [
                nn.Conv2d(before, width, 3, stride=2, padding=1),
                nn.GroupNorm(8, width),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.GroupNorm(8, width),
                nn.SiLU(),
            ]
            before = width
        self.trunk = nn.Sequential(*layers)
        self.concept = nn.Linear(before * 4, concepts)
        self.style = nn.Linear(before * 2, len(STYLES))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.trunk(pictures)  # [n, width, s/16, s/16]
        parts = F.adaptive_avg_pool2d(features, (1, 2)).flatten(1)
        peaks = F.adaptive_max_pool2d(features, (1, 2)).flatten(1)
        whole = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return self.concept(torch.cat([parts, peaks], 1)), self.style(whole)


def lone_odds(odds: Odds) -> Odds:
    """One object, in its own colours: what has one right answer."""
    return Odds(**{**odds.__dict__, "company": 0.0, "tint": 0.0, "favoured": ()})


def train_judge(
    preset: Preset, pictures: Pictures, path: Path, place: Place, steps: int, batch: int = 64
) -> tuple[Judge, dict[str, float]]:
    """Train or load; also its accuracy on augmentations it has not seen."""
    torch.manual_seed(preset.seed + 8)
    judge = Judge(len(pictures.names)).to(place.device)
    odds, table = lone_odds(preset.odds), pictures.table.cpu()
    if state := load_checkpoint(path):
        judge.load_state_dict(state["model"])
        return judge.eval(), state["accuracy"]
    schedule = Schedule(batch=batch, rate=2e-3, warmup=30, decay=0.7)
    optimiser = make_optimiser(dict(judge.named_parameters()), (0.9, 0.98), schedule)
    budget = Budget(steps=steps)
    generator = torch.Generator().manual_seed(preset.seed + 9)
    for step in range(steps):
        scenes = sample_scenes(batch, table, odds, generator)
        with place.autocast():
            concept, style = judge(paint(scenes, pictures, preset.size))
        wanted = scenes.style.to(place.device)
        loss = F.cross_entropy(concept.float(), scenes.concept.to(place.device), label_smoothing=0.05)
        # A picture without a style word could be any coloured one: it teaches no style.
        loss = loss + 0.5 * F.cross_entropy(style.float(), torch.where(wanted > 0, wanted, -100), ignore_index=-100)
        set_rate(optimiser, budget.rate(schedule))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        budget.step += 1
        if step % 100 == 99:
            print(f"judge step {step + 1} loss {loss.item():.3f}", flush=True)
    judge.eval()
    accuracy = measure(judge, preset, pictures, torch.Generator().manual_seed(preset.seed + 10))
    save_checkpoint(path, model=judge.state_dict(), accuracy=accuracy)
    return judge, accuracy


@torch.no_grad()
def measure(
    judge: Judge, preset: Preset, pictures: Pictures, generator: torch.Generator, n: int = 1000
) -> dict[str, float]:
    """Accuracy on real pictures under augmentations drawn for this alone."""
    scenes = sample_scenes(n, pictures.table.cpu(), lone_odds(preset.odds), generator)
    concept, style = judge(paint(scenes, pictures, preset.size))
    concept, style = concept.cpu(), style.cpu()
    plain = scenes.style == 0
    top = concept.topk(min(5, concept.shape[1])).indices == scenes.concept[:, None]
    return {
        "concept top-1": top[:, 0].float().mean().item(),
        "concept top-1, no style word": top[plain, 0].float().mean().item(),
        "concept top-5": top.any(1).float().mean().item(),
        "style": (style[:, 1:].argmax(1) + 1 == scenes.style)[~plain].float().mean().item(),
    }
