"""The whole job in a real browser, as visitors do it."""

from __future__ import annotations

import io
import re
import time
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from pipeline_utils.picture.picture import read
from tests.browser import PATIENCE, Visitor
from tests.running import running
from tests.wire import Wire

STEPS = 6
EQUAL = "The pick again: equal, bit for bit"


def saved(visitor: Visitor, press) -> tuple[str, bytes]:
    """Name and content of the file that `press` downloads."""
    with visitor.page.expect_download() as download:
        press()
    with open(download.value.path(), "rb") as file:
        return download.value.suggested_filename, file.read()


def button(visitor: Visitor, name: str):
    return visitor.page.get_by_role("button", name=name, exact=True)


def test_two_rounds_and_a_third_from_prompt_to_contact_sheet(visitor):
    page = visitor.page
    # 1. Round one: four pictures, each under its seed; no pick, so no second round.
    expect(visitor.next).to_be_disabled()
    visitor.ask("a red fox", steps=STEPS)
    visitor.expect_done(4)
    expect(visitor.captions).to_have_text(["seed 0", "seed 1", "seed 2", "seed 3"])
    expect(visitor.next).to_be_disabled()
    expect(page.get_by_role("button", name="seed 3", pressed=False)).to_have_count(1)
    # 2. The pick, by keyboard.
    visitor.tiles.nth(1).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(visitor.pick).to_contain_text("seed 2")
    expect(page.get_by_role("button", name="seed 2", pressed=True)).to_be_focused()
    expect(visitor.pick).to_contain_text("a red fox")
    expect(visitor.pick.get_by_role("img")).to_have_attribute("alt", "a red fox, seed 2")
    visitor.pick.get_by_text("Recipe").first.click()
    expect(visitor.pick.get_by_text("Guidance")).to_be_visible()
    # 3. Its PNG comes through the page byte for byte.
    name, data = saved(visitor, button(visitor, "Download PNG").click)
    assert (name, data) == (visitor.picture_file().name, visitor.picture_file().read_bytes())
    picked = read(visitor.picture_file()).picture
    # 4. Suffixes: removed, added with a visible comma, edited, taken from the presets, moved.
    expect(visitor.suffixes.first).to_have_value(re.compile(r"^, "))
    while visitor.suffixes.count():
        page.get_by_role("button", name=re.compile("^Remove ")).first.press("Enter")
    page.get_by_label("New suffix").fill("watercolor")
    page.get_by_label("New suffix").press("Enter")
    expect(visitor.suffixes).to_have_count(1)
    expect(visitor.suffixes.nth(0)).to_have_value(", watercolor")
    page.get_by_label("New suffix").fill(" at night")
    button(visitor, "Add").click()
    page.get_by_label("Add a preset").select_option(", neon")
    expect(visitor.suffixes).to_have_count(3)
    visitor.suffixes.nth(0).fill(", pencil sketch")
    button(visitor, "Move neon up").click()
    expect(button(visitor, "Move neon up")).to_be_focused()
    page.keyboard.press("Enter")
    for place, text in enumerate([", neon", ", pencil sketch", " at night"]):
        expect(visitor.suffixes.nth(place)).to_have_value(text)
    # 5. Round two: the control first, and equal; the pick stays the pick, in its own row.
    visitor.next.click()
    visitor.expect_done(4)
    styled = [
        re.compile(rf"^{name} · (kept|drifted|another picture)$") for name in ("neon", "pencil sketch", "at night")
    ]
    expect(visitor.captions).to_have_text(["control · equal to the pick", *styled])
    expect(page.locator("#heading")).to_contain_text(EQUAL)
    expect(page.locator("#gallery .selected .caption-label")).to_have_text("seed 2")
    expect(page.locator("#gallery .shown .selected")).to_have_count(0)
    expect(visitor.pick).to_contain_text("seed 2 round 1")
    # 6. And again: a picture of round two leads to round three, on the same seed and the longer prompt.
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("a red fox, neon")
    styled = read(visitor.picture_file()).picture
    assert styled.recipe.seed == picked.recipe.seed
    assert (styled.lineage.parent, styled.lineage.suffix) == (picked.id, ", neon")
    expect(visitor.next).to_have_text("Third round")
    visitor.next.click()
    visitor.expect_done(4)
    expect(page.locator("#heading")).to_contain_text("Round 3")
    expect(page.locator("#heading")).to_contain_text("a red fox, neon")
    expect(page.locator("#heading")).to_contain_text(EQUAL)
    # 7. The round on one sheet, and in one zip.
    name, data = saved(visitor, button(visitor, "Contact sheet").click)
    assert name == "round-3_seed-2.png"
    sheet = Image.open(io.BytesIO(data))
    assert sheet.format == "PNG"
    assert min(sheet.size) > 500
    name, data = saved(visitor, button(visitor, "All as zip").click)
    assert name == "round-3_seed-2.zip"
    shelf = visitor.app.data / "pictures"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 4
        for entry in archive.namelist():
            assert archive.read(entry) == (shelf / entry).read_bytes()
    # 8. The round as a script of plain diffusers.
    page.get_by_role("button", name="This round as Python").click()
    expect(page.locator("#python")).to_contain_text("torch.Generator")
    expect(page.locator("#python")).to_contain_text("a red fox, neon, pencil sketch")
    # 9. Back to round one: the pick is still to be had, another one too.
    titles = ("Round 1", "Round 2 · seed 2", "Round 3 · seed 2")
    expect(visitor.rounds).to_have_text([re.compile(rf"^\s*{title}\s*$") for title in titles])
    visitor.rounds.nth(0).click()
    expect(visitor.captions).to_have_text(["seed 0", "seed 1", "seed 2", "seed 3"])
    visitor.tiles.nth(3).click()
    expect(visitor.pick).to_contain_text("seed 3 round 1")
    expect(visitor.next).to_have_text("Second round")
    visitor.rounds.nth(1).click()
    expect(visitor.captions.nth(0)).to_have_text("control · equal to the pick")
    expect(page.locator("#gallery .selected .caption-label")).to_have_text("seed 3")
    expect(page.locator("#gallery .selected .caption-label")).to_have_text("seed 3")
    visitor.next.click()
    visitor.expect_done(4)
    expect(page.locator("#heading")).to_contain_text(EQUAL)
    expect(visitor.rounds).to_have_count(4)
    assert visitor.complaints == []


