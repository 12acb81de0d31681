"""A real browser in front of the real app: fixtures, and a visitor with the verbs of a person."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, expect, sync_playwright

from tests.running import BUNDLED, App, running, start, stop

PATIENCE = 120_000  # milliseconds a round may take where the machine is busy
A_MINUTE = 60_000  # and anything else
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


@pytest.fixture(scope="session")
def model(tiny_sd_folder: Path) -> Path:
    """The bundled model; a tiny one where a checkout does without it."""
    return BUNDLED if (BUNDLED / "model_index.json").is_file() else tiny_sd_folder


@pytest.fixture(scope="session")
def app(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(model, tmp_path_factory.mktemp("app") / "data", fresh=True) as found:
        yield found


def chromium(playwright: Playwright) -> Browser:
    """The system's Chromium, or Playwright's own."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None and not Path(playwright.chromium.executable_path).exists():
        message = "No Chromium here: apt-get install chromium, or playwright install chromium."
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    expect.set_options(timeout=A_MINUTE)
    return playwright.chromium.launch(executable_path=program, args=FLAGS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = chromium(playwright)
        yield found
        found.close()


class Arrivals:
    """Opens the page as visitors do, each with cookies and a window of their own."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.contexts: list[BrowserContext] = []

    def visit(self, app: App, page: Page | None = None, width: int = 1280, height: int = 900, **more) -> Visitor:
        """page: of a context that is there. more: of a new context."""
        if page is None:
            context = self.browser.new_context(viewport={"width": width, "height": height}, **more)
            context.set_default_timeout(A_MINUTE)
            self.contexts.append(context)
            page = context.new_page()
        visitor = Visitor(page, app)
        visitor.page.goto(app.url)
        expect(visitor.prompt).to_be_visible()
        return visitor

    def leave(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.fixture
def arrivals(browser: Browser) -> Iterator[Arrivals]:
    found = Arrivals(browser)
    yield found
    found.leave()


@pytest.fixture(scope="session")
def regular(browser: Browser) -> BrowserContext:
    """The context of one visitor a test. What it has loaded once it need not load again: half the work of a visit."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(A_MINUTE)
    return context


@pytest.fixture
def visitors(app: App, arrivals: Arrivals, regular: BrowserContext) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors: visitors(), visitors(width=390)."""

    def visit(**more) -> Visitor:
        if more or regular.pages:
            return arrivals.visit(app, **more)
        regular.clear_cookies()
        page = regular.new_page()
        cleaner = regular.new_cdp_session(page)
        cleaner.send("Storage.clearDataForOrigin", {"origin": app.url, "storageTypes": "all"})
        cleaner.detach()
        return arrivals.visit(app, page=page)

    yield visit
    for page in regular.pages:
        page.close()


@pytest.fixture
def visitor(visitors) -> Visitor:
    return visitors()


class Own(Arrivals):
    """An app with a test's own data folder: own.app() starts it, or starts it again; own.visit(app) opens its page."""

    def __init__(self, browser: Browser, model: Path, data: Path) -> None:
        super().__init__(browser)
        self.model, self.data = model, data
        self.running: list[App] = []

    def app(self, **environment: str) -> App:
        self.stop()
        self.running.append(start(self.model, self.data, **environment))
        return self.running[0]

    def stop(self) -> None:
        while self.running:
            stop(self.running.pop())


@pytest.fixture
def own(tiny_sd_folder: Path, tmp_path: Path, browser: Browser) -> Iterator[Own]:
    found = Own(browser, tiny_sd_folder, tmp_path / "data")
    yield found
    found.leave()
    found.stop()


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
        """Those of the round that is shown large."""
        return self.page.locator("#gallery .shown .gallery-item button")

    @property
    def captions(self) -> Locator:
        return self.page.locator("#gallery .shown .caption-label")

    @property
    def pick(self) -> Locator:
        return self.page.get_by_role("region", name="Your pick")

    @property
    def suffixes(self) -> Locator:
        return self.page.get_by_label(re.compile(r"^Suffix \d+$"))

    @property
    def rounds(self) -> Locator:
        """The titles of all rounds on the page."""
        return self.page.locator("#gallery .round-title")

    @property
    def model(self) -> Locator:
        """The field to choose a model in, which is unfolded when it is not."""
        field = self.page.get_by_role("combobox", name="Model")
        if not field.is_visible():
            self.page.get_by_role("button", name="Model").click()
            expect(field).to_be_visible()
        return field

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
        expect(self.page.locator("#gallery .waiting")).to_have_count(0)
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

    def tab(self, name: str) -> Locator:
        found = self.page.get_by_role("tab", name=name, exact=True)
        if not found.is_visible():  # a phone keeps the last tabs in a menu
            self.page.locator(".overflow-menu button").first.click()
            found = self.page.locator(".overflow-dropdown button", has_text=name)
        return found

    def leaf(self, name: str) -> Locator:
        """A picture in the tree, by its alternative text."""
        return self.page.locator("#tree .leaf", has=self.page.get_by_alt_text(name, exact=True))

    def tile(self, name: str) -> Locator:
        """A picture on the shelf, by its alternative text."""
        return self.page.locator("#shelf li[data-id]", has=self.page.get_by_alt_text(name, exact=True))

    def make_two_rounds(self, prompt: str = "a red fox") -> None:
        """Four pictures, and from seed 2 its control and a style."""
        self.ask(prompt, steps=3)
        self.expect_done(4)
        self.tiles.nth(2).click()
        expect(self.pick).to_contain_text("seed 2")
        while self.suffixes.count() > 1:
            self.page.get_by_role("button", name=re.compile("^Remove ")).last.click()
        self.suffixes.first.fill(", neon")
        self.next.click()
        self.expect_done(2)

    def picture_file(self) -> Path:
        """The shelf's file of the pick."""
        name = self.pick.get_attribute("data-picture")
        (path,) = (self.app.data / "pictures").glob(f"seed-*_{name}.png")
        return path

    def no_sideways_scroll(self) -> None:
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, f"the page is {wide} pixels wider than the window"
