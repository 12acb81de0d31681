"""The model on which experiments run: plain pipeline calls, between those of the visitors who share it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pipeline_utils.engine.events import Event, Finished
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.engine.stops import Stopped
from pipeline_utils.errors import CapacityError, ModelError
from pipeline_utils.models.devices import free_memory
from pipeline_utils.models.load_errors import NO_MEMORY
from pipeline_utils.picture.picture import read
from pipeline_utils.recipe.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from pipeline_utils.models.runtime import Loaded

    Generators = torch.Generator | list[torch.Generator] | None

T = TypeVar("T")
STEPS = 2  # denoising steps, as in the documentation's own experiment
_PATIENCE = 600  # seconds for a new process to load the model and make one call
_KILLED = -9  # how a process ends that the system stops for want of memory
_ROOT = Path(__file__).resolve().parents[2]


@dataclass
class SharedModel:
    """A loaded model and the ways to call it. stop: ends an experiment within one step, raising Stopped."""

    loaded: Loaded
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def prompt(self) -> str:
        return self.loaded.spec.examples[0]

    def recipe(self, seed: int = 0, **changes) -> Recipe:
        """A recipe of STEPS steps with the model's own values and lanes."""
        steps = 4 if self.loaded.spec.scheduler == "PNDMScheduler" else STEPS
        return self.loaded.recipe(**{"prompt": self.prompt, "seed": seed, "num_inference_steps": steps, **changes})

    def call(
        self, generator: Generators, prompt: str | Sequence[str] | None = None, output_type: str = "np", **changes
    ) -> np.ndarray:
        """One plain pipeline call. Returns (pictures, height, width, 3) from 0 to 1, or latents as they are."""
        from pipeline_utils.engine.call import shared

        recipe = self.recipe(**changes)
        call = shared(recipe, self.loaded.spec.family) | {
            "prompt": self.prompt if prompt is None else prompt,
            "generator": generator,
            "output_type": output_type,
        }
        return MODEL.run(lambda: self._finish(recipe, call), self.stop, alone=self.loaded.device.offload != "none")

    def make(self, recipes: Sequence[Recipe]) -> list[np.ndarray]:
        """The pictures that the app itself makes of `recipes`, as (height, width, 3) of 0 to 255."""
        from pipeline_utils.engine import engine
        from pipeline_utils.engine.call import no_picture

        events: list[Event] = []
        engine.make(self.loaded, recipes, self.stop, False, events.append)
        found = {e.index: np.asarray(e.image) for e in events if isinstance(e, Finished)}
        for index, recipe in enumerate(recipes):
            if index not in found:
                raise ModelError(no_picture(recipe))
        return [found[index] for index in range(len(recipes))]

    def make_in_new_process(self, threads: int) -> np.ndarray:
        """The picture of recipe(0) that the command line makes: (height, width, 3) of 0 to 255.

        Raises CapacityError where the model does not fit into memory a second time.
        """
        spec, free = self.loaded.spec, free_memory(self.loaded.device.type)
        if free is not None and free < self._needed():
            needed = f"{self._needed() / 2**30:.1f} GB of the GPU's memory, of which {free / 2**30:.1f} are free"
            raise CapacityError(f"A second copy of {spec.title} needs {needed}.")
        with tempfile.TemporaryDirectory() as folder:
            recipe, made = Path(folder) / "recipe.json", Path(folder) / "made.png"
            recipe.write_text(self.recipe(0).to_json(), "utf-8")
            command = [sys.executable, "-m", "pipeline_utils", "replay", recipe, "-o", made, "--threads", str(threads)]
            command += ["--device", self.loaded.device.type]
            command += ["--model", spec.source] if spec.is_local else []
            process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                end = time.monotonic() + _PATIENCE
                while process.poll() is None:
                    if self.stop.wait(0.1) or time.monotonic() > end:
                        raise Stopped
                errors = process.stderr.read()
            finally:
                process.kill()
                process.wait()
                process.stderr.close()
            if process.returncode == _KILLED or any(words in errors for words in NO_MEMORY):
                raise CapacityError(f"Memory ran out when a second copy of {spec.title} was loaded.")
            if process.returncode:
                raise RuntimeError(f"The new process failed: {errors[-500:]}")
            return np.asarray(read(made).image)

    def alone(self, function: Callable[[], T]) -> T:
        """What `function()` answers; nobody else's step runs meanwhile: for switches of the whole process."""
        return MODEL.run(function, self.stop, alone=True)

    def check_stop(self) -> None:
        """Raises Stopped when told to stop."""
        if self.stop.is_set():
            raise Stopped

    def _needed(self) -> int:
        """Bytes of the weights that are on the device at once: all, or those of the largest part."""
        import torch

        modules = [part for part in self.loaded.pipe.components.values() if isinstance(part, torch.nn.Module)]
        sizes = [sum(t.nbytes for t in (*part.parameters(), *part.buffers())) for part in modules]
        return sum(sizes) if self.loaded.device.offload == "none" else max(sizes)

    def _finish(self, recipe: Recipe, call: dict) -> np.ndarray:
        import torch

        from pipeline_utils.engine.call import call_pipe, clone, no_picture

        result, finite, short = call_pipe(clone(self.loaded.pipe, recipe.scheduler), call, self.check_stop)
        if short:
            raise CapacityError("GPU memory was short, so other kernels may have run; close other programs on it.")
        if not all(finite):
            raise ModelError(no_picture(recipe))
        images = result.images
        return images.float().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)


def seeded(seeds: Sequence[int], device: str = "cpu") -> list[torch.Generator]:
    """One fresh generator for each seed. Multiplying a list would repeat one and the same object."""
    import torch

    return [torch.Generator(device).manual_seed(seed) for seed in seeds]


@contextmanager
def determinism(state: bool) -> Iterator[None]:
    """All of torch's switches for it, set and put back. What is fixed at start for all work stays as it is."""
    import torch

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        (cudnn.allow_tf32, matmul.allow_tf32),
    )
    try:
        torch.use_deterministic_algorithms(state)
        if state:
            cudnn.allow_tf32 = matmul.allow_tf32 = False
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cudnn.allow_tf32, matmul.allow_tf32 = before[2]