def test_an_example_fills_the_prompt_and_runs_and_the_button_counts_seeds(visitor):
    example = visitor.page.locator("#examples button").first
    text = example.inner_text()
    visitor.setting("Steps").fill("3")
    visitor.page.get_by_label("Seeds", exact=True).fill("7, 4294967295")
    expect(visitor.make).to_have_text("Make 2 pictures")
    example.click()
    expect(visitor.prompt).to_have_value(text)
    visitor.expect_done(2)
    expect(visitor.captions).to_have_text(["seed 7", "seed 4294967295"])


def test_stop_keeps_what_is_finished_and_the_next_round_starts_clean(visitor):
    visitor.ask("a red fox", seeds="0-63", steps=80)
    expect(visitor.tiles).to_have_count(64, timeout=PATIENCE)
    expect(visitor.make).to_be_disabled()
    expect(visitor.status).to_contain_text("4 of 64 pictures", timeout=PATIENCE)
    # A finished picture can be picked while the others are made; an unfinished one cannot.
    visitor.tiles.nth(63).click()
    visitor.expect_said("not finished yet")
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("seed 1")
    expect(visitor.next).to_be_disabled()
    visitor.stop.click()
    expect(visitor.status).to_contain_text(re.compile(r"Stopped; \d+ pictures kept"))
    expect(visitor.stop).to_be_hidden()
    assert visitor.tiles.count() in range(4, 64, 4)
    assert f"{visitor.tiles.count()} pictures kept" in visitor.status.inner_text()
    expect(visitor.page.locator("#gallery .waiting")).to_have_count(0)
    first = read(visitor.picture_file()).picture
    # The pick outlived the stop; the next round neither remembers a selection nor other pixels.
    expect(visitor.next).to_be_enabled()
    visitor.ask("a red fox", seeds="1", steps=80)
    visitor.expect_done(1)
    expect(visitor.page.locator("#gallery .selected")).to_have_count(0)
    expect(visitor.pick).not_to_contain_text("seed")
    expect(visitor.next).to_be_disabled()
    visitor.tiles.nth(0).click()
    expect(visitor.pick).to_contain_text("seed 1")
    assert read(visitor.picture_file()).picture.pixel_sha256 == first.pixel_sha256


