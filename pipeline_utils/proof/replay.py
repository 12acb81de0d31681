"""Replays for the command line: a process set up as the picture's recipe and fingerprint say."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it advises on packages when imported
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import torch

from pipeline_utils.engine import engine
from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.stops import Stop
from pipeline_utils.engine.turns import Turns
from pipeline_utils.errors import ModelError
from pipeline_utils.models import runtime
from pipeline_utils.models.catalog import BUNDLED
from pipeline_utils.models.runtime import Device
from pipeline_utils.proof.claim import Claim
from pipeline_utils.proof.verdict import Verdict
from pipeline_utils.proof.verify import verify
from pipeline_utils.settings import Settings

_PATIENCE = 5  # seconds for work that was stopped to end


@dataclass(frozen=True)
class Process:
    """A place for replays without a page."""

    device: Device
    models: Models
    turns: Turns = field(default_factory=Turns)
    make: Callable[..., None] = engine.make


def replayed(
    claim: Claim, *, model: str | None = None, device: str | None = None, threads: int = 0, allow_download: bool = False
) -> Verdict:
    """Makes `claim` again in this process, in which no model was loaded before.

    model: folder or file, for a recipe that says local:NAME only. device, threads: None and 0 for those
    the picture was made with, as far as this machine has them. Raises ModelError and InputError.
    """
    recipe, there = claim.recipe, claim.fingerprint or {}
    if device is None:
        device = "auto" if not there or ("cuda" in there and torch.cuda.is_available()) else "cpu"
    if not threads and isinstance(there.get("threads"), int):
        threads = min(max(there["threads"], 0), os.cpu_count() or 1)
    settings = Settings(model=model or BUNDLED, device=device, threads=threads)
    if recipe is not None:
        settings = replace(settings, dtype=recipe.dtype, full_determinism=recipe.full_determinism)
        if recipe.offload != "none" and device != "cpu" and torch.cuda.is_available():
            settings = replace(settings, offload=recipe.offload)
    started, stop = runtime.start(settings), Stop()
    models = Models(settings, started)
    if recipe is not None and recipe.model.startswith("local:") and model is None:
        try:
            models.meant(recipe.model, recipe.revision)
        except ModelError:
            raise ModelError(f"The recipe was made with {recipe.model}; say where that is with --model PATH.") from None
    try:
        return verify(Process(started, models), claim, allow_download=allow_download, stop=stop)
    except KeyboardInterrupt:
        stop.set()
        for thread in threading.enumerate():
            if thread.name in ("round", "load"):  # inside torch it would make the end of the interpreter an abort
                thread.join(_PATIENCE)
        raise
