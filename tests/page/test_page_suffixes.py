"""The list of suffixes: written, ordered, filled from presets, kept as sets of one's own."""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect

from tests.browser import Visitor
from tests.page.test_page import button
from tests.page.test_page_exploring import STEPS, first_round, write_list


def listed(visitor: Visitor) -> list[str]:
    return [field.input_value() for field in visitor.suffixes.all()]


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
        expect(visitor.page.locator("#heading")).to_contain_text(f"Round 2 · seed {seed}", timeout=60_000)
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
