"""Variations, all seeds at once, and the list of suffixes, in a real browser."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from pipeline_utils.picture.picture import read
from tests.browser import Visitor
from tests.page.test_page import EQUAL, button, saved

STEPS = 4


def write_list(visitor: Visitor, *suffixes: str) -> None:
    while visitor.suffixes.count():
        visitor.page.get_by_role("button", name=re.compile("^Remove ")).first.press("Enter")
    for number, suffix in enumerate(suffixes, 1):
        visitor.page.get_by_label("New suffix").fill(suffix)
        visitor.page.get_by_label("New suffix").press("Enter")
        expect(visitor.suffixes).to_have_count(number)


def vary(visitor: Visitor, seeds: str, strength: str) -> None:
    field = visitor.page.get_by_label("Second seeds")
    if not field.is_visible():
        visitor.page.locator("#variations > button").click()
    field.fill(seeds)
    number = visitor.page.locator("#strength input[type=number]")
    number.fill(strength)
    number.press("Tab")
    button(visitor, "Make variations").click()


def first_round(visitor: Visitor, seed: int) -> None:
    """Shows the first round again and picks its picture of this seed."""
    visitor.rounds.filter(has_text="Round 1").click()
    tile = visitor.page.get_by_role("button", name=f"seed {seed}", exact=True)
    tile.click()
    expect(visitor.pick).to_contain_text(f"seed {seed} round 1")


def shelf(visitor: Visitor) -> dict[str, object]:
    """Every picture of the app's shelf, by the words of its recipe that a variation changes."""
    return {file.stem.split("_")[-1]: read(file).picture for file in visitor.app.data.glob("**/seed-*.png")}


def test_variations_lead_from_the_pick_to_other_seeds(visitor):
    page = visitor.page
    expect(page.locator("#vary")).to_be_hidden()
    visitor.ask("a red fox", steps=STEPS)
    visitor.expect_done(4)
    visitor.tiles.nth(3).click()
    expect(visitor.pick).to_contain_text("seed 3")
    other = read(visitor.picture_file()).picture
    visitor.tiles.nth(2).click()
    expect(visitor.pick).to_contain_text("seed 2")
    pick = read(visitor.picture_file()).picture
    # 1. In between: the control, and one picture a second seed.
    vary(visitor, "3, 9", "0.25")
    visitor.expect_done(3)
    control, *turned = (
        re.compile(rf"^{words}") for words in ("control · equal to the pick", "25 % towards seed 3", "25 % ")
    )
    expect(visitor.captions).to_have_text([control, *turned])
    expect(page.locator("#heading")).to_contain_text(EQUAL)
    expect(page.locator("#heading")).to_contain_text("around seed 2")
    visitor.tiles.nth(2).click()
    expect(visitor.pick).to_contain_text("25 % towards seed 9 round 2")
    between = read(visitor.picture_file()).picture
    assert (between.recipe.seed, between.recipe.variation_seed, between.recipe.variation_strength) == (2, 9, 0.25)
    assert (between.lineage.parent, between.lineage.round, between.lineage.control) == (pick.id, 2, False)
    assert between.pixel_sha256 not in (pick.pixel_sha256, other.pixel_sha256)
    # 2. A variation is a pick like any other; between it and yet another seed there is none.
    visitor.next.click()
    visitor.expect_done(1 + visitor.suffixes.count())
    expect(page.locator("#heading")).to_contain_text(EQUAL)
    vary(visitor, "5", "0.5")
    visitor.expect_said("start from one that is not")
    # 3. The ends are the pick and the second seed, bit for bit.
    first_round(visitor, 2)
    for strength, end, caption in (("0", pick, "seed 2"), ("1", other, "seed 3")):
        vary(visitor, "3", strength)
        expect(visitor.captions.nth(1)).to_have_text(
            re.compile(rf"^{caption} · (kept|drifted|another picture)$"), timeout=60_000
        )
        visitor.expect_done(2)
        visitor.tiles.nth(1).click()
        expect(visitor.pick).to_contain_text(f"{caption} round 2")
        made = read(visitor.picture_file()).picture
        assert (made.recipe, made.pixel_sha256) == (end.recipe, end.pixel_sha256)
        first_round(visitor, 2)
    # 4. Random second seeds, with the Enter key; bad ones are refused.
    page.get_by_label("Second seeds").fill("2 random")
    page.get_by_label("Second seeds").press("Enter")
    visitor.expect_done(3)
    for seeds, message in (("x", "Second seeds: 'x' is not accepted"), ("2", "it is the seed of the pick")):
        vary(visitor, seeds, "0.2")
        visitor.expect_said(message)
    assert visitor.complaints == []


