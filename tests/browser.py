"""A real browser in front of the real app: fixtures, and a visitor with the verbs of a person."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "assets" / "emoji-sd"
PATIENCE = 120_000  # milliseconds a round may take where the machine is busy
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class App:
    """A running app: python app.py in a process of its own, with a data folder of its own."""

    url: str
    data: Path
    model: Path
    process: psutil.Process

    def log(self) -> str:
        return (self.data / "log.txt").read_text("utf-8")


def start(
    model: Path, data: Path, program: Sequence[str] = ("app.py",), **environment: str
) -> tuple[App, subprocess.Popen]:
    """Starts the app, on a free port where the environment names none, and waits until it answers.

    program: what Python is to run.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(environment.get("PORT") or free.getsockname()[1])
    data.mkdir(parents=True, exist_ok=True)
    name = "emoji-sd" if model == BUNDLED else str(model)
    mine = {"MODEL": name, "PORT": str(port), "SECOND_ROUND_DATA": str(data), "HF_HUB_OFFLINE": "1"}
    with open(data / "log.txt", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, *program], cwd=ROOT, env=os.environ | mine | environment, stdout=log, stderr=log
        )
    app = App(f"http://127.0.0.1:{port}", data, model, psutil.Process(process.pid))
    until = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(app.url, timeout=10).close()
            return app, process
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                pytest.fail("The app did not start:\n" + app.log()[-4000:])
            time.sleep(0.2)


def stop(process: subprocess.Popen) -> None:
    """As Ctrl+C does, so that the server's own ending runs."""
    process.send_signal(2)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def model(tiny_sd_folder: Path) -> Path:
    """The bundled model; a tiny one where a checkout does without it."""
    return BUNDLED if (BUNDLED / "model_index.json").is_file() else tiny_sd_folder


@pytest.fixture(scope="session")
def app(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running, process = start(model, tmp_path_factory.mktemp("app") / "data")
    yield running
    stop(process)


def chromium(playwright: Playwright) -> Browser:
    """The system's Chromium, or Playwright's own."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None and not Path(playwright.chromium.executable_path).exists():
        message = "No Chromium here: apt-get install chromium, or playwright install chromium."
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    expect.set_options(timeout=30_000)  # a busy machine may take its time
    return playwright.chromium.launch(executable_path=program, args=FLAGS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = chromium(playwright)
        yield found
        found.close()


@pytest.fixture
def visitors(app: App, browser: Browser) -> Iterator[type[Visitor]]:
    """Makes visitors, each with cookies and a window of their own: visitors(), visitors(width=390)."""
    contexts = []

    def visit(width: int = 1280, height: int = 900, **more) -> Visitor:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        contexts.append(context)
        context.set_default_timeout(30_000)
        visitor = Visitor(context.new_page(), app)
        visitor.page.goto(app.url)
        expect(visitor.prompt).to_be_visible(timeout=60_000)
        return visitor

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def visitor(visitors) -> Visitor:
    return visitors()


class Visitor:
    """A page, and what a person does and sees there. Waits only for what is seen."""

    def __init__(self, page: Page, app: App) -> None:
        self.page, self.app = page, app
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def prompt(self) -> Locator:
        return self.page.get_by_label("Prompt", exact=True)

    @property
    def make(self) -> Locator:
        return self.page.get_by_role("button", name=re.compile("^Make "))

    @property
    def next(self) -> Locator:
        return self.page.locator("button#next")

    @property
    def stop(self) -> Locator:
        return self.page.get_by_role("button", name="Stop", exact=True)

    @property
    def status(self) -> Locator:
        return self.page.locator("#status")

    @property
    def tiles(self) -> Locator:
        return self.page.locator("#gallery .gallery-item button")

    @property
    def captions(self) -> Locator:
        return self.page.locator("#gallery .caption-label")

    @property
    def pick(self) -> Locator:
        return self.page.get_by_role("region", name="Your pick")

    @property
    def suffixes(self) -> Locator:
        return self.page.get_by_label(re.compile(r"^Suffix \d+$"))

    @property
    def rounds(self) -> Locator:
        return self.page.locator("#rounds label")

    def setting(self, label: str) -> Locator:
        """A field below Settings, which is unfolded when it is not."""
        field = self.page.get_by_label(label, exact=True)
        if not field.is_visible():
            self.page.get_by_role("button", name="Settings").click()
            expect(field).to_be_visible()
        return field

    def ask(self, prompt: str, seeds: str = "0-3", steps: int | None = None) -> None:
        if steps is not None:
            self.setting("Steps").fill(str(steps))
        self.page.get_by_label("Seeds", exact=True).fill(seeds)
        self.prompt.fill(prompt)
        self.prompt.press("Enter")

    def expect_done(self, count: int) -> None:
        """The round is over and holds `count` pictures, all loaded."""
        words = "1 picture in" if count == 1 else f"{count} pictures in"
        expect(self.status).to_contain_text(words, timeout=PATIENCE)
        expect(self.tiles).to_have_count(count)
        expect(self.page.locator("#gallery img[alt$='…']")).to_have_count(0)
        self.page.wait_for_function(
            "[...document.querySelectorAll('#gallery img, #pick img')].every(i => i.complete && i.naturalWidth > 8)"
        )

    def expect_said(self, message: str) -> None:
        """An error message is on the page; it is closed once it was read."""
        toast = self.page.get_by_test_id("toast-body").filter(has_text=message)
        expect(toast.first).to_be_visible()
        for close in self.page.get_by_test_id("toast-close").all():
            close.click()
        expect(self.page.get_by_test_id("toast-body")).to_have_count(0)

    def picture_file(self) -> Path:
        """The shelf's file of the pick."""
        name = self.pick.get_attribute("data-picture")
        (path,) = (self.app.data / "pictures").glob(f"seed-*_{name}.png")
        return path

    def no_sideways_scroll(self) -> None:
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, f"the page is {wide} pixels wider than the window"


class Wire:
    """A client that speaks the page's own protocol, with whatever data it likes."""

    def __init__(self, app: App, session: str) -> None:
        self.base, self.session = app.url + "/gradio_api/", session
        with urllib.request.urlopen(app.url + "/config", timeout=30) as answer:
            config = json.load(answer)
        self.functions = {each["api_name"]: each for each in config["dependencies"]}

    def send(self, function: str, data: list, event: object = None) -> dict:
        """Calls an event of the page; the last message about it: {"success": ..., "output": ...}."""
        try:
            self.join(function, data, event)
        except urllib.error.HTTPError as error:
            return {"success": False, "output": {"error": error.read().decode()}}
        with closing(self.messages()) as messages:
            for message in messages:
                if message["msg"] == "process_completed":
                    return message
        raise AssertionError("the server closed the stream early")

    def join(self, function: str, data: list, event: object = None) -> None:
        """Asks for an event of the page, whose messages are still to be read."""
        body = {
            "fn_index": self.functions[function]["id"],
            "data": data,
            "event_data": event,
            "session_hash": self.session,
        }
        request = urllib.request.Request(
            self.base + "queue/join", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=30).close()

    def messages(self) -> Iterator[dict]:
        """What is told to this session. Closing the iterator drops the connection."""
        with urllib.request.urlopen(self.base + f"queue/data?session_hash={self.session}", timeout=120) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])
