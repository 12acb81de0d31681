"""The documentation's own experiment: google/ddpm-cifar10-32, two DDIM steps, seed 0."""

from __future__ import annotations

import os

import torch
from diffusers import DDIMPipeline
from huggingface_hub import snapshot_download

from pipeline_utils.engine.stops import Stopped
from pipeline_utils.proof.lab import Lab, Result, gap, seeded, total

MODEL = "google/ddpm-cifar10-32"
FOLDER = "SECOND_ROUND_CIFAR"  # environment variable: a local copy of the model
EXPECTED = 1491.1711  # sum of |pixels|, printed in the documentation
TOLERANCE = 0.1  # "a similar, if not the same, result on whatever hardware and PyTorch version"


def reference(lab: Lab) -> Result:
    """Runs when a local folder or the hub has the model; it is a small one, and runs on the CPU."""
    try:
        folder = os.environ.get(FOLDER) or snapshot_download(
            MODEL, allow_patterns=["*.json", "*.safetensors"], etag_timeout=5
        )
        ddim = DDIMPipeline.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    except Exception:  # whatever the reason: there is no such model here, and nothing else depends on it
        return Result(
            None,
            f"Not available here: {MODEL} can be had neither from the hub nor from a folder named by ${FOLDER}.",
        )
    ddim.set_progress_bar_config(disable=True)
    return measured(ddim, lab, EXPECTED)


def measured(ddim: DDIMPipeline, lab: Lab, expected: float) -> Result:
    """The experiment on any DDIMPipeline, in one turn: without generators, and twice from seed 0."""

    def run(generator: torch.Generator | None):
        if lab.stop.is_set():
            raise Stopped
        return ddim(num_inference_steps=2, output_type="np", generator=generator).images

    with lab.alone():
        free = run(None), run(None)
        fixed = run(seeded([0])[0]), run(seeded([0])[0])
    found = {"sum": total(fixed[0]), "expected": expected, "L_inf": gap(*fixed), "L_inf without": gap(*free)}
    ok = abs(found["sum"] - expected) <= TOLERANCE and found["L_inf"] == 0 < found["L_inf without"]
    text = (
        f"Sum of |pixels|: {found['sum']:.4f}, expected {expected}; again L_inf {gap(*fixed):.3g}. "
        f"Without a generator: {total(free[0]):.4f} and {total(free[1]):.4f}."
    )
    return Result(ok, text, found)
