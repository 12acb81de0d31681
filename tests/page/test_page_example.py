"""The finished example of the empty page, and making it for real."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from pipeline_utils.page.rounds import example
from pipeline_utils.page.rounds.rows import rows
from tests.browser import PATIENCE
from tests.running import BUNDLED

pytestmark = pytest.mark.skipif(not (BUNDLED / "model_index.json").is_file(), reason="the bundled model is not here")


def test_the_empty_page_shows_a_finished_example_and_one_click_makes_it_for_real(visitors):
    visitor = visitors(width=1280, height=720)
    pictures = visitor.page.locator("#empty .thumbnail-item img")
    expect(pictures).to_have_count(9)
    for at in range(9):
        expect(pictures.nth(at)).to_be_in_viewport(ratio=0.5)
    expect(visitor.page.locator("#empty .selected .caption-label")).to_have_text("seed 3")
    expect(visitor.page.locator("#empty .verdict")).to_contain_text("0 of 16,384 pixels differ")
    visitor.page.get_by_role("button", name="Run this example").click()
    compared = re.compile(
        r"9 pictures\. (All 9 are equal to the shipped ones, bit for bit|The shipped .* (machine|weights))"
    )
    expect(visitor.status).to_contain_text(compared, timeout=PATIENCE)
    expect(pictures).to_have_count(0)
    expect(visitor.page.locator("#gallery .thumbnail-item")).to_have_count(9)
    expect(visitor.page.locator("#gallery .selected .caption-label")).to_have_text("seed 3")
    expect(visitor.prompt).to_have_value("a fox")
    assert visitor.complaints == []


def test_the_shipped_pictures_are_whole_and_their_control_is_equal():
    first, second = example.example().rounds
    assert [len(each.tiles) for each in (first, second)] == [4, 5]
    assert second.control == "equal"
    assert example.example().pick in first.tiles.values()
    assert "<button" not in "".join("".join(row) for row in rows(example.example(), live=False))


def test_what_is_made_is_compared_with_the_shipped_pictures_only_where_equal_bits_are_promised():
    tiles = [tile for each in example.example().rounds for tile in each.tiles.values()]
    assert example.found(tiles) == "All 9 are equal to the shipped ones, bit for bit."
    elsewhere = [replace(tile, fingerprint=dict(tile.fingerprint) | {"torch": "1.0"}) for tile in tiles]
    assert "another machine" in example.found(elsewhere)
    others = [replace(tile, recipe=replace(tile.recipe, dtype="bfloat16")) for tile in tiles]
    assert "not compared" in example.found(others)
    swapped = [replace(tiles[0], file=tiles[1].file, id=tiles[1].id), *tiles[1:]]
    assert "1 of 9 differ" in example.found(swapped)
