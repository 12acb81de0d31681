"""How long a visitor of the page waits: for the page, a preview, a picture, the round; and what previews cost.

The real app is started as its users start it and asked over the page's own protocol, so no browser is
needed; where Playwright and a Chromium are, a browser also says when the page can be used and what it weighs, and
how much later than the smallest page that Gradio can make.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_utils.errors import UserError
from pipeline_utils.models.sources import resolve

_ROOT = Path(__file__).resolve().parent.parent.parent
_START = 600  # seconds that a start may take
# What any page made with Gradio waits for.
_HELLO = """
import gradio as gr

with gr.Blocks() as demo:
    prompt = gr.Textbox(label="Prompt")
    gr.Button("Greet").click(lambda prompt: f"Hello, {prompt}", prompt, prompt)
demo.launch()
"""
_SEEN = "[...document.querySelectorAll('#gallery img')].some((image) => image.complete && image.naturalWidth > 8)"
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@dataclass(frozen=True)
class App:
    url: str
    pid: int
    began: float  # when the command was given, by time.monotonic
    answered: float  # seconds until it listened


@dataclass(frozen=True)
class Round:
    """Seconds from the press of the button. processor: seconds of all cores, None where nobody counts them."""

    preview: float | None
    picture: float
    whole: float
    processor: float | None

    @property
    def seen(self) -> float:
        """When something of the round was there to be seen."""
        return self.picture if self.preview is None else self.preview


def measure(model: str, repeats: int, starts: int) -> None:
    """Prints all figures of one run. starts: of this app and of a Gradio hello world, in turn.

    Raises UserError for an unknown model or an app that does not start.
    """
    spec = resolve(model)
    with contextlib.ExitStack() as stack:
        browser = stack.enter_context(_browser())
        if browser is not None and starts:
            _compared(browser, model, starts)
        with_, loaded = stack.enter_context(started(model)), None
        if browser is not None:
            loaded = _loaded(browser, with_)
        without = stack.enter_context(started(model, SECOND_ROUND_PREVIEWS="no"))
        print(f"{spec.title}, 4 pictures, {spec.num_inference_steps} steps, {repeats} rounds of each kind in turn")
        for app in (with_, without):  # the first round of a process pays for what is made once
            press(app, spec.examples[0], "0-3")
        pairs = []
        for n in range(repeats):
            order = (with_, without) if n % 2 == 0 else (without, with_)
            found = {app: press(app, spec.examples[0], "0-3") for app in order}
            pairs.append((found[with_], found[without]))
        _table(pairs)
    print("| the page | |")
    print("|---|---|")
    print(f"| from command to first answer | {with_.answered:.1f} s |")
    if loaded is None:
        print("| from command to usable page; its weight | needs Playwright (requirements-dev.txt) and a Chromium |")
        return
    usable, count, weight = loaded
    print(f"| from command to usable page | {usable:.1f} s |")
    print(f"| first load | {weight / 1024:,.0f} KiB in {count} requests |")


def _compared(browser, model: str, starts: int) -> None:
    """Prints when a page that was started and its first picture are there, a hello world's page being 1."""
    hello, ours, pictures = [], [], []
    for _ in range(starts):
        with _process(["-c", _HELLO], {}) as app:
            hello.append(_usable(browser, app)[0])
        with started(model) as app:
            usable, page = _usable(browser, app)
            page.get_by_role("button", name="Make 4 pictures").click()
            page.wait_for_function(_SEEN, timeout=1000 * _START)
            ours.append(usable)
            pictures.append(time.monotonic() - app.began)
    unit = statistics.median(hello)
    print(f"| median of {starts} starts, from the command, a Gradio hello world's page being 1 | | goal |")
    print("|---|---|---|")
    rows = (("hello world: usable page", hello, ""), ("usable page", ours, 1.4), ("first picture", pictures, 2.3))
    for text, found, goal in rows:
        print(f"| {text} | {statistics.median(found) / unit:.2f} ({statistics.median(found):.2f} s) | {goal} |")


