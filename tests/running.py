"""The app as a process of its own, with a data folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import secrets
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "assets" / "emoji-sd"


@dataclass(frozen=True)
class App:
    """A running app."""

    url: str
    data: Path
    model: Path
    process: psutil.Process

    def log(self) -> str:
        return (self.data / "log.txt").read_text("utf-8")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen in 20 seconds"
        time.sleep(0.002)


def free_port() -> int:
    """A port below those that systems give to clients, so that it is still free when an app starts again."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def start(
    model: Path, data: Path, program: Sequence[str] = ("app.py",), fresh: bool = False, **environment: str
) -> App:
    """Starts the app, on a free port where the environment names none, and waits until it answers.

    program: what Python is to run.
    fresh: in a process that begins as a person's does, which takes several seconds. Without it, the app is run in
        a copy of a process that has imported the large libraries (tests/warm.py), and ends without exit handlers.
    """
    port = int(environment.get("PORT") or free_port())
    data.mkdir(parents=True, exist_ok=True)
    name = "emoji-sd" if model == BUNDLED else str(model)
    mine = {"MODEL": name, "PORT": str(port), "SECOND_ROUND_DATA": str(data), "HF_HUB_OFFLINE": "1"}
    mine["SECOND_ROUND_DTYPE"] = "float32"  # the fastest is another on another machine
    environment, log = os.environ | mine | environment, data / "log.txt"
    if fresh:
        with open(log, "wb") as said:
            process = psutil.Popen([sys.executable, *program], cwd=ROOT, env=environment, stdout=said, stderr=said)
    else:
        warm = multiprocessing.get_context("forkserver")
        warm.set_forkserver_preload(["tests.warm"])
        copy = warm.Process(target=_run, args=(program, environment, log), daemon=True)
        copy.start()
        process = psutil.Process(copy.pid)
    app = App(f"http://127.0.0.1:{port}", data, model, process)
    wait_for_an_answer(app)
    return app


def _run(program: Sequence[str], environment: dict[str, str], log: Path) -> None:
    """What `python *program` does, here."""
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    with open(log, "wb") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    if program[0] == "-m":
        sys.argv = list(program[1:])
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(program)
        runpy.run_path(program[0], run_name="__main__")


def wait_for_an_answer(app: App) -> None:
    until = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(app.url, timeout=10).close()
            return
        except OSError:
            try:
                app.process.wait(0.1)
            except psutil.TimeoutExpired:
                if time.monotonic() < until:
                    continue
                app.process.kill()
            pytest.fail("The app did not start:\n" + app.log()[-4000:])


def stop(app: App) -> None:
    """As Ctrl+C does, so that the server's own ending runs."""
    app.process.send_signal(2)
    try:
        app.process.wait(30)
    except psutil.TimeoutExpired:
        app.process.kill()
        app.process.wait()


@contextmanager
def running(model: Path, data: Path, **more) -> Iterator[App]:
    """The app of start(model, data, **more), until the block ends."""
    app = start(model, data, **more)
    try:
        yield app
    finally:
        stop(app)
