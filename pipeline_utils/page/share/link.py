"""A link that opens the page with a recipe filled in. All of it is in the address; the server keeps nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pipeline_utils.errors import InputError
from pipeline_utils.models.catalog import sampler_class, sampler_label
from pipeline_utils.recipe.recipe import (
    MAX_GUIDANCE,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    MIN_SIDE,
    Recipe,
    check_float,
    check_int,
    check_model,
    check_prompt,
    check_revision,
    check_text,
)
from pipeline_utils.recipe.rounds import MAX_SUFFIXES, check_suffixes, parse_seeds


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


def query(recipe: Recipe, suffixes: Iterable[str]) -> str:
    """The part of a link after its question mark."""
    values = {
        "prompt": recipe.prompt,
        "negative_prompt": recipe.negative_prompt,
        "seeds": recipe.seed,
        "num_inference_steps": recipe.num_inference_steps,
        "guidance_scale": _short(recipe.guidance_scale),
        "width": recipe.width,
        "height": recipe.height,
        "sampler": sampler_label(recipe.scheduler),
        "model": recipe.model,
        "revision": recipe.revision,
    }
    if recipe.variation_seed is not None:
        values |= {"variation_seed": recipe.variation_seed, "variation_strength": _short(recipe.variation_strength)}
    pairs = [(name, value) for name, value in values.items() if value != ""]
    return urlencode([*pairs, *(("suffix", suffix) for suffix in suffixes)])


def is_link(names: Iterable[str]) -> bool:
    """True when one of these query parameters is a link's."""
    return any(name in _READERS or name == "suffix" for name in names)


def read_link(pairs: Sequence[tuple[str, str]]) -> Linked:
    """The link with these query parameters, in their order. What is refused is left out and told; other names are
    not ours. Never raises."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in pairs:
        if name in _READERS:
            try:
                values[name] = _READERS[name](name, text)
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


def _short(number: float) -> str:
    text = f"{number:g}"
    return text if float(text) == number else repr(number)


def _prompt(_name: str, text: str) -> str:
    check_prompt(text)
    return text


def _text(name: str, text: str) -> str:
    check_text(name, text)
    return text


def _seeds(_name: str, text: str) -> str:
    parse_seeds(text, random.randrange)
    return text


def _whole(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= 20
        return check_int(name, int(text) if digits else text, low, high)

    return read


def _number(low: float, high: float) -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        try:
            value = float(text) if len(text) <= 40 else math.nan
        except ValueError:
            value = math.nan
        return check_float(name, text if math.isnan(value) else value, low, high)

    return read


_READERS: dict[str, Callable[[str, str], Any]] = {
    "prompt": _prompt,
    "negative_prompt": _text,
    "seeds": _seeds,
    "num_inference_steps": _whole(1, MAX_STEPS),
    "guidance_scale": _number(0, MAX_GUIDANCE),
    "width": _whole(MIN_SIDE, MAX_SIDE),
    "height": _whole(MIN_SIDE, MAX_SIDE),
    "sampler": lambda _name, text: sampler_label(sampler_class(text)),
    "model": lambda _name, text: check_model(text),
    "revision": lambda _name, text: check_revision(text),
    "variation_seed": _whole(0, MAX_SEED),
    "variation_strength": _number(0, 1),
}
