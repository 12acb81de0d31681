"""Watching a round in a real browser: previews, stopping, looking away, leaving."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

from pipeline_utils.picture.picture import read
from tests.browser import PATIENCE

GROWING = "#gallery .shown img.growing"


def growing(visitor) -> list[int]:
    """The places whose tiles show a preview."""
    return visitor.page.evaluate(
        "[...document.querySelectorAll('#gallery .shown .gallery-item img')]"
        ".flatMap((image, at) => image.classList.contains('growing') ? [at] : [])"
    )


def seeds(visitor) -> list[int]:
    """The seeds in the files that the tiles show, in order."""
    sources = visitor.page.locator("#gallery .shown .gallery-item img").evaluate_all("all => all.map(i => i.src)")
    return [int(found[1]) for source in sources if (found := re.search(r"seed-(\d+)_", source))]


def test_pictures_grow_in_their_tiles_and_a_stop_at_half_keeps_the_finished_ones(visitor):
    """Three calls of eight pictures; stopped in the second."""
    page = visitor.page
    visitor.ask("a red fox", seeds="20-43", steps=150)
    expect(page.locator(GROWING)).to_have_count(8, timeout=PATIENCE)
    assert growing(visitor) == list(range(8))
    expect(visitor.status).to_contain_text("8 of 24 pictures", timeout=PATIENCE)
    expect(page.locator("#gallery .shown .gallery-item").nth(8).locator("img.growing")).to_have_count(
        1, timeout=PATIENCE
    )
    assert growing(visitor) == list(range(8, 16))
    assert seeds(visitor) == list(range(20, 28))
    visitor.stop.click()
    expect(visitor.status).to_contain_text("Stopped; 8 pictures kept", timeout=PATIENCE)
    expect(page.locator(GROWING)).to_have_count(0)
    expect(visitor.captions).to_have_text([f"seed {seed}" for seed in range(20, 28)])
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("seed 21")
    kept = read(visitor.picture_file()).picture
    # The next round starts clean: no old preview, the same bits.
    visitor.ask("a red fox", seeds="23, 21", steps=150)
    expect(page.locator(GROWING)).to_have_count(2, timeout=PATIENCE)
    # The round before shows no preview of this one; this one does again.
    visitor.rounds.nth(0).click()
    expect(visitor.captions).to_have_text([f"seed {seed}" for seed in range(20, 28)])
    expect(page.locator(GROWING)).to_have_count(0)
    visitor.rounds.nth(1).click()
    visitor.expect_done(2)
    expect(page.locator(GROWING)).to_have_count(0)
    assert seeds(visitor) == [23, 21]
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("seed 21")
    assert read(visitor.picture_file()).picture.pixel_sha256 == kept.pixel_sha256


def test_a_closed_tab_leaves_the_model_to_the_others(visitors):
    ada, ben = visitors(), visitors()
    ada.ask("a red fox", seeds="0-63", steps=500)
    expect(ada.page.locator(GROWING)).to_have_count(8, timeout=PATIENCE)
    ben.ask("a blue cup", seeds="0-3", steps=200)
    expect(ben.page.locator(GROWING)).to_have_count(4, timeout=PATIENCE)
    ada.page.close()
    ben.expect_done(4)
    until = time.monotonic() + 60
    while (busy := ben.app.process.cpu_percent(interval=1)) > 25:
        assert time.monotonic() < until, f"the app is still working, at {busy} %"
