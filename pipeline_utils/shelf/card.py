"""What is known of one picture without opening it again."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass

from pipeline_utils.picture.picture import Head
from pipeline_utils.recipe.recipe import canonical_json
from pipeline_utils.recipe.rounds import towards


@dataclass(frozen=True, slots=True)
class Card:
    """One picture in few bytes.

    changed: ns. noise: in words, as "seed 2". series: pictures with one series differ in their seeds alone.
    flagged: a safety checker blacked it out. maker: pictures with one maker have one fingerprint.
    """

    id: str
    file: str  # name
    changed: int
    model: str
    prompt: str
    seed: int
    noise: str
    width: int
    height: int
    round: int
    parent: str | None
    suffix: str | None
    control: bool
    series: str
    flagged: bool = False
    round_id: str | None = None
    place: int = 0
    maker: str = ""

    @classmethod
    def of(cls, head: Head, file: str, changed: int) -> Card:
        recipe, lineage = head.recipe, head.lineage
        rest = recipe.to_dict()
        del rest["seed"]
        round_id = lineage.round_id
        return cls(
            head.id,
            file,
            changed,
            sys.intern(recipe.model),
            sys.intern(recipe.prompt),
            recipe.seed,
            towards(recipe),
            recipe.width,
            recipe.height,
            lineage.round,
            sys.intern(lineage.parent) if lineage.parent else None,
            sys.intern(lineage.suffix) if lineage.suffix else None,
            lineage.control,
            _short(rest),
            head.flagged is True,
            sys.intern(round_id) if round_id else None,
            lineage.place,
            _short(head.fingerprint) if round_id else "",
        )


def _short(values: dict) -> str:
    return sys.intern(hashlib.sha256(canonical_json(values).encode()).hexdigest()[:16])
