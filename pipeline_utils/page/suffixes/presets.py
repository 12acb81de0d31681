"""Style suffixes to choose from: what a model was trained on, and for large models a few to each mood."""

from __future__ import annotations

import json
from functools import cache

from pipeline_utils.models.catalog import ASSETS, ModelSpec


@cache
def _presets() -> dict[str, dict[str, list[str]]]:
    return json.loads((ASSETS / "style_suffixes.json").read_text("utf-8"))


def moods() -> dict[str, list[str]]:
    """The suffixes of each mood, in the order to show them."""
    return _presets()["moods"]


def known(spec: ModelSpec) -> list[str]:
    """The suffixes a model is known for: its own, then the other styles that it was trained on."""
    return list(dict.fromkeys([*spec.suffixes, *_presets()["models"].get(spec.name, [])]))
