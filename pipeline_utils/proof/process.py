"""Experiments that switch something for a whole process: determinism, restarts, threads."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from pipeline_utils.engine.stops import Stopped
from pipeline_utils.picture.picture import read
from pipeline_utils.proof.lab import Lab, Result, differing, gap, seeded

_PATIENCE = 600  # seconds for a new process to load the model and make one call
_ROOT = Path(__file__).resolve().parents[2]


def full_determinism(lab: Lab) -> Result:
    """Both states, twice each, while nobody else's step runs."""
    runs: dict[bool, list[np.ndarray]] = {}
    with lab.alone():
        for state in (False, True):
            with determinism(state):
                try:
                    runs[state] = [lab.call(seeded([0])[0]) for _ in range(2)]
                except RuntimeError as error:
                    if "deterministic" not in str(error):
                        raise
                    reason = str(error).splitlines()[0][:200]
                    return Result(False, f"An operation of this model has no deterministic kernel: {reason}")
    off, on, between = gap(*runs[False]), gap(*runs[True]), gap(runs[False][0], runs[True][0])
    text = f"Two runs off: L_inf {off:.3g}. Two runs on: L_inf {on:.3g}. Off against on: L_inf {between:.3g}."
    return Result(on == 0, text, {"L_inf off": off, "L_inf on": on, "L_inf off against on": between})


@contextmanager
def determinism(state: bool) -> Iterator[None]:
    """All of torch's switches for it, set and put back. The cuBLAS workspace is fixed at start and stays."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        (cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32),
    )
    try:
        torch.use_deterministic_algorithms(state)
        cudnn.deterministic = state
        cudnn.allow_tf32 = matmul.allow_tf32 = not state and before[2][1]
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before[2]


def restart(lab: Lab) -> Result:
    if os.environ.get("SPACES_ZERO_GPU"):
        return Result(None, "This host lends its GPU to the page's own process only.")
    recipe = lab.recipe(0)
    (here,) = lab.engine([recipe])
    there = in_new_process(lab, torch.get_num_threads())
    count = differing(here, there)
    return Result(
        count == 0, f"{count} differing pixels between this process and a new one.", {"differing pixels": count}
    )


def threads(lab: Lab) -> Result:
    if lab.loaded.device.type != "cpu":
        return Result(None, "The model runs on a GPU, where the number of CPU threads does not matter.")
    own = torch.get_num_threads()
    other = 1 if own > 1 else 2
    (here,) = lab.engine([lab.recipe(0)])
    # In a process of its own: a thread that starts here meanwhile would inherit the other count.
    there = in_new_process(lab, other)
    count = differing(here, there)
    text = f"{count} of {here.shape[0] * here.shape[1]} pixels differ between {own} and {other} threads"
    text += f", by at most {int(gap(here, there))} of 255." if count else "."
    return Result(True, text, {"differing pixels": count, "threads": f"{own} and {other}"})


def in_new_process(lab: Lab, threads: int) -> np.ndarray:
    """lab.recipe(0) made by the command line: (height, width, 3) of 0 to 255."""
    spec = lab.loaded.spec
    with tempfile.TemporaryDirectory() as folder:
        recipe, made = Path(folder) / "recipe.json", Path(folder) / "made.png"
        recipe.write_text(lab.recipe(0).to_json(), "utf-8")
        command = [sys.executable, "-m", "pipeline_utils", "replay", recipe, "-o", made, "--threads", threads]
        command += ["--device", lab.loaded.device.type]
        command += ["--model", spec.source] if spec.is_local else []
        process = subprocess.Popen(
            [str(part) for part in command], cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            end = time.monotonic() + _PATIENCE
            while process.poll() is None:
                if lab.stop.wait(0.1) or time.monotonic() > end:
                    raise Stopped
            errors = process.stderr.read()
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        if process.returncode:
            raise RuntimeError(f"The new process failed: {errors[-500:]}")
        return np.asarray(read(made).image)
