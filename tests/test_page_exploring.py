"""Variations, all seeds at once, and the list of suffixes, in a real browser."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from pipeline_utils.picture import read
from tests.browser import Visitor, Wire
from tests.test_page import EQUAL, button, saved

STEPS = 4


def listed(visitor: Visitor) -> list[str]:
    return [field.input_value() for field in visitor.suffixes.all()]


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
    visitor.rounds.nth(0).click()
    tile = visitor.page.get_by_role("button", name=f"seed {seed}", exact=True)
    tile.click()
    expect(visitor.pick).to_contain_text(f"seed {seed} round 1")


def shelf(visitor: Visitor) -> dict[str, object]:
    """Every picture of the app's shelf, by the words of its recipe that a variation changes."""
    return {file.stem.split("_")[1]: read(file).picture for file in visitor.app.data.glob("**/seed-*.png")}


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
        expect(visitor.captions.nth(1)).to_have_text(re.compile(rf"^{caption} · \d+ % alike$"), timeout=60_000)
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
    for seeds, message in (("x", "seeds: 'x' is not accepted"), ("2", "it is the seed of the pick")):
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
        re.search(r"seed-\d+_(\w{16})", tile.get_attribute("src"))[1] for tile in page.locator("#gallery img").all()
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


def test_the_same_suffixes_stay_for_another_pick(visitor):
    visitor.ask("a red fox", seeds="0-1", steps=STEPS)
    visitor.expect_done(2)
    write_list(visitor, "flat", " at night")
    for seed in (0, 1):
        if seed == 0:
            visitor.tiles.nth(0).click()
            expect(visitor.pick).to_contain_text("seed 0 round 1")
        else:
            first_round(visitor, seed)
        assert listed(visitor) == [", flat", " at night"]
        visitor.next.click()
        expect(visitor.page.locator("#heading")).to_contain_text(f"Round 2 seed {seed}", timeout=60_000)
        visitor.expect_done(3)
        expect(visitor.captions.nth(1)).to_have_text(re.compile("^flat"))
        expect(visitor.captions.nth(2)).to_have_text(re.compile("^at night"))
    assert listed(visitor) == [", flat", " at night"]


def test_suffixes_are_dragged_into_order_with_the_mouse(visitor):
    write_list(visitor, "one", "two", "three")
    grips = visitor.page.locator(".suffixes .grip")

    def drag(at: int, to: int, end=visitor.page.mouse.up) -> None:
        start, goal = grips.nth(at).bounding_box(), grips.nth(to).bounding_box()
        mouse = visitor.page.mouse
        mouse.move(start["x"] + 5, start["y"] + start["height"] / 2)
        mouse.down()
        below = to > at
        mouse.move(goal["x"] + 5, goal["y"] + goal["height"] * (0.9 if below else 0.1), steps=6)
        end()

    drag(0, 2)
    assert listed(visitor) == [", two", ", three", ", one"]
    drag(2, 1)
    assert listed(visitor) == [", two", ", one", ", three"]
    # Escape leaves it as it was, and so does letting go where it was taken.
    drag(0, 2, end=lambda: visitor.page.keyboard.press("Escape"))
    visitor.page.mouse.up()
    drag(1, 1)
    assert listed(visitor) == [", two", ", one", ", three"]
    # The order is what the next round gets.
    visitor.ask("a red fox", seeds="0", steps=STEPS)
    visitor.expect_done(1)
    visitor.tiles.nth(0).click()
    expect(visitor.next).to_be_enabled()
    visitor.next.click()
    visitor.expect_done(4)
    expect(visitor.captions).to_have_text([re.compile(word) for word in ("^control", "^two", "^one", "^three")])
    assert visitor.complaints == []


def test_presets_are_grouped_by_mood_after_the_words_of_the_model(visitor):
    select = visitor.page.get_by_label("Add a preset")
    groups = select.locator("optgroup")
    expect(groups.first).to_have_attribute("label", "This model")
    labels = [group.get_attribute("label") for group in groups.all()]
    assert {"Calm", "Cozy", "Playful", "Dramatic"} <= set(labels)
    write_list(visitor)
    calm = [option.get_attribute("value") for option in select.locator("optgroup[label=Calm] option").all()]
    select.select_option(calm[1])
    expect(visitor.suffixes).to_have_count(1)
    expect(select.locator(f'option[value="{calm[1]}"]')).to_be_disabled()
    select.select_option(calm[0])  # the whole mood, without what is there
    expect(visitor.suffixes).to_have_count(len(calm) - 1)
    assert listed(visitor) == calm[1:]


