"""What every run needs: workers, averages, rates by samples seen, checkpoints that resume it."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from ..presets import Run

SAVE_EVERY = 240.0  # seconds
SAY_EVERY = 100  # steps
Losses = Callable[..., Iterable[torch.Tensor]]


class Workers:
    """Threads that compute parts of a batch side by side, each on one core.

    Unlike threads inside an operation they never wait for each other on the way, which on a
    machine that does other work, too, is worth a factor of two. ``halves``: products in bfloat16,
    which processors with matrix units for it are faster in, and others slower.
    """

    def __init__(self, count: int | None = None, halves: bool = False):
        self.count, self.halves = count or os.cpu_count() or 1, halves
        self._pool = ThreadPoolExecutor(self.count, initializer=lambda: torch.set_num_threads(1))

    def map(self, function: Callable, items: Iterable) -> list:
        return list(self._pool.map(function, items))

    def gradients(self, losses_of: Losses, parameters: list, *batch) -> list[float]:
        """Backpropagate each loss that ``losses_of(*part)`` yields, before it is asked for the next.

        ``batch``: things of the same length that can be sliced. Gradients are means over the
        batch, added up over the losses, put into ``parameters``; the mean of each loss is returned.
        """
        whole = len(batch[0])
        edges = [whole * k // self.count for k in range(self.count + 1)]

        def one(part: slice):
            share, seen, total = (part.stop - part.start) / whole, [], None
            with self._numbers():
                losses = iter(losses_of(*(b[part] for b in batch)))
                loss = next(losses, None)
            while loss is not None:
                found = torch.autograd.grad(loss * share, parameters, allow_unused=True)
                found = [torch.zeros_like(p) if f is None else f for p, f in zip(parameters, found, strict=True)]
                total = found if total is None else torch._foreach_add(total, found)
                seen.append(loss.item() * share)
                with self._numbers():
                    loss = next(losses, None)
            return seen, total

        results = self.map(one, [slice(a, b) for a, b in itertools.pairwise(edges) if a < b])
        total = results[0][1]
        for _, more in results[1:]:
            total = torch._foreach_add(total, more)
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient
        return [sum(parts) for parts in zip(*(seen for seen, _ in results), strict=True)]

    def _numbers(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.halves)


def rate(run: Run, seen: int, step: int) -> float:
    """The learning rate of the step to come, after ``seen`` samples."""
    left = (1 - seen / run.samples) / run.fall
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, left)))
    return run.rate * min(1.0, (step + 1) / run.warmup) * max(0.02, fall)


class Training:
    """One run of the parameters ``named``, kept at ``path``. It may be stopped and gone on with at any time."""

    def __init__(
        self,
        run: Run,
        named: dict[str, torch.nn.Parameter],
        optimisers: list[torch.optim.Optimizer],
        path: Path,
        workers: Workers,
        seed: int,
    ):
        self.run, self.named, self.optimisers, self.path, self.workers = run, named, optimisers, path, workers
        self.average = {name: p.detach().clone() for name, p in named.items()}
        self.generator = torch.Generator().manual_seed(seed)
        self.seen = self.step = 0

    def resume(self, earlier: Path | None = None) -> None:
        """Go on from the checkpoint at ``path``; where there is none, from the averages of an ``earlier`` run."""
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self._adopt(state["live"])
            self.average = state["average"]
            for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
            self.generator.set_state(state["generator"])
            self.seen, self.step = state["seen"], state["step"]
        elif earlier is not None:
            known = torch.load(earlier, weights_only=True)["average"]
            self._adopt({name: value for name, value in known.items() if name in self.named})
            self.average |= {name: p.detach().clone() for name, p in self.named.items()}

    @torch.no_grad()
    def _adopt(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self.named[name].copy_(value)

    def save(self) -> None:
        """Written aside and renamed: a checkpoint is there whole or not at all."""
        aside = self.path.with_suffix(".part")
        state = {
            "live": {name: p.detach() for name, p in self.named.items()},
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "generator": self.generator.get_state(),
            "seen": self.seen,
            "step": self.step,
        }
        torch.save(state, aside)
        aside.replace(self.path)

    def advance(self, losses_of: Losses, batch: tuple) -> list[float]:
        """One step; returns the losses."""
        parameters = list(self.named.values())
        losses = self.workers.gradients(losses_of, parameters, *batch)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        value = rate(self.run, self.seen, self.step)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = value
            optimiser.step()
        self.step += 1
        self.seen += len(batch[0])
        decay = min(self.run.ema, (1 + self.step) / (10 + self.step))  # a young average forgets faster
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), [p.detach() for p in parameters], 1 - decay)
        return losses

    def loop(self, draw: Callable[[], tuple], losses_of: Losses, until: int | None = None) -> None:
        """Train to the run's end, or until so many samples at its rates. Says the first loss's mean now and then."""
        marked, saved, seen, past = time.monotonic(), time.monotonic(), self.seen, []
        while self.seen < min(self.run.samples, until or self.run.samples):
            past.append(self.advance(losses_of, draw())[0])
            now = time.monotonic()
            if self.step % SAY_EVERY == 0:
                pace = (self.seen - seen) / (now - marked)
                loss = f"{sum(past) / len(past):.4f}, {pace:.1f}/s"
                print(f"{time.strftime('%H:%M:%S')} {self.path.stem} {self.seen}: {loss}", flush=True)
                marked, seen, past = now, self.seen, []
            if now - saved > SAVE_EVERY:
                self.save()
                saved = now
        self.save()


@torch.no_grad()
def load_average(path: Path, named: dict[str, torch.nn.Parameter]) -> None:
    """The averaged weights of a run, into parameters of the same names."""
    known = torch.load(path, weights_only=True)["average"]
    for name, parameter in named.items():
        parameter.copy_(known[name])


def prefixed(**modules: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The modules' parameters by "module.name"."""
    return {f"{key}.{name}": p for key, module in modules.items() for name, p in module.named_parameters()}
