"""Calls of a heavy part of the model that wait, made as one where that gives each the bits it has by itself.

A recipe says how many pictures are in the plain call whose bits it promises, its lanes. A call of another number is
made beside the plain ones at first, and compared bit by bit; only what was equal is used from then on. Where no
other number agrees, the pictures of several visitors fill a call of the plain size, and where not even the place in
it is indifferent, every call is the plain one.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch

from pipeline_utils.engine.rows import Answer, Call, Rows, as_bytes
from pipeline_utils.engine.trials import agrees, want
from pipeline_utils.models import devices
from pipeline_utils.models.load_errors import ran_out
from pipeline_utils.models.shapes import MIXED

MOST = 16  # pictures in one call
TEXTS = 64  # embeddings that are kept, so that a visitor's next round need not ask for the same words
FAST = 0.25  # seconds; what takes longer fills the machine already, so more pictures only take more memory
_texts: WeakKeyDictionary[torch.nn.Module, OrderedDict[tuple, Answer]] = WeakKeyDictionary()


def once_for_each_text(call: Call, ask: Callable[[Call], Any]) -> Any:
    """What `ask(call)` answers; of a text encoder, what it answered before to the same words."""
    if call.rows is None or not call.name.startswith("text_encoder"):
        return ask(call)
    known = _texts.setdefault(call.function, OrderedDict())
    rows = call.rows
    words = [
        (rows.key, *(as_bytes(part[:, place]).cpu().numpy().tobytes() for part in rows.parts.values()))
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
    room = max(_most(first.rows), filled)
    found: list[Call] = []
    for call in waiting:
        if call.rows and call.function == first.function and call.rows.key == first.rows.key:
            if call.company.pictures > room:
                break  # who came first is served first
            room -= call.company.pictures
            found.append(call)
    return found


def _is_fast(rows: Rows) -> bool:
    return rows.call.company.shapes.seconds.get(rows.what, FAST) < FAST


def _most(rows: Rows) -> int:
    """Pictures in one call at most: where it is slow already, not many more than the plain one has."""
    lanes = rows.call.company.lanes
    return max(MOST, lanes) if _is_fast(rows) else lanes + lanes // 2


def _sizes(pictures: int, lanes: int, plainly: int, most: int) -> list[int]:
    """Pictures in a call that make less work than the plain calls, of which there are `plainly`; the best first.

    One call, perhaps with some padding (kernels often agree for even numbers alone), then several.
    """
    one = sorted({pictures, pictures + pictures % 2, -(-pictures // lanes) * lanes})
    if pictures > 2 * lanes:
        one = one[-1:]  # or there would be a trial of every number
    several = [size for size in (MOST, 2 * lanes, lanes + lanes // 2, lanes + lanes // 4, lanes) if size < pictures]

    def saves(size: int) -> bool:
        calls = -(-pictures // size)
        return calls < plainly or calls * size < plainly * lanes

    return [size for size in (*one, *several) if size <= most and saves(size)]


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
    for size in _sizes(pictures, company.lanes, plainly, _most(first)):
        mark = MIXED if size == company.lanes else size
        agree = shapes.agree(what, mark)
        if agree is None and shapes.is_due(what, mark):
            found = plain()
            if all(answer.finite for answer in found):
                agree = agrees(first, parts, size, Answer.joined(found))
                shapes.learn(what, mark, agree, sum(answer.numbers for answer in found))
            break
        if agree:
            found = apart(first.cut(parts, size))
            break
        if agree is None and _is_fast(first):
            want(first, mark)
    else:
        found = plain()
    return [answer.whole() for answer in found]
