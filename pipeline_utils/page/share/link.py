"""A link that opens the page with a recipe filled in. All of it is in the address; the server keeps nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlencode

from pipeline_utils.errors import InputError
from pipeline_utils.models.catalog import sampler_class, sampler_label
from pipeline_utils.recipe import ask, recipe
from pipeline_utils.recipe.ask import ASKED, Ask
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.recipe.rounds import MAX_SUFFIXES, check_suffixes

# What a link may name: all that is asked for but how to treat a long prompt, and three fields of a recipe more.
_RECIPES_OWN = ("revision", "variation_seed", "variation_strength")
_TYPES = {each.name: each.type for each in fields(Ask) if each.name != "cut_long_prompts"}
_TYPES |= {each.name: each.type for each in fields(Recipe) if each.name in _RECIPES_OWN}


@dataclass(frozen=True)
class Linked:
    """What a link asks for: checked values by the names that `/first_round` has, what is not named left out."""

    values: dict[str, Any] = field(default_factory=dict)
    suffixes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # a sentence for each value that was refused
    revision: str = ""  # of the model

    @property
    def model(self) -> str | None:
        return self.values.get("model")


def query(picked: Recipe, suffixes: Iterable[str]) -> str:
    """The part of a link after its question mark."""
    values = picked.to_dict() | {"seeds": picked.seed, "sampler": sampler_label(picked.scheduler)}
    if picked.variation_seed is None:
        values["variation_strength"] = None
    pairs = [(name, _text(values[name])) for name in _TYPES if values[name] not in ("", None)]
    return urlencode([*pairs, *(("suffix", suffix) for suffix in suffixes)])


def is_link(names: Iterable[str]) -> bool:
    """True when one of these query parameters is a link's."""
    return any(name in _TYPES or name == "suffix" for name in names)


def read_link(pairs: Sequence[tuple[str, str]]) -> Linked:
    """The link with these query parameters, in their order. What is refused is left out and told; other names are
    not ours. Never raises."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in pairs:
        if name in _TYPES:
            try:
                values[name] = _value(name, text)
            except InputError as error:
                problems.append(str(error))
    suffixes: list[str] = []
    for suffix in [text for name, text in pairs if name == "suffix"]:
        try:
            if len(suffixes) == MAX_SUFFIXES:
                raise InputError("suffix", suffix, f"a round takes at most {MAX_SUFFIXES}")
            suffixes = check_suffixes([*suffixes, suffix])
        except InputError as error:
            problems.append(str(error))
    return Linked(values, suffixes, problems, values.pop("revision", ""))


def _text(value: object) -> str:
    """A number as short as it can be read back exactly."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _value(name: str, text: str) -> Any:
    """What a parameter says, as its field holds it. Raises InputError."""
    value: Any = text
    if "int" in _TYPES[name] and text.isascii() and text.isdigit() and len(text) <= 20:
        value = int(text)
    elif "float" in _TYPES[name] and len(text) <= 40:
        with suppress(ValueError):
            value = text if math.isnan(float(text)) else float(text)
    if name == "sampler":
        return sampler_label(sampler_class(text))
    return ask.check(name, value) if name in ASKED and name != "model" else recipe.check(name, value)
