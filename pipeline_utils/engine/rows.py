"""A heavy call of the model, its arguments and its answer, as rows of pictures."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from pipeline_utils.models.shapes import Shapes

_SHARED = ("img_ids", "txt_ids")  # Flux: places of patches and words, the same for every picture
_PLAIN = (type(None), bool, int, float, str, torch.dtype)


@dataclass
class Company:
    """What the heavy calls of one pipeline call have in common.

    pictures: in that call; None where its calls are made as they are, by themselves. lanes: in the plain call whose
    bits are wanted. short: GPU memory was short in one of them.
    """

    device: torch.device
    pictures: int | None = None
    lanes: int = 1
    shapes: Shapes | None = None
    short: bool = False

    def took(self, what: str, seconds: float) -> None:
        if self.device.type != "cpu":  # a call returns when its kernels are queued
            return
        self.shapes.seconds[what] = min(seconds, self.shapes.seconds.get(what, seconds))


@dataclass(eq=False)
class Call:
    """One call of `function`, known as `name`, whose parameters are those of `signature`.

    at_once: it cannot wait, since its part is another one for a moment. light, visitor: who waits for it.
    """

    name: str
    function: Callable
    signature: inspect.Signature
    args: tuple
    kwargs: dict
    company: Company
    at_once: bool = False
    light: Any = None
    visitor: str = ""

    def plain(self) -> Any:
        """The answer to the call as it is."""
        began = time.perf_counter()
        answer = self.function(*self.args, **self.kwargs)
        if self.rows:
            self.company.took(self.rows.what, time.perf_counter() - began)
        return answer

    @cached_property
    def rows(self) -> Rows | None:
        """The arguments as rows of pictures; None where they are none, or where the call is made by itself."""
        if self.company.pictures is None:
            return None
        try:
            return Rows(self)
        except (TypeError, ValueError, StopIteration):
            return None


@dataclass
class Answer:
    """What a function answers: its leaves, the tensors as [groups, pictures, ...], and how they hang together."""

    leaves: list
    form: Any

    def of(self, start: int, end: int) -> Answer:
        """The share of some of the pictures."""
        return Answer(
            [each[:, start:end] if isinstance(each, torch.Tensor) else each for each in self.leaves], self.form
        )

    def at(self, places: Sequence[int]) -> Answer:
        """The same for these pictures, in this order."""
        return Answer([each[:, places] if isinstance(each, torch.Tensor) else each for each in self.leaves], self.form)

    def whole(self) -> Any:
        rows = [each.flatten(0, 1) if isinstance(each, torch.Tensor) else each for each in self.leaves]
        return tree_unflatten(rows, self.form)

    def equals(self, other: Answer) -> bool:
        return all(map(_same_bits, self.leaves, other.leaves))

    @property
    def finite(self) -> bool:
        return all(bool(each.isfinite().all()) for each in self.leaves if isinstance(each, torch.Tensor))

    @property
    def numbers(self) -> int:
        return sum(each.numel() for each in self.leaves if isinstance(each, torch.Tensor))

    @classmethod
    def joined(cls, answers: Sequence[Answer]) -> Answer:
        columns = zip(*(answer.leaves for answer in answers), strict=True)
        leaves = [torch.cat(each, dim=1) if isinstance(each[0], torch.Tensor) else each[0] for each in columns]
        return cls(leaves, answers[0].form)


class Rows:
    """The arguments of a call of `pictures` pictures, `groups` rows each (with guidance one is without the prompt).

    parts: the tensors that have rows, as [groups, pictures, ...], by their place among all leaves of the arguments.
    key: equal for calls that differ in these alone.
    """

    def __init__(self, call: Call) -> None:
        """Raises ValueError where the arguments are no rows of pictures."""
        arguments = call.signature.bind(*call.args, **call.kwargs).arguments
        names = [name for name, value in arguments.items() for _ in tree_flatten(value)[0]]
        self.leaves, self._form = tree_flatten(dict(arguments))
        rows = next(len(leaf) for leaf in self.leaves if isinstance(leaf, torch.Tensor) and leaf.ndim)
        self.call, self.pictures = call, call.company.pictures
        self.groups, odd = divmod(rows, self.pictures)
        if odd or not self.groups:
            raise ValueError
        self.parts: dict[int, torch.Tensor] = {}
        key: list = []
        for at, (name, leaf) in enumerate(zip(names, self.leaves, strict=True)):
            if name == "timestep" and isinstance(leaf, torch.Tensor) and not leaf.ndim:
                leaf = leaf.expand(rows)  # other visitors are at other steps
            if not isinstance(leaf, torch.Tensor):
                if not isinstance(leaf, _PLAIN):
                    raise ValueError
                key.append(leaf)
            elif leaf.ndim and len(leaf) == rows and name not in _SHARED:
                self.parts[at] = leaf.unflatten(0, (self.groups, self.pictures))
                key.append((tuple(leaf.shape[1:]), leaf.dtype))
            else:
                key.append((tuple(leaf.shape), hashlib.sha256(as_bytes(leaf).cpu().numpy().tobytes()).hexdigest()))
        self.key = (call.name, call.company.lanes, self.groups, *names, *key)

    @cached_property
    def what(self) -> str:
        """The key in words, for the table of what was tried."""
        sizes = [f"{list(part.shape[2:])} {part.dtype}".replace("torch.", "") for part in self.parts.values()]
        mark = hashlib.sha256(repr(self.key).encode()).hexdigest()[:6]
        return f"{self.call.name}, {self.call.company.lanes} pictures of {self.groups} x {', '.join(sizes)} ({mark})"

    def asked(self, parts: dict[int, torch.Tensor]) -> Answer:
        """What the function answers to these rows instead of the call's own."""
        pictures = next(iter(parts.values())).shape[1]
        leaves = [parts[at].flatten(0, 1) if at in parts else leaf for at, leaf in enumerate(self.leaves)]
        bound = inspect.BoundArguments(self.call.signature, tree_unflatten(leaves, self._form))
        return self.split(self.call.function(*bound.args, **bound.kwargs), pictures)

    def split(self, answer: Any, pictures: int) -> Answer:
        leaves, form = tree_flatten(answer)
        split = (self.groups, pictures)
        return Answer([each.unflatten(0, split) if isinstance(each, torch.Tensor) else each for each in leaves], form)

    def cut(self, parts: dict[int, torch.Tensor], size: int) -> Answer:
        """The same from calls of exactly `size` pictures, the last of which is filled up."""
        company, pictures, answers = self.call.company, next(iter(parts.values())).shape[1], []
        for start in range(0, pictures, size):
            chosen = [min(start + place, pictures - 1) for place in range(size)]
            began = time.perf_counter()
            answer = self.asked({at: part[:, chosen] for at, part in parts.items()})
            if size == company.lanes:
                company.took(self.what, time.perf_counter() - began)
            answers.append(answer.of(0, min(size, pictures - start)))
        return Answer.joined(answers)


def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().view(torch.uint8) if tensor.ndim else tensor.detach()[None].view(torch.uint8)


def _same_bits(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.Tensor):
        return one is other or one == other
    return one.shape == other.shape and torch.equal(as_bytes(one), as_bytes(other))
