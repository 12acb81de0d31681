"""What is known of one picture without opening it again."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass

from pipeline_utils.picture import Head
from pipeline_utils.recipe import canonical_json
from pipeline_utils.rounds import towards


@dataclass(frozen=True, slots=True)
class Card:
    """One picture in few bytes.

    changed: ns. noise: in words, as "seed 2". series: pictures with one series differ in their seeds alone.
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

    @classmethod
    def of(cls, head: Head, file: str, changed: int) -> Card:
        recipe, lineage = head.recipe, head.lineage
        rest = recipe.to_dict()
        del rest["seed"]
        series = hashlib.sha256(canonical_json(rest).encode()).hexdigest()[:16]
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
            sys.intern(series),
        )
