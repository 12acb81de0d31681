"""Makes the README's pictures from the real page: `make pictures`. Seeds and prompt are fixed, so are the pictures."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.browser import PATIENCE, ROOT, Visitor, chromium, start, stop
from tests.conftest import BUNDLED

PROMPT, PICK = "a burger", 3
PLACE = ROOT / "assets" / "readme"


def save(shot: bytes, name: str) -> None:
    PLACE.mkdir(exist_ok=True)
    Image.open(io.BytesIO(shot)).convert("RGB").save(PLACE / name, "WEBP", quality=88, method=6)


def main() -> None:
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        app, process = start(BUNDLED, Path(data))
        try:
            page = chromium(playwright).new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
            page.goto(app.url)
            visitor = Visitor(page, app)
            expect(visitor.prompt).to_be_visible(timeout=60_000)
            visitor.ask(PROMPT)
            visitor.expect_done(4)
            save(page.locator("#gallery").screenshot(), "round-one.webp")
            visitor.tiles.nth(PICK).click()
            expect(visitor.next).to_be_enabled(timeout=PATIENCE)
            visitor.next.click()
            visitor.expect_done(5)
            save(page.locator("#gallery").screenshot(), "round-two.webp")
            page.mouse.move(0, 0)
            save(page.screenshot(full_page=True), "page.webp")
        finally:
            stop(process)


if __name__ == "__main__":
    sys.exit(main())
