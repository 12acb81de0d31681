"""The one loaded model of this process: shared by all rounds, switched when none uses it."""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import torch

from pipeline_utils import runtime
from pipeline_utils.catalog import ModelSpec, is_path, resolve
from pipeline_utils.errors import ModelError
from pipeline_utils.runtime import Device, Loaded
from pipeline_utils.settings import Settings
from pipeline_utils.slots import settled
from pipeline_utils.stops import Stop, Stopped
from pipeline_utils.streams import waited


class Models:
    """Holds at most one pipeline in memory. Rounds that want another model wait in line for it."""

    def __init__(self, settings: Settings, device: Device) -> None:
        self._settings, self._device = settings, device
        # ZeroGPU has no GPU yet when models are loaded there.
        self._tries_slots = device.type == "cuda" and not os.environ.get("SPACES_ZERO_GPU")
        self._default = resolve(settings.model)
        # Recipes name a local model by `local:NAME` only; this finds its folder or file again.
        self._known: dict[str, ModelSpec] = {self._default.name: self._default}
        self._condition = threading.Condition()
        self._line: deque[object] = deque()
        self._users = 0
        self._loaded: Loaded | None = None
        self._load: Future[None] | None = None  # the last load that was begun

    @property
    def default(self) -> str:
        """Name of the model that the app was started with."""
        return self._default.name

    @property
    def current(self) -> str:
        """Name of the model in memory, or of the one that will be loaded first."""
        loaded = self._loaded
        return loaded.spec.name if loaded else self._default.name

    def spec(self, name: str) -> ModelSpec:
        """The spec of a model by name, as completed by loading when it is in memory. Raises ModelError."""
        if not isinstance(name, str):
            raise ModelError("model: a name is needed, such as emoji-sd or a hub id.")
        loaded = self._loaded
        if loaded and name in (loaded.spec.name, loaded.spec.source):
            return loaded.spec
        if name in self._known:
            return self._known[name]
        if name == self._default.source:
            return self._default
        if name.startswith("local:"):
            raise ModelError(f"The model {name} is a folder or file of another start; start with its path as MODEL.")
        spec = resolve(name, paths=False)  # a path would be looked up on this machine
        if spec.name != self._default.name and self._settings.visitors_choose == "one":
            raise ModelError(f"This host runs {self._default.title} only; {spec.title} cannot be loaded here.")
        return spec

    def open(self, name: str) -> ModelSpec:
        """As `spec`, for what a visitor typed: also a folder or .safetensors file where they may choose any."""
        if isinstance(name, str) and self._settings.visitors_choose == "any" and is_path(name.strip()):
            spec = resolve(name)
            self._known[spec.name] = spec
            return spec
        return self.spec(name)

    def preload(self) -> None:
        """Loads the model that the app was started with. Raises ModelError or CapacityError."""
        with self.use(self.default):
            pass

    @contextmanager
    def use(self, name: str, stop: threading.Event | None = None) -> Iterator[Loaded]:
        """The model called `name`, loaded if need be, kept in memory until the block ends.

        Waits first come first served while other rounds use another model, since memory is
        counted for one. Raises ModelError or CapacityError when it cannot be loaded, and
        Stopped when `stop` is set meanwhile; the next round then finds the app as usable as before. A load
        or a download that was begun goes on without its round, since neither can be broken off.
        """
        spec, aside, stop = self.spec(name), stop is not None, stop or Stop()
        if not self._holds(spec):  # gigabytes, while others go on with their rounds
            waited(lambda: runtime.fetch(spec, self._settings, self._device), stop)
        place, mine = object(), None
        with self._condition:
            self._line.append(place)
            try:
                while self._line[0] is not place or not self._holds(spec):
                    if stop.is_set():
                        raise Stopped
                    if mine is not None and mine.done():
                        mine.result()  # raises why it could not be loaded
                    free = not self._users and (self._load is None or self._load.done())
                    if mine is None and free and self._line[0] is place:
                        mine = self._begin_load(spec, aside)
                    else:
                        self._condition.wait(0.1)
                loaded = self._loaded
                self._users += 1
            finally:
                self._line.remove(place)
                self._condition.notify_all()
        try:
            yield loaded
        finally:
            with self._condition:
                self._users -= 1
                self._condition.notify_all()

    def in_memory(self) -> Loaded:
        """What is loaded now. Raises ModelError when nothing is."""
        if self._loaded is None:
            raise ModelError("No model is loaded yet.")
        return self._loaded

    def is_loaded(self, name: str) -> bool:
        loaded = self._loaded
        return loaded is not None and loaded.spec.name == name

    def _holds(self, spec: ModelSpec) -> bool:
        return self._loaded is not None and self._loaded.spec.name == spec.name

    def _begin_load(self, spec: ModelSpec, aside: bool) -> Future[None]:
        """aside: in a thread of its own, so that everybody who waits for it can be stopped.

        What is loaded at start is not: ZeroGPU wants that in the main thread.
        """
        load = self._load = Future()

        def run() -> None:
            try:
                self._free()
                loaded = runtime.load(spec, self._settings, self._device)
                self._loaded = settled(loaded) if self._tries_slots else loaded
                self._known[spec.name] = spec
                load.set_result(None)
            except BaseException as error:
                load.set_exception(error)
            with self._condition:
                self._condition.notify_all()

        if aside:
            threading.Thread(target=run, name="load", daemon=True).start()
        else:
            run()
        return load

    def _free(self) -> None:
        self._loaded = None
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
