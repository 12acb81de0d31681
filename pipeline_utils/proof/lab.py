"""Where the experiments of the proof page run: plain pipeline calls on the loaded model, in turns with visitors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from pipeline_utils.engine import engine
from pipeline_utils.engine.calling import called, no_picture
from pipeline_utils.engine.stops import Stopped
from pipeline_utils.engine.turns import Turns
from pipeline_utils.errors import ModelError
from pipeline_utils.models.catalog import FAMILIES
from pipeline_utils.models.runtime import Loaded
from pipeline_utils.recipe.recipe import Recipe

Generators = torch.Generator | list[torch.Generator] | None
STEPS = 2  # denoising steps, as in the documentation's own experiment


@dataclass(frozen=True)
class Result:
    """ok: True and False; None when the experiment cannot be run here. numbers: what was measured, by name."""

    ok: bool | None
    text: str
    numbers: dict[str, float | int | str] = field(default_factory=dict)


@dataclass
class Lab:
    """A loaded model and the way to call it. stop: ends an experiment within one step, raising Stopped."""

    loaded: Loaded
    turns: Turns = field(default_factory=Turns)
    stop: threading.Event = field(default_factory=threading.Event)
    _alone: bool = False

    @property
    def prompt(self) -> str:
        return self.loaded.spec.examples[0]

    @property
    def is_diffusion(self) -> bool:
        """True where the model can be used with DDIM."""
        return "DDIMScheduler" in FAMILIES[self.loaded.spec.family].schedulers

    def recipe(self, seed: int = 0, **changes) -> Recipe:
        """A recipe of STEPS steps with the model's own values and lanes."""
        steps = 4 if self.loaded.spec.scheduler == "PNDMScheduler" else STEPS
        return self.loaded.recipe(**{"prompt": self.prompt, "seed": seed, "num_inference_steps": steps, **changes})

    def call(
        self, generator: Generators, prompt: str | Sequence[str] | None = None, output_type: str = "np", **changes
    ) -> np.ndarray:
        """One plain pipeline call. Returns (pictures, height, width, 3) from 0 to 1, or latents as they are."""
        recipe = self.recipe(**changes)
        pipe = engine.clone(self.loaded.pipe, recipe.scheduler)
        call = engine.shared(recipe, self.loaded.spec.family) | {
            "prompt": self.prompt if prompt is None else prompt,
            "generator": generator,
            "output_type": output_type,
        }
        if self._alone:
            return self._finish(*called(pipe, engine.with_callback(pipe, call, self._check)), recipe)
        with self.turns.turn(self.stop) as turn:
            after = turn.pass_on if self.loaded.device.offload == "none" else self._check
            return self._finish(*called(pipe, engine.with_callback(pipe, call, after)), recipe)

    def engine(self, recipes: Sequence[Recipe]) -> list[np.ndarray]:
        """The pictures that the app itself makes of `recipes`, as (height, width, 3) of 0 to 255."""
        events: list[engine.Event] = []
        engine.make(self.loaded, recipes, self.turns, self.stop, False, events.append)
        found = {e.index: np.asarray(e.image) for e in events if isinstance(e, engine.Finished)}
        for index, recipe in enumerate(recipes):
            if index not in found:
                raise ModelError(no_picture(recipe))
        return [found[index] for index in range(len(recipes))]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else's step runs before the block ends: for switches that hold for the whole process."""
        with self.turns.turn(self.stop):
            self._alone = True
            try:
                yield
            finally:
                self._alone = False

    def _check(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def _finish(self, output, finite: Sequence[bool], recipe: Recipe) -> np.ndarray:
        if not all(finite):
            raise ModelError(no_picture(recipe))
        images = output.images
        return images.float().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)


def seeded(seeds: Sequence[int], device: str = "cpu") -> list[torch.Generator]:
    """One fresh generator for each seed. Multiplying a list would repeat one and the same object."""
    return [torch.Generator(device).manual_seed(seed) for seed in seeds]


def gap(a: np.ndarray, b: np.ndarray) -> float:
    """L_inf: the largest difference of two arrays of one shape."""
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


def differing(a: np.ndarray, b: np.ndarray) -> int:
    """Pixels that differ once both are rounded to 8 bits, the colours of a pixel counted once."""
    a, b = (x if x.dtype == np.uint8 else (x * 255).round().astype(np.uint8) for x in (a, b))
    return int((a != b).any(axis=-1).sum())


def total(images: np.ndarray) -> float:
    """The sum of |pixels| that the documentation prints."""
    return float(np.abs(images).sum())
