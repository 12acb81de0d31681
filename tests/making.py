"""Short ways to load a tiny model and to make pictures with it, for tests of what is behind the page."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import torch

from pipeline_utils.engine import engine
from pipeline_utils.engine.events import Finished
from pipeline_utils.engine.pool import Models
from pipeline_utils.models import runtime
from pipeline_utils.models.runtime import Loaded
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.studio import Made, Studio

# Models this small gain nothing from a second thread, and on a busy machine they wait for it.
ONE_THREAD = {"threads": 1}


def load(folder: Path, **settings) -> Loaded:
    chosen = Settings(model=str(folder), **{**ONE_THREAD, **settings})
    device = runtime.start(chosen)
    models = Models(chosen, device)
    models.preload()
    return models.in_memory()


def studio(folder: Path, shelf: Path, **settings) -> Studio:
    chosen = Settings(model=str(folder), data=shelf, **{**ONE_THREAD, **settings})
    device = runtime.start(chosen)
    return Studio(chosen, Models(chosen, device), Shelf(shelf / "pictures"))


def recipe(loaded: Loaded, seed: int = 0, **changes) -> Recipe:
    guidance = 5.0 if loaded.spec.max_guidance >= 5 else 0.0
    values = {"prompt": "a red fox", "num_inference_steps": 3, "guidance_scale": guidance, "lanes": 4}
    if loaded.spec.family == "FluxPipeline":  # such a folder names no size, and 512 pixels are many for a tiny model
        values |= {"width": 32, "height": 32}
    return loaded.recipe(seed=seed, **values | changes)


def pictures(loaded: Loaded, recipes: list[Recipe]) -> list[bytes]:
    """The pixels of each recipe, in the order of `recipes`."""
    found = {e.index: e.image.tobytes() for e in engine.generate(loaded, recipes) if is_made(e)}
    return [found[i] for i in range(len(recipes))]


def is_made(event: object) -> bool:
    return isinstance(event, Finished)


def plain(loaded: Loaded, **call) -> list[bytes]:
    """The pixels that the loaded pipeline gives when it is called as in the documentation of diffusers."""
    return [image.convert("RGB").tobytes() for image in loaded.pipe(**call).images]


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def made(events) -> list[Made]:
    return [event for event in events if isinstance(event, Made)]


def short_hash(pixels: bytes) -> str:
    return hashlib.sha256(pixels).hexdigest()[:8]


class Slowed:
    """Makes every forward pass of a module wait for a `go`, so that a test decides who is where."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self._handle = module.register_forward_pre_hook(self._wait)

    def _wait(self, *_args) -> None:
        self.reached.set()
        assert self.go.wait(30)

    def __enter__(self) -> Slowed:
        return self

    def __exit__(self, *_error) -> None:
        self.go.set()
        self._handle.remove()