def test_own_sets_are_kept_in_this_browser_alone(visitor, visitors):
    page = visitor.page

    def save(name: str) -> None:
        page.get_by_label("Name of the set").fill(name)
        page.get_by_label("Name of the set").press("Enter")

    page.get_by_text("Your sets").click()
    write_list(visitor, "flat", "<b id=sneaky>bold</b>")
    save("Graphic")
    expect(page.get_by_text("Saved Graphic")).to_be_visible()
    write_list(visitor)
    save("Empty")
    expect(page.get_by_text("A set holds 1 to 16 suffixes")).to_be_visible()
    write_list(visitor, "neon")
    save("  ")
    expect(page.get_by_text("Give the set a name first.")).to_be_visible()
    save("Bright")
    # It survives a reload; what is loaded is the list as it was, and can be saved over.
    page.reload()
    expect(visitor.prompt).to_be_visible(timeout=60_000)
    page.get_by_text("Your sets").click()
    expect(page.get_by_role("button", name=re.compile("^Load "))).to_have_count(2)
    button(visitor, "Load Graphic").click()
    expect(visitor.suffixes).to_have_count(2)
    assert listed(visitor) == [", flat", ", <b id=sneaky>bold</b>"]
    assert page.locator("#sneaky").count() == 0
    write_list(visitor, "sepia")
    save("Graphic")
    button(visitor, "Load Bright").press("Enter")
    assert listed(visitor) == [", neon"]
    button(visitor, "Load Graphic").press("Enter")
    assert listed(visitor) == [", sepia"]
    button(visitor, "Delete Graphic").click()
    expect(button(visitor, "Load Graphic")).to_have_count(0)
    # Another visitor has sets of their own.
    other = visitors()
    other.page.get_by_text("Your sets").click()
    expect(other.page.get_by_role("button", name=re.compile("^Load "))).to_have_count(0)
    assert visitor.complaints == []


def test_sets_that_are_not_ours_are_not_read(visitor):
    page = visitor.page
    good = ["Good", [", flat"]]
    bad = [
        7, None, [], ["no list"], ["x", "text"], ["", [", a"]], ["y" * 61, [", a"]], ["empty", []], ["blank", [" , "]],
        ["twice", [", a", ", a"]], ["long", ["a" * 201]], ["many", [f", {n}" for n in range(17)]], ["no text", [7]],
        ["control", [", a\u0007"]], [{"a": 1}, [", a"]], good,
    ]  # fmt: skip
    for kept in ("{", "7", "null", '"text"', json.dumps({"Good": [", a"]}), json.dumps(bad)):
        page.evaluate("(text) => localStorage.setItem('second-round.suffix-sets', text)", kept)
        page.reload()
        expect(visitor.prompt).to_be_visible(timeout=60_000)
        page.get_by_text("Your sets").click()
        expect(page.get_by_label("Name of the set")).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("^Load "))).to_have_count(int(kept == json.dumps(bad)))
    button(visitor, "Load Good").click()
    expect(visitor.suffixes).to_have_count(1)
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


def test_what_a_client_forges_about_variations_and_grids_is_refused(app):
    wire = Wire(app, "forger00003")

    def said(answer: dict) -> str:
        assert not answer["success"], answer
        return answer["output"]["error"] or ""

    assert "no pick yet" in said(wire.send("page_variations", [None, "9", 0.2, False]))
    assert "several seeds" in said(wire.send("page_all_seeds", [None, [", a"], False]))
    assert wire.send("page_first_round", [None, "a forged fox", "0-1", "", 3, 5.0, None, None, None, False])["success"]
    for suffixes in ("text", None, 7, [7], [", a"] * 2, {"0": ", a"}, [f", {n}" for n in range(9)], []):
        assert "suffix" in said(wire.send("page_all_seeds", [None, suffixes, False]))
    newest = max(app.data.glob("**/seed-0_*.png"), key=lambda file: file.stat().st_mtime_ns)
    assert wire.send("page_pick", [None], {"index": 0, "value": {"image": {"path": str(newest)}}})["success"]
    for seeds in (None, [], "x", "0-99", "1" * 5000):
        assert "seed" in said(wire.send("page_variations", [None, seeds, 0.2, False]))
    for strength in ("0.2", None, float("nan"), -1, 2, [0.2]):
        said(wire.send("page_variations", [None, "9", strength, False]))
    assert "An event of the page failed" not in app.log()
