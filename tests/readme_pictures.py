"""Makes the README's pictures and its animation from the real page: `make pictures`. Seeds and prompt are fixed.

python -m tests.readme_pictures                  assets/readme
python -m tests.readme_pictures --example        assets/example, the empty page's pictures
python -m tests.readme_pictures --screenshots    screenshots: every state, wide and narrow, light and dark
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from pipeline_utils.engine.pool import Models
from pipeline_utils.models import runtime
from pipeline_utils.page.rounds.example import FOLDER as EXAMPLE
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.studio import Made, Studio
from tests.browser import PATIENCE, Visitor, chromium
from tests.running import BUNDLED, ROOT, App, running

PROMPT, PICK, STYLE = "a fox", 3, 2
PLACE = ROOT / "assets" / "readme"
SHOTS = ROOT / "screenshots"
MOST = 1_500_000  # bytes of the animation
WIDE, HIGH, SHOWN = 1120, 760, 900  # the window of the animation, and the width it is shown at


def save(shot: bytes, name: str) -> None:
    PLACE.mkdir(exist_ok=True)
    Image.open(io.BytesIO(shot)).convert("RGB").save(PLACE / name, "WEBP", quality=88, method=6)


def visit(browser: Browser, app: App, **more) -> Visitor:
    page = browser.new_context(**more).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(app.url)
    visitor = Visitor(page, app)
    expect(visitor.prompt).to_be_visible(timeout=60_000)
    return visitor


def pick(visitor: Visitor, at: int) -> None:
    visitor.tiles.nth(at).click()
    expect(visitor.next).to_be_enabled(timeout=PATIENCE)
    expect(visitor.page.get_by_role("button", name="Copy link")).to_be_visible()


def pictures(browser: Browser, app: App) -> None:
    visitor = visit(browser, app, viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
    page = visitor.page
    visitor.ask(PROMPT)
    visitor.expect_done(4)
    save(page.locator("#gallery .shown").screenshot(), "round-one.webp")
    pick(visitor, PICK)
    visitor.next.click()
    visitor.expect_done(5)
    save(page.locator("#gallery .shown").screenshot(), "round-two.webp")
    page.mouse.move(0, 0)
    save(page.screenshot(full_page=True), "page.webp")


class Film:
    """Frames of a page, each with how long it stands, in milliseconds."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.times: list[int] = []
        # A pointer, since a screenshot has none.
        page.evaluate(
            """() => {
              const dot = document.createElement("div");
              dot.id = "film-pointer";
              dot.style.cssText = "position:fixed;z-index:99999;width:22px;height:22px;margin:-11px;border-radius:50%;"
                + "background:#bb3d1e99;box-shadow:0 0 0 2px #fff;pointer-events:none;left:-50px;top:0";
              document.body.append(dot);
            }"""
        )

    def shoot(self, milliseconds: int) -> None:
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        image = image.resize((SHOWN, round(image.height * SHOWN / image.width)), Image.Resampling.LANCZOS)
        if self.frames and image.tobytes() == self.frames[-1].tobytes():
            self.times[-1] += milliseconds
        else:
            self.frames.append(image)
            self.times.append(milliseconds)

    def point(self, x: float, y: float) -> None:
        self.page.mouse.move(x, y)
        self.page.evaluate(
            "place => Object.assign(document.getElementById('film-pointer').style, place)",
            {"left": f"{x}px", "top": f"{y}px"},
        )

    def click(self, place: Locator) -> None:
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        self.point(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.shoot(450)
        self.page.mouse.down()
        self.page.mouse.up()

    def watch(self, done: re.Pattern, milliseconds: int) -> None:
        """Shoots until the status says `done`; what was seen then takes `milliseconds` altogether."""
        first, until = len(self.frames), time.monotonic() + PATIENCE / 1000
        while not done.search(self.page.locator("#status").inner_text()):
            assert time.monotonic() < until, "the round is not done"
            self.shoot(1)
        seen = len(self.frames) - first
        self.times[first:] = [max(40, milliseconds // max(1, seen))] * seen

    def scroll(self, to: str, block: str) -> None:
        """Moves there in a few steps, as a hand does."""
        start, end = self.page.evaluate(
            """([to, block]) => {
              const before = scrollY;
              document.querySelector(to).scrollIntoView({ block, behavior: "instant" });
              const after = scrollY;
              scrollTo({ top: before, behavior: "instant" });
              return [before, after];
            }""",
            [to, block],
        )
        for part in (0.15, 0.5, 0.85, 1):
            self.page.evaluate("top => scrollTo({ top, behavior: 'instant' })", start + (end - start) * part)
            self.shoot(60)

    def save(self, file: Path) -> None:
        """The best quality that stays below MOST bytes."""
        file.parent.mkdir(exist_ok=True)
        for quality in (80, 65, 50, 35, 20):
            data = io.BytesIO()
            self.frames[0].save(
                data,
                "WEBP",
                save_all=True,
                append_images=self.frames[1:],
                duration=self.times,
                loop=0,
                quality=quality,
                method=4,
                minimize_size=True,
            )
            if data.tell() <= MOST:
                break
        file.write_bytes(data.getvalue())
        print(f"{file.name}: {len(self.frames)} frames, {sum(self.times) / 1000:.1f} s, {data.tell():,} bytes")


def animation(browser: Browser, app: App) -> None:
    """Typing a prompt, pictures growing, a pick, its second round, and the slider between the two."""
    visitor = visit(browser, app, viewport={"width": WIDE, "height": HIGH}, reduced_motion="reduce")
    page = visitor.page
    film = Film(page)
    film.shoot(500)
    visitor.prompt.click()
    for letter in PROMPT:
        page.keyboard.type(letter)
        film.shoot(90)
    film.shoot(300)
    page.keyboard.press("Enter")
    film.watch(re.compile("4 pictures in"), 1800)
    visitor.expect_done(4)
    film.shoot(400)
    film.click(visitor.tiles.nth(PICK))
    expect(visitor.next).to_be_enabled(timeout=PATIENCE)
    film.shoot(300)
    film.click(visitor.next)
    film.watch(re.compile("5 pictures in"), 1800)
    visitor.expect_done(5)
    film.shoot(700)
    film.click(visitor.tiles.nth(STYLE))
    expect(visitor.pick).to_contain_text("round 2")
    film.shoot(200)
    film.scroll("#pick-box", "start")
    film.click(visitor.pick.get_by_text("Compare", exact=True))
    divider = visitor.pick.get_by_role("slider")
    box = divider.bounding_box()
    middle = box["y"] + box["height"] / 2
    film.point(box["x"] + box["width"] / 2, middle)
    film.shoot(300)
    page.mouse.down()
    for part in (0.6, 0.72, 0.84, 0.72, 0.55, 0.38, 0.22, 0.12, 0.25, 0.4, 0.5):
        film.point(box["x"] + box["width"] * part, middle)
        film.shoot(110)
    page.mouse.up()
    film.shoot(900)
    film.save(PLACE / "rounds.webp")


def screenshots(browser: Browser, app: App) -> None:
    """Every state of the page, as files: screenshots/empty-1280-light.png and so on."""
    SHOTS.mkdir(exist_ok=True)
    for width, height in ((1280, 720), (1920, 1080), (390, 844)):
        for scheme in ("light", "dark"):
            visitor = visit(browser, app, viewport={"width": width, "height": height}, color_scheme=scheme)
            page = visitor.page

            def shoot(state: str, page: Page = page, name: str = f"{width}-{scheme}") -> None:
                page.mouse.move(0, 0)
                page.screenshot(path=SHOTS / f"{state}-{name}.png", full_page=True)

            shoot("empty")
            visitor.ask(PROMPT, steps=60)
            expect(visitor.status).to_contain_text(re.compile(r"Step (2\d|3\d|4\d) of"), timeout=PATIENCE)
            shoot("running")
            visitor.stop.click()
            expect(visitor.stop).to_be_hidden()
            visitor.ask(PROMPT, steps=12)
            visitor.expect_done(4)
            pick(visitor, PICK)
            shoot("picked")
            visitor.next.click()
            visitor.expect_done(5)
            shoot("round-two")
            visitor.tiles.nth(STYLE).click()
            expect(visitor.pick).to_contain_text("round 2")
            visitor.pick.get_by_text("Compare", exact=True).click()
            shoot("compare")
            for tab in ("Tree", "Shelf", "Verify", "Proof"):
                open_tab(visitor, tab)
                shoot(tab.lower())
            page.context.close()


def open_tab(visitor: Visitor, name: str) -> None:
    page = visitor.page
    visitor.tab(name).click()
    seen = {"Tree": "#tree .leaf", "Shelf": "#shelf li[data-id]"}.get(name, f"#{name.lower()}-intro")
    expect(page.locator(seen).first).to_be_visible(timeout=60_000)
    page.wait_for_function("[...document.images].every((image) => image.complete)")


def example(data: Path) -> None:
    """The pictures of the empty page, in float32, which every machine has: assets/example/round-1-0.png and so on."""
    settings = Settings(model="emoji-sd", data=data, dtype="float32")
    studio = Studio(settings, Models(settings, runtime.start(settings)), Shelf(data / "pictures"))
    first = sorted((each for each in studio.first_round(Ask(PROMPT)) if isinstance(each, Made)), key=lambda e: e.index)
    suffixes = studio.models.spec(settings.model).suffixes
    second = [each for each in studio.second_round(first[PICK].picture, suffixes) if isinstance(each, Made)]
    for number, made in enumerate((first, second), 1):
        for each in made:
            (EXAMPLE / f"round-{number}-{each.index}.png").write_bytes(each.file.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--screenshots", action="store_true", help="every state of the page, into screenshots")
    parser.add_argument("--example", action="store_true", help="the pictures of the empty page")
    wanted = parser.parse_args()
    if wanted.example:
        with tempfile.TemporaryDirectory() as data:
            example(Path(data))
        return
    with (
        tempfile.TemporaryDirectory() as data,
        sync_playwright() as playwright,
        running(BUNDLED, Path(data), fresh=True) as app,
    ):
        browser = chromium(playwright)
        if wanted.screenshots:
            screenshots(browser, app)
        else:
            pictures(browser, app)
            animation(browser, app)


if __name__ == "__main__":
    sys.exit(main())
