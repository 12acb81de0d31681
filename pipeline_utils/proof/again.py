"""Do the same bits come out again? What can be told at a glance, without making the picture."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline_utils.engine import zero_gpu
from pipeline_utils.errors import ModelError
from pipeline_utils.models import runtime
from pipeline_utils.proof.verdict import differing_lines, in_words
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.studio import Studio


def again(studio: Studio, recipe: Recipe, fingerprint: Mapping[str, object]) -> str:
    """A sentence on a picture of this recipe and fingerprint. It says no more than was looked at."""
    if not fingerprint:
        return "Where it was made is not known, so whether the same bits come out here is not either."
    if zero_gpu.here():
        return "Made on a GPU that this host had lent; the same bits come out on one like it, with the same versions."
    device = studio.device
    there = {**fingerprint, "full determinism": recipe.full_determinism, "offload": recipe.offload}
    here = {**runtime.fingerprint(device), "full determinism": device.full_determinism, "offload": device.offload}
    if differing := differing_lines(there, here):
        return f"Made elsewhere ({in_words(differing)}): here it comes out alike, and Verify measures how much."
    try:
        meant = studio.models.meant(recipe.model, recipe.revision)
    except ModelError as error:
        return f"Made on this machine. {error}"
    if studio.models.held(meant):
        return "Made on this machine, where the same bits come out again."
    return f"Made on this machine; whether {recipe.model} is still what it was shows when it is loaded."
