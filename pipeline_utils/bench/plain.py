"""The documentation's own code, in a process that does nothing else: a plain pipeline, and no part of the app."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import diffusers
import torch
from diffusers import DiffusionPipeline

from pipeline_utils.bench.worker import serve


class Script:
    """A pipeline of the CPU, with torch's own number of threads."""

    def __init__(self, source: str, revision: str, dtype: str) -> None:
        """source: folder or hub id. revision: of a hub id, "" for a folder."""
        self._pipe = DiffusionPipeline.from_pretrained(
            source, revision=revision or None, dtype=getattr(torch, dtype), use_safetensors=True
        )
        self._pipe.set_progress_bar_config(disable=True)
        self._config = self._pipe.scheduler.config if hasattr(self._pipe, "scheduler") else None

    def call(
        self, prompt: str | list[str], seeds: list[int], scheduler: str, settings: dict, folder: str
    ) -> dict[str, float | list[str]]:
        """Seconds of one call with fresh generators, and the files of its pictures, which are saved afterwards.

        prompt: one for all seeds, or a list of one each. scheduler: class name; it counts where the pipeline has one
        scheduler. settings: the other arguments.
        """
        if self._config is not None:
            self._pipe.scheduler = getattr(diffusers, scheduler).from_config(self._config)
        several = {"num_images_per_prompt": len(seeds)} if isinstance(prompt, str) else {}
        began = time.perf_counter()
        generator = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        images = self._pipe(prompt, generator=generator, **several, **settings).images
        seconds = time.perf_counter() - began
        files = [Path(folder, f"{place}.png") for place in range(len(images))]
        for image, file in zip(images, files, strict=True):
            image.convert("RGB").save(file)
        return {"seconds": seconds, "files": [str(file) for file in files]}


if __name__ == "__main__":
    serve(call=Script(*sys.argv[1:]).call)
