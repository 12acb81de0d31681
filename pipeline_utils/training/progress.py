"""How far a run is, what rate that means, and checkpoints that resume it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from .presets import Schedule

SAVE_EVERY = 60.0  # seconds


@dataclass
class Budget:
    """A run ends after ``minutes`` of work (resumed runs add up) or after ``steps``.

    Steps make a run repeatable to the bit; minutes make it fit a machine.
    """

    minutes: float | None = None
    steps: int | None = None
    step: int = 0
    spent: float = 0.0  # seconds, by earlier runs
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.spent + time.monotonic() - self.started

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the run is over."""
        if self.steps is not None:
            return self.step / self.steps
        return self.seconds / (60 * self.minutes)

    def rate(self, schedule: Schedule) -> float:
        """Learning rate of the step to come."""
        warm = min(1.0, (self.step + 1) / schedule.warmup)
        left = (1 - self.progress) / schedule.decay
        fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, left)))
        return schedule.rate * warm * max(0.02, fall)

    def state(self) -> dict:
        return {"step": self.step, "spent": self.seconds}

    def resume(self, state: dict) -> None:
        self.step, self.spent, self.started = state["step"], state["spent"], time.monotonic()


class Average:
    """Exponential moving average of a module's parameters, in float32."""

    def __init__(self, module: torch.nn.Module, decay: float):
        self.decay = decay
        self.values = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, module: torch.nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))  # a young average forgets faster
        torch._foreach_lerp_(self.values, list(module.parameters()), 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: torch.nn.Module) -> None:
        for parameter, value in zip(module.parameters(), self.values, strict=True):
            parameter.copy_(value)


def adopt(average: Average, module: torch.nn.Module, values: list[torch.Tensor]) -> None:
    """Begin with weights alone, of a restored model; parameters beyond them stay as they are."""
    for kept, value in zip(average.values, values, strict=False):
        kept.copy_(value)
    average.copy_to(module)


def save_checkpoint(path: Path, **state) -> None:
    """Written aside and renamed: a checkpoint is there whole or not at all."""
    aside = path.with_suffix(".part")
    torch.save(state, aside)
    aside.replace(path)


def load_checkpoint(path: Path) -> dict | None:
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
