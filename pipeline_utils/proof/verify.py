"""Replay a recipe, compare what comes out with the picture, and say what was found in one sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from pipeline_utils.engine import engine
from pipeline_utils.engine.engine import Finished, Refused, Step
from pipeline_utils.engine.lane_check import LanesDisagree
from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.stops import Stop
from pipeline_utils.engine.streams import streamed
from pipeline_utils.engine.turns import Turns
from pipeline_utils.errors import ModelError
from pipeline_utils.models import runtime
from pipeline_utils.models.runtime import Device, Loaded
from pipeline_utils.picture.picture import Reading, pixel_sha256
from pipeline_utils.proof.claim import Claim
from pipeline_utils.proof.compare import Difference, compare
from pipeline_utils.proof.verdict import Verdict, differing_lines, sentence
from pipeline_utils.recipe.recipe import Recipe


class Place(Protocol):
    """Where a replay runs: a Studio, or what a command line puts together."""

    models: Models
    turns: Turns
    device: Device
    make: Callable[..., None]  # as engine.make


def verify(
    place: Place,
    asked: Reading | Claim,
    *,
    allow_download: bool = False,
    stop: threading.Event | None = None,
    told: Callable[[Step], None] = lambda step: None,
) -> Verdict:
    """Makes the picture again and compares. told: is handed a Step after each denoising step.

    A model is never loaded from a path, and never downloaded unless `allow_download` says so. Raises
    InputError for a recipe the model cannot make, and Stopped when `stop` is set meanwhile.
    """
    claim = asked if isinstance(asked, Claim) else Claim.of(asked)
    recipe = claim.recipe
    if recipe is None:
        return _unchecked(
            place,
            claim,
            "The file holds the settings that other tools write, but no recipe: "
            + " ".join(claim.unknown)
            + " So it cannot be made again exactly, and was not.",
        )
    try:
        spec = place.models.meant(recipe.model, recipe.revision)
    except ModelError as error:
        return _unchecked(place, claim, f"Not checked. {error}")
    if not allow_download and not place.models.is_here(spec, recipe.dtype):
        ask = f"Not checked yet. {spec.title} {place.models.missing(spec)} {spec.note}"
        return replace(_unchecked(place, claim, ask.strip()), needs_download=True)
    if recipe.noise_device == "cuda" and place.device.type != "cuda":
        reason = "Not checked. The noise was drawn on a GPU, whose generator a CPU does not have."
        return _unchecked(place, claim, reason)
    with place.models.use(spec, stop, recipe.dtype) as loaded:
        here, changed = fitted(recipe, loaded)
        found: list[Finished | Refused] = []

        def sort(event: engine.Event) -> None:
            told(event) if isinstance(event, Step) else found.append(event)

        asked = (loaded, [here], place.turns, stop or Stop(), False, sort)
        try:
            place.make(*asked)
        except LanesDisagree:  # the recipe says how many lanes there were
            place.make(*asked)
    (made,) = found
    if isinstance(made, Refused):
        return _unchecked(place, claim, f"Its recipe makes no picture, whatever the file shows. {made.reason}")
    return judged(claim, made, here, changed)


def checking(
    place: Place, asked: Reading | Claim, *, allow_download: bool = False, stop: threading.Event | None = None
) -> Iterator[Step | Verdict]:
    """`verify` in a thread of its own: the steps, then the Verdict; nothing more once it was stopped.

    Closing the iterator ends the replay within a step, without waiting.
    """

    def work(emit: Callable[[Step | Verdict], None], stop: threading.Event) -> None:
        emit(verify(place, asked, allow_download=allow_download, stop=stop, told=emit))

    return streamed(work, stop)


def fitted(recipe: Recipe, loaded: Loaded) -> tuple[Recipe, list[str]]:
    """`recipe` as this process can follow it, and what had to be changed, in words.

    Determinism and offloading are settings of a whole process. A replay with others is worth having,
    since it is measured, but it is never passed off as the same.
    """
    here = replace(
        loaded.adopt(recipe),
        full_determinism=loaded.device.full_determinism,
        offload=loaded.device.offload,
    )
    changed = []
    if recipe.full_determinism != here.full_determinism:
        changed.append(("with" if here.full_determinism else "without") + " full determinism")
    if recipe.offload != here.offload:
        changed.append("without moving parts of the model" if here.offload == "none" else "moving parts of the model")
    return here, changed


def judged(claim: Claim, finished: Finished, followed: Recipe, changed: list[str]) -> Verdict:
    """The verdict on a finished replay, made from `followed`."""
    replayed, made_by = finished.image, finished.fingerprint
    sha256 = pixel_sha256(replayed)
    actual = pixel_sha256(claim.image) if claim.image else None
    there = claim.fingerprint or {}
    measured: Difference | None = None
    if claim.image is not None and claim.image.size == replayed.size:
        measured = compare(claim.image, replayed)
    edited = actual is not None and claim.stored_sha256 not in (None, actual)
    verdict = Verdict(
        identical=not edited and sha256 == (actual or claim.stored_sha256),
        replayed=True,
        edited=edited,
        recipe=claim.recipe,
        followed=followed,
        difference=measured,
        replay=replayed,
        stored_sha256=claim.stored_sha256,
        actual_sha256=actual,
        replayed_sha256=sha256,
        fingerprint_here=made_by,
        fingerprint_there=there,
        differing=differing_lines(there, made_by),
        changed=changed,
        unknown=claim.unknown,
        flagged_there=claim.flagged,
        flagged_here=finished.flagged,
    )
    return replace(verdict, sentence=sentence(verdict))


def _unchecked(place: Place, claim: Claim, reason: str) -> Verdict:
    here, there = runtime.fingerprint(place.device), claim.fingerprint or {}
    actual = pixel_sha256(claim.image) if claim.image else None
    edited = actual is not None and claim.stored_sha256 not in (None, actual)
    if edited:
        reason += " What can be told: the file was edited, its pixels are not those it was saved with."
    if claim.flagged:
        reason += " The model's safety checker blacked it out when it was made."
    return Verdict(
        sentence=reason,
        flagged_there=claim.flagged,
        edited=edited,
        recipe=claim.recipe,
        stored_sha256=claim.stored_sha256,
        actual_sha256=actual,
        fingerprint_here=here,
        fingerprint_there=there,
        differing=differing_lines(there, here),
        unknown=claim.unknown,
    )
