"""The pick beside the picture it came from, in a real browser."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser import Visitor

MODES = ("Picture", "Compare", "Difference")


def pixels(place: Locator) -> np.ndarray:
    """What is seen there, without the rounded corners: height, width, 3."""
    seen = np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("RGB"), dtype=np.int16)
    return seen[8:-8, 8:-8]


def mode(visitor: Visitor, name: str) -> Locator:
    return visitor.pick.get_by_role("radio", name=name)


def two_rounds(visitor: Visitor) -> None:
    visitor.ask("a red fox", seeds="0-1", steps=4)
    visitor.expect_done(2)
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("seed 1")
    # A picture of a first round came from no other one.
    expect(visitor.pick.get_by_role("radio")).to_have_count(0)
    visitor.next.click()
    visitor.expect_done(5)


def choose(visitor: Visitor, at: int, words: str) -> None:
    visitor.tiles.nth(at).click()
    expect(visitor.pick).to_contain_text(words)
    visitor.page.wait_for_function("[...document.querySelectorAll('#pick img')].every(i => i.complete)")


def test_a_pick_is_compared_with_the_picture_it_came_from(visitor):
    two_rounds(visitor)
    frame = visitor.pick.locator(".frame")
    before = pixels(frame)  # the pick of round one
    choose(visitor, 2, "round 2")
    after = pixels(frame)
    assert (before != after).any()
    for name in MODES:
        expect(mode(visitor, name)).to_be_visible()
    expect(mode(visitor, "Picture")).to_be_checked()
    expect(visitor.pick.get_by_role("img")).to_have_count(1)
    # 1. Compare: left of the divider the one, right of it the other, and both are named.
    mode(visitor, "Picture").focus()
    visitor.page.keyboard.press("ArrowRight")
    expect(mode(visitor, "Compare")).to_be_checked()
    expect(visitor.pick.get_by_role("img", name="The picture it came from, round 1")).to_be_visible()
    expect(visitor.pick.locator(".side.before")).to_have_text("round 1")
    expect(visitor.pick.locator(".side.after")).to_have_text(re.compile(r"^round 2 · \w"))
    expect(visitor.pick.locator(".for-compare")).to_contain_text(
        re.compile(r"(Kept|Drifted|Another picture): \d+ % of outline")
    )
    divider = visitor.pick.get_by_role("slider", name="Divider: left of it round 1, right of it round 2")
    box = divider.bounding_box()
    seen, half = pixels(frame), before.shape[1] // 2
    top = slice(0, before.shape[0] // 2 - 40)  # above the grip, and above the names

    def apart(one: np.ndarray, other: np.ndarray, columns: slice) -> float:
        """Mean difference; a picture that stands half a pixel lower is the same picture."""
        return float(np.abs(one - other)[top, columns].mean())

    left, right = slice(0, half - 8), slice(half + 8, None)
    assert apart(seen, before, left) < 1 < apart(seen, after, left)
    assert apart(seen, after, right) < 1 < apart(seen, before, right)
    # 2. By keyboard to the ends: all of one, all of the other.
    divider.focus()
    visitor.page.keyboard.press("End")
    expect(divider).to_have_value("100")
    expect(divider).to_have_attribute("aria-valuetext", "100 % of the picture it came from")
    assert apart(pixels(frame), before, slice(0, -40)) < 1
    visitor.page.keyboard.press("Home")
    assert apart(pixels(frame), after, slice(40, None)) < 1
    visitor.page.keyboard.press("ArrowRight")
    expect(divider).to_have_value("1")
    # 3. By mouse, dragged along the picture.
    middle = box["y"] + box["height"] / 2
    visitor.page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=4)
    visitor.page.mouse.up()
    value = int(divider.input_value())
    assert 70 < value < 85
    cut = frame.evaluate("f => parseFloat(getComputedStyle(f, '::after').left) / f.clientWidth")
    assert cut == pytest.approx(0.75, abs=0.02)  # the line is under the pointer
    # 4. The next pick is compared at once, without another click.
    choose(visitor, 3, "round 2")
    expect(mode(visitor, "Compare")).to_be_checked()
    expect(divider).to_be_visible()
    assert visitor.complaints == []


def test_the_difference_is_black_for_the_control_and_not_for_a_style(visitor):
    two_rounds(visitor)
    frame = visitor.pick.locator(".frame")
    choose(visitor, 0, "round 2")
    mode(visitor, "Difference").check()
    expect(visitor.pick.get_by_text("Black where the two are equal")).to_be_visible()
    expect(visitor.pick.get_by_role("slider")).to_have_count(0)
    assert pixels(frame).max() == 0
    choose(visitor, 1, "round 2")
    expect(mode(visitor, "Difference")).to_be_checked()
    assert pixels(frame).max() > 40


def test_the_number_under_a_tile_says_what_it_is(visitor):
    two_rounds(visitor)
    expect(visitor.captions.nth(0)).to_have_text("control · equal to the pick")
    for at in range(1, 5):
        expect(visitor.captions.nth(at)).to_have_text(re.compile(r" · (kept|drifted|another picture)$"))
        expect(visitor.tiles.nth(at)).to_have_attribute("title", re.compile("outline and placement"))
        expect(visitor.tiles.nth(at)).to_have_attribute("aria-description", re.compile("outline and placement"))
    expect(visitor.tiles.nth(0)).not_to_have_attribute("title", re.compile("."))


def test_a_thumb_moves_the_divider_on_a_phone(visitors):
    visitor = visitors(width=390, height=844, has_touch=True, is_mobile=True)
    two_rounds(visitor)
    visitor.tiles.nth(4).tap()
    expect(visitor.pick).to_contain_text("round 2")
    visitor.pick.get_by_text("Compare", exact=True).tap()
    divider = visitor.pick.get_by_role("slider")
    box = divider.bounding_box()
    assert box["height"] > 300
    divider.tap(position={"x": box["width"] * 0.25, "y": box["height"] / 2})
    assert 15 < int(divider.input_value()) < 30
    for name in MODES:
        assert visitor.pick.locator(".modes").get_by_text(name).bounding_box()["height"] >= 36
    visitor.no_sideways_scroll()
