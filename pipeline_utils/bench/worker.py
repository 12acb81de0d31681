"""A process that answers: a line of JSON asked, a line answered. While it is asked nothing it costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline_utils.errors import UserError

_ROOT = Path(__file__).resolve().parent.parent.parent
Answers = Callable[..., Any]


@contextmanager
def worker(module: str, *given: str) -> Iterator[Answers]:
    """A process of `module`, which calls `serve`: `answers(work, **values)` is what `work(**values)` answers there.

    Asking raises UserError where the process has ended. The end of the block is its end.
    """
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            [sys.executable, "-m", module, *given],
            env=os.environ | {"PYTHONPATH": path},  # not by its working folder: a model may be a path from here
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):

        def answers(work: str, **values: Any) -> Any:
            try:
                process.stdin.write(json.dumps({"work": work, **values}) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if line:
                return json.loads(line)
            log.seek(0)
            *_, last = log.read().strip().splitlines() or ["it said nothing"]
            raise UserError(f"A process of the measurement has ended: {last}")

        try:
            yield answers
        finally:
            process.kill()
            process.communicate()  # closes what it was not told in time, without an error


def serve(**works: Callable[..., Any]) -> None:
    """Answers until nobody is there to ask. An error ends the process, and its last line is told."""
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(works[asked.pop("work")](**asked)), flush=True)