def test_one_list_of_suffixes_on_all_seeds_is_a_grid(visitor):
    page = visitor.page
    grid = page.locator("#grid")
    expect(grid).to_be_disabled()
    visitor.ask("a red fox", seeds="0-2", steps=STEPS)
    visitor.expect_done(3)
    expect(grid).to_have_text("On all 3 seeds")
    write_list(visitor, "flat", "neon")
    # 1. A row for each seed, led by its control, in as many columns.
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("seed 1")
    grid.click()
    visitor.expect_done(9)
    words = [f"seed {seed} · {name}" for seed in range(3) for name in ("control · equal to the pick", "flat", "neon")]
    expect(visitor.captions).to_have_text([re.compile(f"^{re.escape(each)}") for each in words])
    expect(page.locator("#heading")).to_contain_text("3 controls and their pictures: equal, bit for bit")
    boxes = [visitor.tiles.nth(n).bounding_box() for n in range(9)]
    assert [len({box["y"] for box in boxes[row : row + 3]}) for row in (0, 3, 6)] == [1, 1, 1]
    assert len({box["y"] for box in boxes}) == 3
    expect(visitor.pick).to_contain_text("seed 1 round 1")
    # 2. Every place has its own parent.
    made = {p.id: p for p in shelf(visitor).values()}
    shown = [
        re.search(r"seed-\d+_\S+_(\w{16})\.png", tile.get_attribute("src"))[1]
        for tile in page.locator("#gallery .shown img").all()
    ]
    for place, picture in enumerate(made[name] for name in shown):
        parent = made[picture.lineage.parent]
        assert parent.recipe.seed == picture.recipe.seed == place // 3
        assert (picture.pixel_sha256 == parent.pixel_sha256) == (place % 3 == 0)
    # 3. The labelled sheet and the zip.
    name, data = saved(visitor, button(visitor, "Contact sheet").click)
    assert name == "round-2_3-seeds.png"
    sheet = Image.open(io.BytesIO(data))
    assert sheet.width > sheet.height - 100 > 3 * 256
    name, data = saved(visitor, button(visitor, "All as zip").click)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert (name, len(archive.namelist())) == ("round-2_3-seeds.zip", 9)
    # 4. A column of the grid leads on: the pick's style on all seeds, and one more.
    visitor.tiles.nth(4).click()
    expect(visitor.pick).to_contain_text("a red fox, flat")
    expect(grid).to_have_text("On all 3 seeds")
    write_list(visitor, "sepia")
    grid.click()
    visitor.expect_done(6)
    expect(page.locator("#heading")).to_contain_text("a red fox, flat")
    expect(visitor.captions.nth(3)).to_have_text(re.compile("^seed 1 · sepia"))
    # 5. Eight suffixes are the most; a round of one seed has none but its own.
    write_list(visitor, *(f"style {n}" for n in range(9)))
    grid.click()
    visitor.expect_said("suffixes: '9 suffixes' is not accepted; a grid takes 1 to 8")
    visitor.ask("a red fox", seeds="5", steps=STEPS)
    visitor.expect_done(1)
    expect(grid).to_be_disabled()
    assert visitor.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_grid_and_variations_fit_a_phone(visitors, scheme):
    visitor = visitors(width=390, height=844, color_scheme=scheme, has_touch=True, is_mobile=True)
    visitor.ask("a red fox", seeds="0-1", steps=3)
    visitor.expect_done(2)
    visitor.page.get_by_text("Your sets").tap()
    visitor.page.locator("#variations > button").tap()
    expect(visitor.page.get_by_label("Second seeds")).to_be_visible()
    visitor.no_sideways_scroll()
    write_list(visitor, "flat", "neon")
    visitor.page.locator("#grid").tap()
    visitor.expect_done(6)
    visitor.no_sideways_scroll()
    left = [visitor.tiles.nth(n).bounding_box()["x"] for n in range(6)]
    assert left[0] == left[3] == min(left)  # every row begins at the left
