"""Where a training run happens: device, number format, compilation, workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Place:
    """A device and how to compute on it.

    ``shards``: parts of a batch whose gradients are computed apart and added up in order.
    On the CPU two threads take them from a queue: unlike threads inside an operation they
    never wait for each other at every step of the way, which on a machine that does other
    work, too, is worth a factor of two and more. The sum does not depend on who was quicker.
    """

    device: str
    bf16: bool = True
    compiled: bool = False
    shards: int = 1

    def autocast(self) -> AbstractContextManager:
        # The cache of cast weights is shared by all threads: shards go without it.
        return torch.autocast(
            torch.device(self.device).type,
            torch.bfloat16,
            enabled=self.bf16,
            cache_enabled=self.shards == 1,
        )

    def compile(self, function):
        """On CUDA a step is thousands of small kernels: fused, most of the launch cost goes.
        On the CPU compiling costs minutes and gains a few per cent."""
        if not self.compiled:
            return function
        return torch.compile(function, mode="max-autotune-no-cudagraphs", dynamic=False)

    def backward(
        self,
        loss_of: Callable[..., torch.Tensor],
        parameters: Sequence[torch.nn.Parameter],
        *batch: torch.Tensor,
    ) -> torch.Tensor:
        """Mean loss of ``loss_of(*batch)``; its gradients go into ``parameters``."""
        if self.shards == 1:
            with self.autocast():
                loss = loss_of(*batch)
            loss.backward()
            return loss.detach()

        def one(shard: tuple[torch.Tensor, ...]):
            with self.autocast():
                loss = loss_of(*shard) * (len(shard[0]) / len(batch[0]))
            return loss.detach(), torch.autograd.grad(loss, parameters)

        pieces = [tensor.chunk(self.shards) for tensor in batch]
        losses, gradients = zip(*_workers().map(one, zip(*pieces, strict=True)), strict=True)
        total, *others = gradients
        for more in others:
            total = torch._foreach_add(total, more)
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient
        return sum(losses)


_POOL: list[ThreadPoolExecutor] = []


def _workers() -> ThreadPoolExecutor:
    """One thread for each core, each computing alone (OMP_NUM_THREADS=1 for its operations)."""
    if not _POOL:
        _POOL.append(ThreadPoolExecutor(os.cpu_count(), initializer=lambda: torch.set_num_threads(1)))
    return _POOL[0]


def in_parallel(function: Callable, items: list[torch.Tensor]) -> list[torch.Tensor]:
    """``function`` of each item: on the workers for CPU tensors, in turn elsewhere."""
    return list(_workers().map(function, items) if items[0].device.type == "cpu" else map(function, items))


def choose_place(workers: int | None = None) -> Place:
    """``workers``: threads that share a batch on a CPU; 1 leaves the other cores to others."""
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        return Place("cuda", compiled=os.environ.get("SECOND_ROUND_COMPILE", "1") == "1")
    return Place("cpu", shards=workers or 2)
