"""Trials of call sizes while nobody waits.

In halves, sums in another order are mostly rounded to the same number, so very many numbers have to be equal before
a size is trusted. A visitor's calls alone would take hours to show them: while the model thread has nothing to do,
it repeats calls that were made, with other numbers.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from dataclasses import replace

import torch

from pipeline_utils.engine.rows import Answer, Company, Rows
from pipeline_utils.models import devices
from pipeline_utils.models.load_errors import ran_out
from pipeline_utils.models.shapes import MIXED, Shapes

_log = logging.getLogger(__name__)


class Trials:
    """What the model that was last asked has open."""

    def __init__(self) -> None:
        self._shapes: weakref.ref[Shapes] | None = None
        self._draw = torch.Generator().manual_seed(0)

    def saw(self, company: Company) -> None:
        if company.shapes is not None:
            self._shapes = weakref.ref(company.shapes)

    @property
    def are_open(self) -> bool:
        shapes = self._shapes and self._shapes()
        return bool(shapes and shapes.wanted)

    def one(self) -> Iterator[None]:
        """One trial of all open sizes of one kind of call; yields after each call of the model."""
        shapes = self._shapes()
        what, (rows, marks) = next(iter(shapes.wanted.items()))
        open_ = sorted((rows.call.company.lanes if mark == MIXED else mark, mark) for mark in marks)
        try:
            yield from trial(rows, open_, shapes, self._draw)
        except Exception as error:  # nobody waits for it; the calls that are made are the plain ones
            _log.warning("Other sizes of a call are not tried: %s", error)
            marks = set()
        shapes.wanted.pop(what)
        if left := {mark for mark in marks if shapes.agree(what, mark) is None}:
            shapes.wanted[what] = rows, left  # behind the others


def want(rows: Rows, mark: int | str) -> None:
    """Asks for trials of calls like this one with another number of pictures."""
    company = rows.call.company
    if rows.what not in company.shapes.wanted:
        own = Company(company.device, company.pictures, company.lanes, company.shapes)
        company.shapes.wanted[rows.what] = Rows(replace(rows.call, company=own, light=None)), set()
    company.shapes.wanted[rows.what][1].add(mark)


def trial(rows: Rows, sizes: list[tuple[int, int | str]], shapes: Shapes, draw: torch.Generator) -> Iterator[None]:
    """Random rows in plain calls, and the same rows in calls of each size; what is found goes to `shapes`."""
    lanes = rows.call.company.lanes
    most = max(2 * lanes, *(size for size, _ in sizes))
    parts = {at: _other(part, most, draw) for at, part in rows.parts.items()}

    def some(places: list[int]) -> dict[int, torch.Tensor]:
        return {at: part[:, places] for at, part in parts.items()}

    plain: list[Answer] = []
    for start in range(0, most, lanes):
        plain.append(rows.cut(some([*range(start, min(start + lanes, most))]), lanes))
        yield
    wanted = Answer.joined(plain)
    if not wanted.finite:
        return
    for size, mark in sizes:
        places = torch.randperm(most, generator=draw).tolist()[:size] if mark == MIXED else [*range(size)]
        expected = wanted.at(places)
        shapes.learn(rows.what, mark, agrees(rows, some(places), size, expected), expected.numbers)
        yield


def agrees(rows: Rows, parts: dict[int, torch.Tensor], size: int, expected: Answer) -> bool:
    """Do calls of `size` pictures answer what is expected, bit by bit and in every place, those for padding too?"""
    pictures = next(iter(parts.values())).shape[1]
    places = [min(place, pictures - 1) for place in range(-(-pictures // size) * size)]
    try:
        answer = rows.cut({at: part[:, places] for at, part in parts.items()}, size)
        return answer.equals(expected.at(places))
    except Exception as error:  # out of memory, or a part that cannot be asked so
        if ran_out(error):
            devices.let_go(error, rows.call.company.device.type)
        return False


def _other(part: torch.Tensor, pictures: int, draw: torch.Generator) -> torch.Tensor:
    """Numbers like those of `part` for so many pictures, no two alike where they are no whole numbers."""
    picks = torch.randint(part.shape[1], (pictures,), generator=draw)
    found = part[:, picks.to(part.device)]
    if found.is_floating_point() and (spread := part.float().std()).isfinite():
        noise = torch.randn(found.shape, generator=draw).to(part.device)
        found = (found.float() + spread * noise).to(part.dtype)
    return found
