"""Replays: a recipe is followed once more, and what comes out is compared with the picture.

`verify` and `checking` are for a running app, `replayed` is for a process of its own, and `again` looks without making.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from pipeline_utils.engine.events import Event, Finished, LanesDisagree, Make, Refused, Step
from pipeline_utils.engine.memory import gpu_is_lent
from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.stops import Stop, streamed
from pipeline_utils.errors import ModelError
from pipeline_utils.models import runtime
from pipeline_utils.models.catalog import BUNDLED
from pipeline_utils.models.devices import GPUS, is_available
from pipeline_utils.models.runtime import Device, Loaded
from pipeline_utils.picture.picture import Reading, pixel_sha256
from pipeline_utils.proof.comparison import compare
from pipeline_utils.proof.pins import differing_lines
from pipeline_utils.proof.verdict import Claim, Verdict, in_words, sentence
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings


class Maker(Protocol):
    """Where a replay runs: a Studio, or what a command line puts together."""

    models: Models
    device: Device
    make: Make


def verify(
    maker: Maker,
    asked: Reading | Claim,
    *,
    allow_download: bool = False,
    stop: threading.Event | None = None,
    each: Callable[[Step], None] = lambda step: None,
) -> Verdict:
    """Makes the picture again and compares. each: is handed a Step after each denoising step.

    A model is never loaded from a path, and never downloaded unless `allow_download` says so. Raises
    InputError for a recipe the model cannot make, and Stopped when `stop` is set meanwhile.
    """
    claim = asked if isinstance(asked, Claim) else Claim.of(asked)
    recipe = claim.recipe
    if recipe is None:
        holds = "The file holds the settings that other tools write, but no recipe: "
        reason = " So it cannot be made again exactly, and was not."
        return _unchecked(maker, claim, holds + " ".join(claim.unknown) + reason)
    try:
        spec = maker.models.meant(recipe.model, recipe.revision)
    except ModelError as error:
        return _unchecked(maker, claim, f"Not checked. {error}")
    if not allow_download and not maker.models.is_here(spec, recipe.dtype):
        ask = f"Not checked yet. {spec.title} {maker.models.missing(spec)} {spec.note}"
        return replace(_unchecked(maker, claim, ask.strip()), needs_download=True)
    if recipe.noise_device not in ("cpu", maker.device.type):
        drawn = f"Not checked. The noise was drawn on a {GPUS[recipe.noise_device]}"
        return _unchecked(maker, claim, f"{drawn}, and the model does not run on one here.")
    with maker.models.use(spec, stop, recipe.dtype) as loaded:
        here, changed = adapt(recipe, loaded)
        found: list[Finished | Refused] = []

        def sort(event: Event) -> None:
            each(event) if isinstance(event, Step) else found.append(event)

        asked = (loaded, [here], stop or Stop(), False, sort)
        try:
            maker.make(*asked)
        except LanesDisagree:  # the recipe says how many lanes there were
            maker.make(*asked)
    (made,) = found
    if isinstance(made, Refused):
        return _unchecked(maker, claim, f"Its recipe makes no picture, whatever the file shows. {made.reason}")
    return judged(claim, made, here, changed)


def checking(
    maker: Maker, asked: Reading | Claim, *, allow_download: bool = False, stop: threading.Event | None = None
) -> Iterator[Step | Verdict]:
    """`verify` in a thread of its own: the steps, then the Verdict; nothing more once it was stopped.

    Closing the iterator ends the replay within a step, without waiting.
    """

    def work(emit: Callable[[Step | Verdict], None], stop: threading.Event) -> None:
        emit(verify(maker, asked, allow_download=allow_download, stop=stop, each=emit))

    return streamed(work, stop)


def adapt(recipe: Recipe, loaded: Loaded) -> tuple[Recipe, list[str]]:
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
    replay = finished.image
    same_size = claim.image is not None and claim.image.size == replay.size
    verdict = Verdict.of(
        claim,
        finished.fingerprint,
        followed=followed,
        difference=compare(claim.image, replay) if same_size else None,
        replay=replay,
        replayed_sha256=pixel_sha256(replay),
        changed=changed,
        flagged_here=finished.flagged,
    )
    return replace(verdict, sentence=sentence(verdict))


def _unchecked(maker: Maker, claim: Claim, reason: str) -> Verdict:
    verdict = Verdict.of(claim, runtime.fingerprint(maker.device))
    if verdict.edited:
        reason += " What can be told: the file was edited, its pixels are not those it was saved with."
    if claim.flagged:
        reason += " The model's safety checker blacked it out when it was made."
    return replace(verdict, sentence=reason)


def again(maker: Maker, recipe: Recipe, fingerprint: Mapping[str, object]) -> str:
    """A sentence on a picture of this recipe and fingerprint. It says no more than was looked at."""
    if not fingerprint:
        return "Where it was made is not known, so whether the same bits come out here is not either."
    if gpu_is_lent():
        return "Made on a GPU that this host had lent; the same bits come out on one like it, with the same versions."
    if not maker.models.has_started:
        return "Whether the same bits come out here is told when the model is loaded."
    device = maker.device
    there = {**fingerprint, "full determinism": recipe.full_determinism, "offload": recipe.offload}
    here = {**runtime.fingerprint(device), "full determinism": device.full_determinism, "offload": device.offload}
    if differing := differing_lines(there, here):
        return f"Made elsewhere ({in_words(differing)}): here it comes out alike, and Verify measures how much."
    try:
        meant = maker.models.meant(recipe.model, recipe.revision)
    except ModelError as error:
        return f"Made on this machine. {error}"
    if maker.models.held(meant):
        return "Made on this machine, where the same bits come out again."
    return f"Made on this machine; whether {recipe.model} is still what it was shows when it is loaded."


@dataclass(frozen=True)
class Process:
    """A place for replays without a page."""

    device: Device
    models: Models
    make: Make


def replayed(
    claim: Claim, *, model: str | None = None, device: str | None = None, threads: int = 0, allow_download: bool = False
) -> Verdict:
    """Makes `claim` again in this process, in which no model was loaded before.

    model: folder or file, for a recipe that says local:NAME only. device, threads: None and 0 for those
    the picture was made with, as far as this machine has them. Raises ModelError and InputError.
    """
    from pipeline_utils.engine import engine

    recipe, there = claim.recipe, claim.fingerprint or {}
    if device is None:
        made_on = [gpu for gpu in GPUS if gpu in there and is_available(gpu)]
        device = [*made_on, "cpu"][0] if there else "auto"
    if not threads and isinstance(there.get("threads"), int):
        threads = min(max(there["threads"], 0), os.cpu_count() or 1)
    settings = Settings(model=model or BUNDLED, device=device, threads=threads)
    if recipe is not None:
        settings = replace(settings, dtype=recipe.dtype, full_determinism=recipe.full_determinism)
        # cuda:N is not looked at before the start, since whoever asks CUDA for its GPUs settles which there are.
        if device.startswith("cuda") or (device == "auto" and is_available("cuda")):
            settings = replace(settings, offload=recipe.offload)
    started = runtime.start(settings)
    models = Models(settings, started, tries_lanes=False)  # a replay has the lanes of its recipe
    if recipe is not None and recipe.model.startswith("local:") and model is None:
        try:
            models.meant(recipe.model, recipe.revision)
        except ModelError:
            raise ModelError(f"The recipe was made with {recipe.model}; say where that is with --model PATH.") from None
    return verify(Process(started, models, engine.make), claim, allow_download=allow_download)