def test_closing_the_page_ends_its_round(visitors):
    visitor = visitors()
    visitor.ask("a red fox", seeds="0-63", steps=500)
    expect(visitor.status).to_contain_text(re.compile(r"Step \d+ of 4000"), timeout=PATIENCE)
    visitor.page.close()
    app, until = visitor.app, time.monotonic() + 60
    while (busy := app.process.cpu_percent(interval=1)) > 25:
        assert time.monotonic() < until, f"the app is still working, at {busy} %"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_sideways_scrolling(visitors, scheme):
    visitor = visitors(width=390, height=844, color_scheme=scheme, has_touch=True, is_mobile=True)
    visitor.no_sideways_scroll()
    visitor.ask("a red fox", seeds="0, 4294967295", steps=3)
    visitor.expect_done(2)
    expect(visitor.tiles.nth(0)).to_be_in_viewport()
    visitor.no_sideways_scroll()
    visitor.tiles.nth(1).tap()
    expect(visitor.pick).to_contain_text("seed 4294967295")
    visitor.no_sideways_scroll()
    tops = [visitor.tiles.nth(n).bounding_box() for n in (0, 1)]
    assert tops[0]["y"] == tops[1]["y"]
    assert tops[0]["x"] < tops[1]["x"]
    assert tops[1]["x"] + tops[1]["width"] <= 390
    visitor.setting("Sampler")
    visitor.no_sideways_scroll()
    # A refused round leaves the view at the field that is wrong.
    visitor.ask("a red fox", seeds="x", steps=3)
    visitor.expect_said("Seeds: 'x' is not accepted")
    expect(visitor.prompt).to_be_in_viewport()


def test_two_visitors_never_see_each_others_pictures(visitors):
    ada, ben = visitors(), visitors()
    ada.ask("a red fox", seeds="0-3", steps=20)
    ben.ask("a blue cup", seeds="4-5", steps=20)
    ada.expect_done(4)
    ben.expect_done(2)
    expect(ada.captions).to_have_text(["seed 0", "seed 1", "seed 2", "seed 3"])
    expect(ben.captions).to_have_text(["seed 4", "seed 5"])
    ben.tiles.nth(0).click()
    expect(ben.pick).to_contain_text("a blue cup")
    expect(ada.pick).not_to_contain_text("seed")
    ada.tiles.nth(0).click()
    expect(ada.pick).to_contain_text("a red fox")
    expect(ben.pick).to_contain_text("seed 4")
    expect(ada.rounds).to_have_count(1)


def test_another_model_brings_its_own_settings(app, visitor, tmp_path):
    from tests.tiny import tiny_sdxl

    page = visitor.page
    field = visitor.model
    before = field.input_value()
    sizes = [visitor.setting("Width").input_value()]
    visitor.suffixes.nth(0).fill(", mine")
    field.fill(str(tiny_sdxl(tmp_path / "tiny-sdxl")))
    field.press("Enter")
    expect(visitor.status).to_contain_text("tiny-sdxl: ready in", timeout=PATIENCE)
    expect(field).to_have_value("local:tiny-sdxl")
    expect(visitor.setting("Width")).to_have_value("64")
    expect(visitor.setting("Sampler")).to_have_value("Euler")
    expect(visitor.suffixes.nth(0)).to_have_value(", highly realistic")
    visitor.ask("a red fox", seeds="0-1", steps=3)
    visitor.expect_done(2)
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("seed 1")
    assert read(visitor.picture_file()).picture.recipe.model == "local:tiny-sdxl"
    # Back to the model of this start; the pick of the other one still leads to its own second round.
    field.click()
    page.get_by_role("option", name=before).click()
    expect(visitor.status).to_contain_text("ready in", timeout=PATIENCE)
    expect(visitor.setting("Width")).to_have_value(sizes[0])
    visitor.next.click()
    visitor.expect_done(5)
    expect(page.locator("#heading")).to_contain_text(EQUAL)
    visitor.ask("a red fox", seeds="0", steps=3)
    visitor.expect_done(1)


def test_pictures_outlive_the_app_and_are_swept_when_asked(tiny_sd_folder, tmp_path):
    data = tmp_path / "data"
    shelf = data / "pictures"
    fields = [None, "a red fox", "0-1", "", 3, 5.0, None, None, None, False]
    with running(tiny_sd_folder, data) as app:
        assert Wire(app, "restarts001").send("page_first_round", fields)["success"]
    assert len(list(shelf.glob("*.png"))) == 2
    with running(tiny_sd_folder, data, SECOND_ROUND_KEEP_HOURS="0.001"):
        until = time.monotonic() + 60
        while list(shelf.glob("*.png")):
            assert time.monotonic() < until, "pictures are not swept"
            time.sleep(0.2)
