"""The words that a model was taught, where its folder lists them: words.json, as the bundled model has it.

    {"things": {"horse": ["pony"]}, "styles": ["neon"], "backgrounds": ["at night"], "near": {"zebra": ["horse"]}}

The names of the things with other words for them, further phrases, and for words outside these the nearest things.
`said` may list what is read over, such as "a picture of".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline_utils.errors import ModelError
from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.models.sources import read_json

FILE = "words.json"
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+")
_READ_OVER = {"a", "an", "the", "and", "or", "of", "with", "in", "on", "at", "by"}


@dataclass(frozen=True)
class Vocabulary:
    """phrases: what is known, each as its words in lower case. near: for other words, things that are known."""

    phrases: frozenset[tuple[str, ...]]
    near: Mapping[str, tuple[str, ...]]
    longest: int

    def unknown(self, text: str) -> dict[str, tuple[str, ...]]:
        """The words of `text` that are in no known phrase, in order, each with the things near it, if any."""
        words, found, at = _words(text), {}, 0
        while at < len(words):
            lengths = range(min(self.longest, len(words) - at), 0, -1)
            known = next((n for n in lengths if words[at : at + n] in self.phrases), 0)
            if not known and words[at] not in _READ_OVER:
                found[words[at]] = self.near.get(words[at], ())
            at += known or 1
        return found


def vocabulary(spec: ModelSpec) -> Vocabulary | None:
    """What the model of a local folder lists; None where it lists nothing that can be read."""
    file = Path(spec.source) / FILE
    try:
        return _read(file, file.stat().st_mtime_ns) if spec.is_local else None
    except OSError:
        return None


@lru_cache(maxsize=8)
def _read(file: Path, _changed: int) -> Vocabulary | None:
    try:
        told = read_json(file)
        things, near = dict(told["things"]), dict(told.get("near", {}))
        more = [told.get(part, []) for part in ("styles", "backgrounds", "said")]
        texts = [*things, *_all(things.values()), *_all(more)]
        phrases = frozenset(filter(None, map(_words, texts)))
        near = {word: tuple(map(str, names)) for word, names in near.items()}
        return Vocabulary(phrases, near, max(map(len, phrases)))
    except (ModelError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _all(lists: Iterable[list[str]]) -> list[str]:
    return [text for texts in lists for text in texts]


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))
