"""Muon for the matrices inside a network, AdamW for the rest.

Muon (Jordan et al., 2024) orthogonalises the momentum of a weight matrix, so that all
directions of it learn at the same pace. Convolutions are read as matrices [out, in * k * k].
"""

from __future__ import annotations

import torch

from .runs import Workers

MUON_RATE = 8.0  # times AdamW's rate: the two measure a step differently
# First and last layers always go to AdamW, and tables of which a step sees single rows.
ENDS = ("conv_in.", "conv_out.", "quant_conv.", "heads.", "reader.", "embedding.weight")


def orthogonalise(x: torch.Tensor, halves: bool = False, rounds: int = 5) -> torch.Tensor:
    """The nearest semi-orthogonal matrix of [m, n], roughly, by a quintic iteration, for which halves will do."""
    x = x.bfloat16() if halves else x
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() * 1.01 + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, several matrices side by side; the rate is AdamW's, see MUON_RATE."""

    def __init__(self, parameters: list, weight_decay: float, workers: Workers, momentum: float = 0.95):
        self._workers = workers
        super().__init__(parameters, {"lr": 0.0, "weight_decay": weight_decay, "momentum": momentum})

    def step(self, closure=None) -> None:
        for group in self.param_groups:
            self._workers.map(lambda parameter, group=group: self._one(parameter, group), group["params"])

    @torch.no_grad()
    def _one(self, parameter: torch.Tensor, group: dict) -> None:
        rate, state = MUON_RATE * group["lr"], self.state[parameter]
        kept = state.setdefault("momentum", torch.zeros_like(parameter))
        kept.lerp_(parameter.grad, 1 - group["momentum"])
        given = parameter.grad.lerp(kept, group["momentum"]).flatten(1)
        update = orthogonalise(given, self._workers.halves)
        scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
        parameter.mul_(1 - rate * group["weight_decay"])
        parameter.add_(update.view_as(parameter), alpha=-rate * scale)


def split_optimisers(
    named: dict[str, torch.nn.Parameter], weight_decay: float, workers: Workers
) -> list[torch.optim.Optimizer]:
    """Muon for inner matrices, AdamW for ends, gains and offsets."""
    inner = {k: p for k, p in named.items() if p.ndim >= 2 and not any(end in k for end in ENDS)}
    others = [p for k, p in named.items() if k not in inner]
    adam = torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.98), weight_decay=weight_decay, fused=True)
    return [Muon(list(inner.values()), weight_decay, workers), adam]