def _table(pairs: list[tuple[Round, Round]]) -> None:
    ours, plain = zip(*pairs, strict=True)

    def middle(rounds: tuple[Round, ...], name: str) -> float | None:
        values = [value for value in (getattr(each, name) for each in rounds) if value is not None]
        return statistics.median(values) if values else None

    base = middle(plain, "whole")
    print("| median, the whole round without previews being 1 | with previews | without |")
    print("|---|---|---|")
    for name, text in (("preview", "first preview"), ("picture", "first picture"), ("whole", "whole round")):
        cells = [middle(ours, name), middle(plain, name)]
        print(f"| {text} | " + " | ".join("–" if c is None else f"{c / base:.2f} ({c:.2f} s)" for c in cells) + " |")
    ratios = [one.whole / other.whole for one, other in pairs]
    print(f"| cost of previews, median of {len(pairs)} pairs | {100 * (statistics.median(ratios) - 1):+.1f} % time | |")
    if all(each.processor for pair in pairs for each in pair):
        ratios = [one.processor / other.processor for one, other in pairs]
        print(f"| | {100 * (statistics.median(ratios) - 1):+.1f} % processor time | |")


@contextlib.contextmanager
def started(model: str, **settings: str) -> Iterator[App]:
    """The app in a process and a folder of its own. settings: environment variables."""
    with tempfile.TemporaryDirectory() as folder:
        mine = {"MODEL": model, "HOST": "127.0.0.1", "SECOND_ROUND_DATA": folder}
        with _process(["app.py"], mine | settings) as app:
            yield app


@contextlib.contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[App]:
    """A Python that serves a page, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"PORT": str(port), "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        began = time.monotonic()
        with open(log, "wb") as stream:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=_ROOT, env=os.environ | told | environment, stdout=stream, stderr=stream
            )
        try:
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > began + _START:
                    raise UserError("The app did not start: " + log.read_text("utf-8")[-500:].strip())
                time.sleep(0.02)
            yield App(f"http://127.0.0.1:{port}", process.pid, began, time.monotonic() - began)
        finally:
            process.terminate()
            process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10):
        return True
    return False


def press(app: App, prompt: str, seeds: str) -> Round:
    """Presses the button that makes round one, as the page does, and watches what comes."""
    with urllib.request.urlopen(app.url + "/config", timeout=30) as answer:
        config = json.load(answer)
    function = next(each for each in config["dependencies"] if each["api_name"] == "page_first_round")
    fields = [None, prompt, seeds, "", None, None, None, None, None, False]
    session = f"bench{time.monotonic_ns()}"
    body = {"fn_index": function["id"], "data": fields, "session_hash": session}
    base, used = app.url + "/gradio_api/queue/", _processor(app.pid)
    began = time.monotonic()
    join = urllib.request.Request(base + "join", json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(join, timeout=30).close()
    preview = picture = None
    with urllib.request.urlopen(base + f"data?session_hash={session}", timeout=_START) as stream:
        for line in stream:
            now = time.monotonic() - began
            if preview is None and b"data-picture" in line:
                preview = now
            if picture is None and b"/pictures/" in line:
                picture = now
            if b'"process_completed"' in line:
                if not json.loads(line[5:])["success"]:
                    raise UserError("The app refused the round.")
                spent = None if used is None else _processor(app.pid) - used
                return Round(preview, now if picture is None else picture, now, spent)
    raise UserError("The app broke off the round.")


def _processor(pid: int) -> float | None:
    """Seconds that all threads of a process computed, where /proc tells it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _browser() -> Iterator:
    """A Chromium, None where there is none or Playwright is not installed."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        yield None
        return
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        except Error:
            yield None
            return
        yield browser
        browser.close()


def _usable(browser, app: App, each: Callable = lambda request: None) -> tuple[float, Any]:
    """Seconds from the command until a prompt can be typed, and the page. each: is handed every finished request."""
    page = browser.new_page()
    page.on("requestfinished", each)
    page.goto(app.url)
    page.get_by_label("Prompt", exact=True).fill("a red fox", timeout=1000 * _START)
    return time.monotonic() - app.began, page


def _loaded(browser, app: App) -> tuple[float, int, int]:
    """Seconds from the command until a prompt can be typed; requests and bytes of the first load."""
    finished = []
    usable, page = _usable(browser, app, finished.append)
    page.wait_for_timeout(1000)  # what the page fetches once it is there
    sizes = [request.sizes() for request in finished]
    page.close()
    return usable, len(sizes), sum(each["responseBodySize"] + each["responseHeadersSize"] for each in sizes)
