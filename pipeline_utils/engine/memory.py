"""The one loaded model of this process: shared by all rounds, switched when none uses it."""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.engine.stops import Stop, Stopped, waited
from pipeline_utils.errors import ModelError
from pipeline_utils.models import formats, revisions, runtime
from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.models.devices import empty_cache
from pipeline_utils.models.revisions import short
from pipeline_utils.models.runtime import Device, Loaded
from pipeline_utils.models.shapes import Shapes
from pipeline_utils.settings import Settings


def gpu_is_lent(environment: Mapping[str, str] = os.environ) -> bool:
    """True on a ZeroGPU Space, as the `spaces` package itself decides it."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


class Memory:
    """Holds at most one pipeline. Rounds that want another model, or number format, wait in line for it."""

    def __init__(self, settings: Settings, device: Device | None = None, *, tries_lanes: bool = True) -> None:
        """device: None where torch is started by whoever needs it first.

        tries_lanes: may a model have fewer lanes than it says, where they disagree on this device?
        """
        self._settings, self._device = settings, device
        # ZeroGPU has no GPU yet when the model is loaded there, and lends it to that model alone.
        self._lends = gpu_is_lent()
        self._tries_lanes = tries_lanes and not self._lends
        self._starting = threading.Lock()
        self._condition = threading.Condition()
        self._line: deque[object] = deque()
        self._users = 0
        self._loaded: Loaded | None = None
        self._load: Future[None] | None = None  # the last load that was begun
        self._borrowed: str | None = None  # the number format of a replay, while it has the memory
        self._running: ModelSpec | None = None  # what the memory goes back to then

    def start(self) -> Device:
        """Where models run. The first to ask starts torch, which takes seconds, and others wait for that.

        Whoever is about to import what builds on torch asks too: threads that import parts of one library at the
        same time may find them half done. Raises InputError as runtime.start does.
        """
        with self._starting:
            if self._device is None:
                device = runtime.start(self._settings)
                self._settings, self._device = formats.settled(self._settings, device), device
            return self._device

    @property
    def has_started(self) -> bool:
        """Is torch there?"""
        return self._device is not None

    @property
    def has_begun(self) -> bool:
        """Was a model loaded since the start, and all that it takes imported?"""
        return self._running is not None

    def same(self, one: ModelSpec, other: ModelSpec) -> bool:
        """Are these, pinned by `meant`, the same model: do they have the same weights and configuration?"""
        if one.is_local or other.is_local:
            return one.revision == other.revision
        return one.source == other.source and revisions.same(
            one.source, one.revision, other.revision, self._format(one)
        )

    def held(self, spec: ModelSpec) -> Loaded | None:
        """What is in memory, in whatever number format, when that is `spec`."""
        loaded = self._loaded
        if loaded is None:
            return None
        if spec.revision:
            found = self.same(replace(loaded.spec, revision=loaded.revision), spec)
        else:  # of a hub model, the newest is not known here
            found = spec.is_local and loaded.spec.source == spec.source
        return loaded if found else None

    def ready(self, spec: ModelSpec, dtype: str | None = None) -> bool:
        """Is `spec` in memory in this number format, None for that of this process?"""
        return self.held(spec) is not None and self._borrowed == (None if dtype == self._format(spec) else dtype)

    @contextmanager
    def use(self, spec: ModelSpec, stop: threading.Event | None = None, dtype: str | None = None) -> Iterator[Loaded]:
        """The model of `spec`, loaded if need be, kept in memory until the block ends.

        dtype: the number format of a replay, None for that of this process; after a replay in another one,
        the model that ran before is loaded again. Waits first come first served while other rounds use
        another model or format, since memory is counted for one. Raises ModelError or CapacityError when it
        cannot be loaded, and Stopped when `stop` is set meanwhile; the next round then finds the app as
        usable as before. A load or a download that was begun goes on without its round, since neither can
        be broken off.
        """
        aside, stop = stop is not None, stop or Stop()
        if aside and self._device is None:
            waited(self.start, stop)
        borrowed = None if dtype == self._format(spec) else dtype
        if self._lends and self._loaded and not self.ready(spec, dtype):
            only = f"{self._loaded.spec.title} in {self._loaded.dtype}"
            raise ModelError(f"This host lends its GPU to {only} only; {spec.title} cannot be loaded here.")
        if not self.ready(spec, dtype):  # gigabytes, while others go on with their rounds
            spec = waited(lambda: runtime.fetch(spec, self._in(borrowed), self.start()), stop)
        place, mine = object(), None
        with self._condition:
            self._line.append(place)
            try:
                while self._line[0] is not place or not self.ready(spec, dtype):
                    if stop.is_set():
                        raise Stopped
                    if mine is not None and mine.done():
                        mine.result()  # raises why it could not be loaded
                    if mine is None and self._line[0] is place and self._is_free():
                        mine = self._begin_load(spec, borrowed, aside)
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
                if self._borrowed and self._running and not self._line and self._is_free():
                    given_back = self._begin_load(self._running, None, aside)  # the next round says why it failed
                    while not given_back.done() and not stop.is_set():
                        self._condition.wait(0.1)
                self._condition.notify_all()

    def in_memory(self) -> Loaded:
        """What is loaded now. Raises ModelError when nothing is."""
        if self._loaded is None:
            raise ModelError("No model is loaded yet.")
        return self._loaded

    def one_lane(self, reason: str) -> None:
        """From now on the model in memory makes pictures one at a time."""
        from pipeline_utils.engine.call import one_lane

        self._loaded = one_lane(self._loaded, reason)

    def _format(self, spec: ModelSpec) -> str:
        """The number format that `spec` has in this process."""
        return runtime.number_format(spec, self._settings, self.start())

    def _in(self, borrowed: str | None) -> Settings:
        return replace(self._settings, dtype=borrowed) if borrowed else self._settings

    def _is_free(self) -> bool:
        return not self._users and (self._load is None or self._load.done())

    def _begin_load(self, spec: ModelSpec, borrowed: str | None, aside: bool) -> Future[None]:
        """aside: without waiting for it, so that everybody who waits for it can be stopped."""
        load = self._load = Future()

        def load_it() -> None:
            self._free()
            self._borrowed = borrowed
            wanted = replace(spec, revision="") if spec.is_local else spec
            loaded = runtime.load(wanted, self._in(borrowed), self.start())
            if spec.revision not in ("", loaded.revision):
                raise other_weights(spec.name, spec.revision, loaded.revision)
            if self._lends:  # there is no GPU yet of which to ask what it is, and a trial would cost a visitor's time
                loaded = replace(loaded, shapes=Shapes(tries=False))
            else:
                about = {"revision": loaded.revision, "dtype": loaded.dtype, **runtime.fingerprint(loaded.device)}
                about |= {"full_determinism": loaded.device.full_determinism}
                loaded = replace(loaded, shapes=Shapes(self._settings.cache / "shapes.json", about))
            if self._tries_lanes and self._device.type != "cpu":
                from pipeline_utils.engine.call import settled

                loaded = settled(loaded)
            if borrowed is None:
                self._running = loaded.spec
            self._loaded = loaded

        def run() -> None:
            try:
                # What is lent is wanted in the main thread by ZeroGPU; elsewhere one thread alone runs tensors.
                load_it() if self._lends else MODEL.run(load_it, alone=True)
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
        empty_cache(self.start().type)


def other_weights(model: str, revision: str, here: str) -> ModelError:
    return ModelError(
        f"It was made with {model} at {short(revision)}; here the model is at {short(here)}, and other weights "
        "make another picture."
    )
