"""Which work of which visitor is under way, so that a button or a closed page can end it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr


class Stops:
    """Stop flags by session. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flags: dict[str, set[threading.Event]] = {}

    @contextmanager
    def during(self, request: gr.Request) -> Iterator[threading.Event]:
        """A flag that is set when this visitor says stop or leaves before the block ends."""
        flag = threading.Event()
        with self._lock:
            self._flags.setdefault(request.session_hash, set()).add(flag)
        try:
            yield flag
        finally:
            with self._lock:
                flags = self._flags.get(request.session_hash, set())
                flags.discard(flag)
                if not flags:
                    self._flags.pop(request.session_hash, None)

    def stop(self, request: gr.Request) -> None:
        """Ends what this visitor has under way, within a denoising step."""
        with self._lock:
            flags = list(self._flags.get(request.session_hash, ()))
        for flag in flags:
            flag.set()
