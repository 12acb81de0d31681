"""Calls of a heavy part of the model that wait, made as one where that gives each the bits it has by itself.

A recipe says how many pictures are in the plain call whose bits it promises, its lanes. A call of another number is
made beside the plain ones at first, and compared bit by bit; only what was equal is used from then on. Where no
other number agrees, the pictures of several visitors fill a call of the plain size, and where not even the place in
it is indifferent, every call is the plain one.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from pipeline_utils.models import devices
from pipeline_utils.models.load_errors import ran_out
from pipeline_utils.models.shapes import MIXED, Shapes

MOST = 16  # pictures in one call
TEXTS = 64  # embeddings that are kept, so that a visitor's next round need not ask for the same words
FAST = 0.25  # seconds; what takes longer fills the machine already, so more pictures only take more memory
_SHARED = ("img_ids", "txt_ids")  # Flux: places of patches and words, the same for every picture
_texts: WeakKeyDictionary[torch.nn.Module, OrderedDict[tuple, Answer]] = WeakKeyDictionary()
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

    at_once: it cannot wait, since its part is another one for a moment. light: who waits for it.
    """

    name: str
    function: Callable
    signature: inspect.Signature
    args: tuple
    kwargs: dict
    company: Company
    at_once: bool = False
    light: Any = None

    def plain(self) -> Any:
        """The answer to the call as it is."""
        began = time.perf_counter()
        answer = self.function(*self.args, **self.kwargs)
        if self.rows:
            self.company.took(self.rows.what, time.perf_counter() - began)
        return answer

    @cached_property
    def rows(self) -> _Rows | None:
        """The arguments as rows of pictures; None where they are none, or where the call is made by itself."""
        if self.company.pictures is None:
            return None
        try:
            return _Rows(self)
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


class _Rows:
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
                key.append((tuple(leaf.shape), hashlib.sha256(_bytes(leaf).cpu().numpy().tobytes()).hexdigest()))
        self.key = (call.name, call.company.lanes, self.groups, *names, *key)

    @cached_property
    def what(self) -> str:
        """The key in words, for the table of what was tried."""
        sizes = [f"{list(part.shape[2:])} {part.dtype}".replace("torch.", "") for part in self.parts.values()]
        mark = hashlib.sha256(repr(self.key).encode()).hexdigest()[:6]
        return f"{self.call.name}, {self.call.company.lanes} pictures of {self.groups} x {', '.join(sizes)} ({mark})"

    @property
    def most(self) -> int:
        """Pictures in one call at most: where it is slow already, not many more than the plain one has."""
        company = self.call.company
        fast = company.shapes.seconds.get(self.what, FAST) < FAST
        return MOST if fast else company.lanes + company.lanes // 2

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


def once_for_each_text(call: Call, ask: Callable[[Call], Any]) -> Any:
    """What `ask(call)` answers; of a text encoder, what it answered before to the same words."""
    if call.rows is None or not call.name.startswith("text_encoder"):
        return ask(call)
    known = _texts.setdefault(call.function, OrderedDict())
    rows = call.rows
    words = [
        (rows.key, *(_bytes(part[:, place]).cpu().numpy().tobytes() for part in rows.parts.values()))
        for place in range(rows.pictures)
    ]
    if all(each in known for each in words):
        for each in words:
            known.move_to_end(each)
        return Answer.joined([known[each] for each in words]).whole()
    found = ask(call)
    answer = rows.split(found, rows.pictures)
    for place, each in enumerate(words):
        known[each] = answer.of(place, place + 1)
    while len(known) > TEXTS:
        known.popitem(last=False)
    return found


def taken(waiting: Sequence[Call]) -> list[Call]:
    """The calls that are made next, as one: the first, and those that may go with it, in their order."""
    first = waiting[0]
    if first.rows is None:
        return [first]
    company = first.company
    filled = -(-company.pictures // company.lanes) * company.lanes  # what would be padding has room for others
    room = max(first.rows.most, filled)
    found: list[Call] = []
    for call in waiting:
        if call.rows and call.function == first.function and call.rows.key == first.rows.key:
            if call.company.pictures > room:
                break  # who came first is served first
            room -= call.company.pictures
            found.append(call)
    return found


def answers(calls: Sequence[Call]) -> list[Any]:
    """What each of the calls that were taken together answers; an exception for one that failed.

    Where one spoils it for all, each is made by itself.
    """
    company = calls[0].company
    before = devices.shortages(company.device)
    try:
        found = [calls[0].plain()] if calls[0].rows is None else _made(calls)
    except Exception as error:
        if len(calls) == 1:
            return [error]
        if ran_out(error):
            devices.let_go(error, company.device.type)
        return [answer for call in calls for answer in answers([call])]
    devices.keep_pace(company.device)
    if devices.shortages(company.device) > before:
        for call in calls:
            call.company.short = True
    return found


def _made(calls: Sequence[Call]) -> list[Any]:
    first, ends = calls[0].rows, [0]
    company, shapes = first.call.company, first.call.company.shapes
    for call in calls:
        ends.append(ends[-1] + call.company.pictures)
    pictures, what = ends[-1], first.what
    if len(calls) == 1 and pictures == company.lanes:
        return [calls[0].plain()]
    parts = {at: torch.cat([call.rows.parts[at] for call in calls], dim=1) for at in first.parts}

    def apart(answer: Answer) -> list[Answer]:
        return [answer.of(start, end) for start, end in itertools.pairwise(ends)]

    def plain() -> list[Answer]:
        return [call.rows.cut(call.rows.parts, company.lanes) for call in calls]

    plainly = sum(-(-call.company.pictures // company.lanes) for call in calls)
    lanes = company.lanes
    for size in (pictures, MOST, 2 * lanes, lanes + lanes // 2, lanes + lanes // 4, lanes):
        as_many = size != pictures and -(-pictures // size) >= plainly
        if as_many or size > max(first.most, lanes) or lanes < size > pictures:
            continue
        mark = MIXED if size == company.lanes else size
        agree = shapes.agree(what, mark)
        if agree is None:
            found = plain()
            if shapes.is_due(what, mark) and all(answer.finite for answer in found):
                agree = _tried(lambda size=size: apart(first.cut(parts, size)), found, company.device)
                shapes.learn(what, mark, agree, sum(answer.numbers for answer in found))
            break
        if agree:
            found = apart(first.cut(parts, size))
            break
    else:
        found = plain()
    return [answer.whole() for answer in found]


def _tried(make: Callable[[], list[Answer]], plain: list[Answer], device: torch.device) -> bool:
    """Is what `make` answers equal to the plain answers, bit by bit?"""
    try:
        return all(map(Answer.equals, make(), plain))
    except Exception as error:  # out of memory, or a part that cannot be asked so
        if ran_out(error):
            devices.let_go(error, device.type)
        return False


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().view(torch.uint8) if tensor.ndim else tensor.detach()[None].view(torch.uint8)


def _same_bits(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.Tensor):
        return one is other or one == other
    return one.shape == other.shape and torch.equal(_bytes(one), _bytes(other))
