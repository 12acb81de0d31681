"""The index of a shelf on disk, so that a large shelf opens at once after a restart.

Only a shortcut: the pictures are the record. A file that is missing, old or damaged is made anew.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import astuple, fields
from pathlib import Path

from pipeline_utils.card import Card

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
    """Written beside its place and renamed. One that cannot be written is done without."""
    content = {
        "version": [VERSION, *(field.name for field in fields(Card))],
        "cards": [astuple(card) for card in cards],
    }
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        temporary.write_text(json.dumps(content, separators=(",", ":")), "utf-8")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
