"""Muon for the matrices inside a network, AdamW for the rest.

Muon (Jordan et al., 2024) orthogonalises the momentum of a weight matrix, so that all
directions of it learn at the same pace. Convolutions are read as matrices [out, in * k * k].
"""

from __future__ import annotations

from collections import defaultdict

import torch

from .presets import Schedule
from .runtime import in_parallel

MUON_RATE = 8.0  # times AdamW's rate: the two measure a step differently


def orthogonalise(batch: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """Nearest semi-orthogonal matrices of [b, m, n], roughly, by a quintic iteration in bf16."""
    x = batch.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).to(batch.dtype)


class MuonAdamW(torch.optim.AdamW):
    """One optimiser with two kinds of parameter groups (``muon`` True or False)."""

    def __init__(
        self, matrices: list, others: list, betas: tuple[float, float], weight_decay: float, momentum: float = 0.95
    ):
        groups = [{"params": others, "muon": False}, {"params": matrices, "muon": True}]
        kept = [g for g in groups if g["params"]]
        super().__init__(kept, lr=0.0, betas=betas, weight_decay=weight_decay, fused=True)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure=None) -> None:
        muon = [g for g in self.param_groups if g["muon"]]
        kept = self.param_groups
        self.param_groups = [g for g in kept if not g["muon"]]
        super().step()
        self.param_groups = kept
        for group in muon:
            self._muon_step(group["params"], MUON_RATE * group["lr"], group["weight_decay"])

    def _muon_step(self, parameters: list, rate: float, weight_decay: float) -> None:
        alike: dict[tuple[int, int], list] = defaultdict(list)
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
                state["step"] = torch.zeros(())  # AdamW looks for it when a state is loaded
            state["momentum"].lerp_(parameter.grad, 1 - self.momentum)
            update = parameter.grad.lerp(state["momentum"], self.momentum).flatten(1)
            alike[tuple(update.shape)].append((parameter, update))
        stacks = [torch.stack([update for _, update in members]) for members in alike.values()]
        for members, updates in zip(alike.values(), in_parallel(orthogonalise, stacks), strict=True):
            rows, columns = updates.shape[1:]
            scale = max(1.0, rows / columns) ** 0.5
            for (parameter, _), update in zip(members, updates, strict=True):
                parameter.mul_(1 - rate * weight_decay)
                parameter.add_(update.view_as(parameter), alpha=-rate * scale)


def make_optimiser(
    named: dict[str, torch.nn.Parameter], betas: tuple[float, float], schedule: Schedule
) -> torch.optim.Optimizer:
    """First and last layers, embeddings, gains and offsets always go to AdamW."""
    ends = ("conv_in.", "conv_out.", "embed", "reader.")
    matrices, others = [], []
    for name, parameter in named.items():
        inner = schedule.muon and parameter.ndim >= 2 and not any(end in name for end in ends)
        (matrices if inner else others).append(parameter)
    return MuonAdamW(matrices, others, betas, schedule.weight_decay)
