"""Which models this process knows, and which one a name or a recipe means."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from pipeline_utils.engine.memory import Memory, other_weights
from pipeline_utils.engine.stops import Stop
from pipeline_utils.errors import ModelError
from pipeline_utils.models import revisions, runtime
from pipeline_utils.models.catalog import BUNDLED, ModelSpec
from pipeline_utils.models.revisions import short
from pipeline_utils.models.runtime import Device, Loaded
from pipeline_utils.models.sources import describe_folder, is_path, mark_name, resolve, tidied
from pipeline_utils.settings import Settings


class Models(Memory):
    """The names of models. What a name, or a recipe's name and revision, stands for is decided here alone."""

    def __init__(self, settings: Settings, device: Device | None = None, *, tries_lanes: bool = True) -> None:
        super().__init__(settings, device, tries_lanes=tries_lanes)
        self._default = resolve(settings.model)
        # What a bare name stands for: folders and files that were opened, and the commits of hub models.
        self._known: dict[str, ModelSpec] = {self._default.name: self._default}

    @property
    def default(self) -> str:
        """Name of the model that the app was started with."""
        return self._default.name

    @property
    def current(self) -> str:
        """What calls the model in memory, or the one that will be loaded first."""
        return self.label(self._running or self._default)

    def label(self, spec: ModelSpec) -> str:
        """What calls this very model here: its name, with @ and a commit where the name alone means another."""
        bare = self._known.get(spec.name)
        if spec.is_local or not spec.revision or (bare and bare.revision == spec.revision):
            return spec.name
        return f"{spec.name}@{spec.revision}"

    def spec(self, name: str) -> ModelSpec:
        """The model called `name`, perhaps with @ and a revision, as completed by loading it. Raises ModelError."""
        if not isinstance(name, str):
            raise ModelError("model: a name is needed, such as emoji-sd or a hub id.")
        name = tidied(name)
        model, _, revision = name.partition("@")
        if revision:
            return self.meant(model, revision)
        if name in self._known:
            return self._known[name]
        if name == self._default.source:
            return self._known[self.default]
        if name.startswith("local:"):
            raise ModelError(f"The model {name} is a folder or file of another start; start with its path as MODEL.")
        spec = resolve(name, paths=False)  # a path would be looked up on this machine
        if spec.name in self._known:
            return self._known[spec.name]
        if self._settings.visitors_choose == "one":
            raise ModelError(f"This host runs {self._default.title} only; {spec.title} cannot be loaded here.")
        return spec

    def open(self, name: str) -> ModelSpec:
        """As `spec`, for what a visitor typed: also a folder or .safetensors file where they may choose any."""
        path = isinstance(name, str) and name not in self._known and is_path(tidied(name))
        if path and self._settings.visitors_choose == "any":
            spec = resolve(name)
            other, content = self._known.get(spec.name), _content(spec)
            if other and other.source != spec.source:  # two folders of one name
                if content and content == _content(other):
                    return replace(other, revision=content)
                spec = replace(spec, name=mark_name(spec.name, content[-32:]))
            self._known[spec.name] = spec
            return replace(spec, revision=content)  # not what was loaded from there before
        return self.spec(name)

    def meant(self, model: str, revision: str) -> ModelSpec:
        """The model that a recipe's name and revision mean, pinned to the revision; "" for what the name means.

        Weights of this machine are found by their content, whatever they are called. A commit of a hub
        model is that commit, downloaded or not. Raises ModelError, which says what is here instead.
        """
        if not revision:
            return self.spec(model)
        if revision.startswith("sha256:"):
            for spec, content in self._local():
                if revisions.names(revision, content):
                    return replace(spec, revision=content)
        spec = self.spec(model)
        if spec.is_local:
            raise other_weights(model, revision, _content(spec))
        if not re.fullmatch(r"[0-9a-f]{40}", revision):
            raise ModelError(f"{spec.title} is a model of the hub; {revision[:80]!r} is no commit of 40 hex digits.")
        pinned = replace(resolve(model, paths=False), revision=revision)
        if held := self.held(pinned):
            return held.spec
        if here := revisions.cached(pinned.source, revision, self._format(pinned)):
            return pinned if pinned.family else describe_folder(pinned, here[0])
        if self._settings.visitors_choose == "one":
            raise ModelError(
                f"{pinned.title} at {short(revision)} is not on this host, which downloads nothing for visitors."
            )
        return pinned

    def is_here(self, spec: ModelSpec, dtype: str) -> bool:
        """Can `spec` be used, in this number format, without a download?"""
        if spec.is_local:
            return True
        self.start()
        held = self.held(spec)
        return (held is not None and held.dtype == dtype) or runtime.is_downloaded(spec, dtype)

    def missing(self, spec: ModelSpec) -> str:
        """What has to be downloaded before `spec` can be used, in words that end a sentence about it."""
        known = self._known.get(spec.name)
        if known and known.revision not in ("", spec.revision) and self.is_here(known, self._format(known)):
            return (
                f"is here at {short(known.revision)}, not at {short(spec.revision)}; "
                "the files that differ would be downloaded first."
            )
        return "is not on this machine and would be downloaded first."

    def preload(self) -> None:
        """Loads the model that the app was started with. Raises InputError, ModelError or CapacityError."""
        with self.use(self.default, None if self._lends else Stop()):  # ZeroGPU wants it in the main thread
            import_module("pipeline_utils.engine.engine")  # so that the first round need not

    @contextmanager
    def use(
        self, wanted: str | ModelSpec, stop: threading.Event | None = None, dtype: str | None = None
    ) -> Iterator[Loaded]:
        """As in Memory, for a name too. What a bare name means is settled when it is loaded."""
        spec = self.spec(wanted) if isinstance(wanted, str) else wanted
        bare = self.label(spec) == spec.name
        with super().use(spec, stop, dtype) as loaded:
            if bare and loaded.spec.source == spec.source:
                self._known[spec.name] = loaded.spec
            yield loaded

    def _local(self) -> Iterator[tuple[ModelSpec, str]]:
        """Weights of this machine that a recipe may mean, and the content hash of each."""
        loaded = self._loaded
        if loaded and loaded.spec.is_local:
            yield loaded.spec, loaded.revision
        known = list(self._known.values())
        if self._settings.visitors_choose != "one":
            with suppress(ModelError):  # a checkout without the bundled weights
                known.append(resolve(BUNDLED))
        yield from ((spec, _content(spec)) for spec in known if spec.is_local)


def _content(spec: ModelSpec) -> str:
    """The content hash of local weights, "" where they cannot be read."""
    try:
        return revisions.content_hash(Path(spec.source))
    except (OSError, ModelError):
        return ""
