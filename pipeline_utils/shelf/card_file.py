"""The index of a shelf on disk, so that a large shelf opens at once after a restart.

Only a shortcut: the pictures are the record. A file that is missing, old or damaged is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, fields
from pathlib import Path

from pipeline_utils.errors import UserError
from pipeline_utils.files import writing
from pipeline_utils.shelf.card import Card

VERSION = 1
_KINDS = [field.type for field in fields(Card)]  # as written: "str", "int", "bool", "str | None"
_CHECKS = {
    "str": lambda value: type(value) is str,
    "int": lambda value: type(value) is int,
    "bool": lambda value: type(value) is bool,
    "str | None": lambda value: value is None or type(value) is str,
}


def load(path: Path) -> dict[str, Card]:
    """Cards by file name; none where the file cannot be used as a whole."""
    try:
        content = json.loads(path.read_bytes())
        if content["version"] != [VERSION, *(field.name for field in fields(Card))]:
            return {}
        checks = [_CHECKS[kind] for kind in _KINDS]
        rows = content["cards"]
        if any(len(row) != len(checks) or not all(c(v) for c, v in zip(checks, row, strict=True)) for row in rows):
            return {}
        return {card.file: card for card in (Card(*row) for row in rows)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def save(path: Path, cards: Iterable[Card]) -> None:
    """One that cannot be written is done without."""
    content = {
        "version": [VERSION, *(field.name for field in fields(Card))],
        "cards": [astuple(card) for card in cards],
    }
    with suppress(UserError), writing(path) as file:
        file.write(json.dumps(content, separators=(",", ":")).encode())
