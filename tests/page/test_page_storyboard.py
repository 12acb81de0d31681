"""The page as a storyboard: what is asked for beside all rounds, a row each, and nothing needed below the fold."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.browser import Visitor


def row(visitor: Visitor, number: int) -> Locator:
    return visitor.page.locator("#gallery .round", has=visitor.page.get_by_text(f"Round {number}"))


def two_rounds(visitor: Visitor) -> None:
    visitor.ask("a red fox", steps=2)
    visitor.expect_done(4)
    visitor.tiles.nth(2).click()
    expect(visitor.next).to_be_enabled()
    visitor.next.click()
    visitor.expect_done(5)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
def test_nine_pictures_and_both_buttons_are_on_screen_after_a_second_round(visitors, width, height):
    visitor = visitors(width=width, height=height)
    two_rounds(visitor)
    pictures = visitor.page.locator("#gallery .thumbnail-item img")
    expect(pictures).to_have_count(9)
    for at in range(9):
        expect(pictures.nth(at)).to_be_in_viewport(ratio=0.99)
    for button in (visitor.make, visitor.next):
        expect(button).to_be_in_viewport(ratio=1)
    boxes = [pictures.nth(at).bounding_box() for at in range(9)]
    assert len({box["y"] for box in boxes[:4]}) == len({box["y"] for box in boxes[4:]}) == 1  # a row each
    widest = max(box["x"] + box["width"] for box in boxes)
    assert widest > 0.9 * width
    visitor.no_sideways_scroll()


def test_the_first_round_stays_with_its_pick_marked_and_the_verdict_joins_the_second_to_it(visitors):
    visitor = visitors(width=1280, height=720)
    two_rounds(visitor)
    first, second = row(visitor, 1), row(visitor, 2)
    expect(first.locator(".selected .caption-label")).to_have_text("seed 2")
    pixels = "0 of 16,384 pixels differ" if visitor.app.model.name == "emoji-sd" else "0 of 1,024 pixels differ"
    expect(second.locator(".verdict")).to_contain_text(f"The pick again: equal, bit for bit · {pixels}")
    expect(second.locator(".caption-label").first).to_have_text("control · equal to the pick")
    # The line on the verdict begins below the picked picture.
    end = second.locator(".verdict").evaluate(
        "(it) => it.getBoundingClientRect().left + parseFloat(getComputedStyle(it, '::after').width)"
    )
    box = first.locator(".selected").bounding_box()
    assert box["x"] < end < box["x"] + box["width"]
    # Any picture of any row is the next pick; nothing but the mark moves.
    first.get_by_role("button", name="seed 0").click()
    expect(visitor.pick).to_contain_text("seed 0 round 1")
    expect(first.locator(".selected .caption-label")).to_have_text("seed 0")
    expect(visitor.page.locator("#next-box .picked")).to_contain_text("Seed 0")
    expect(second).to_be_in_viewport()


def test_older_rows_shrink_and_a_round_opens_right_below_the_one_it_comes_from(visitors):
    visitor = visitors(width=1280, height=720)
    two_rounds(visitor)
    large = row(visitor, 1).locator("img").first.bounding_box()["width"]
    visitor.tiles.nth(1).click()
    expect(visitor.next).to_have_text("Third round")
    visitor.next.click()
    expect(visitor.rounds).to_have_text(["Round 1", "Round 2 · seed 2", "Round 3 · seed 2"])
    visitor.expect_done(5)
    assert row(visitor, 1).locator("img").first.bounding_box()["width"] < large / 2
    # A small picture is picked as a large one is; what is made of it stands below its round.
    row(visitor, 1).locator(".thumbnail-item").nth(3).click()
    expect(visitor.pick).to_contain_text("seed 3 round 1")
    visitor.next.click()
    expect(visitor.rounds).to_have_text(["Round 2 · seed 2", "Round 3 · seed 2", "Round 1", "Round 2 · seed 3"])


def test_arrow_keys_lead_from_round_to_round(visitors):
    visitor = visitors(width=1280, height=720)
    two_rounds(visitor)
    visitor.tiles.nth(0).focus()
    visitor.page.keyboard.press("ArrowUp")
    tile = row(visitor, 1).locator(".thumbnail-item").first
    expect(tile).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(visitor.pick).to_contain_text("seed 0 round 1")
    expect(tile).to_be_focused()


def test_a_phone_has_it_in_the_same_order_with_the_next_button_at_the_thumb(visitors):
    visitor = visitors(width=390, height=844, has_touch=True, is_mobile=True)
    two_rounds(visitor)
    expect(visitor.next).to_be_in_viewport(ratio=1)
    visitor.page.mouse.wheel(0, -9000)
    expect(visitor.prompt).to_be_in_viewport()
    expect(visitor.next).to_be_in_viewport(ratio=1)
    parts = [visitor.page.locator(each) for each in ("#prompt", "#make", "#next-box .picked", "#suffixes")]
    tops = [each.bounding_box()["y"] for each in (*parts, row(visitor, 1), row(visitor, 2))]
    assert tops == sorted(tops)
    visitor.no_sideways_scroll()


def test_a_reload_finds_the_page_as_it_was_and_goes_on_with_the_round_that_was_running(visitors):
    visitor = visitors(width=1280, height=720)
    two_rounds(visitor)
    visitor.prompt.fill("a blue cup")
    visitor.page.get_by_label("Seeds", exact=True).fill("2 random")
    visitor.setting("Steps").fill("150")
    visitor.setting("Steps").press("Tab")
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("round 2")
    visitor.page.reload()
    expect(visitor.tiles).to_have_count(5)
    expect(row(visitor, 1).locator(".thumbnail-item")).to_have_count(4)
    expect(visitor.pick).to_contain_text("round 2")
    expect(visitor.prompt).to_have_value("a blue cup")
    expect(visitor.page.get_by_label("Seeds", exact=True)).to_have_value("2 random")
    expect(visitor.setting("Steps")).to_have_value("150")
    visitor.make.click()
    expect(visitor.tiles).to_have_count(2)
    expect(visitor.captions.first).to_contain_text("…")
    seeds = [text.removesuffix(" …") for text in visitor.captions.all_inner_texts()]
    visitor.page.reload()
    visitor.expect_done(2)
    expect(visitor.captions).to_have_text(seeds)
    expect(visitor.rounds).to_have_count(3)
    assert visitor.complaints == []


def test_what_is_asked_for_and_the_buttons_of_the_shelf_stay_in_sight_on_a_long_page(visitors):
    visitor = visitors(width=1280, height=600)
    visitor.ask("a red fox", seeds="0-15", steps=1)
    visitor.expect_done(16)
    visitor.tiles.nth(15).click()
    expect(visitor.pick).to_contain_text("seed 15")
    visitor.page.mouse.wheel(0, 9000)
    visitor.page.get_by_role("button", name="Copy link").scroll_into_view_if_needed()
    assert visitor.page.evaluate("scrollY") > 100
    expect(visitor.prompt).to_be_in_viewport()
    visitor.tab("Shelf").click()
    tile = visitor.tile("a red fox, seed 0").first
    tile.get_by_role("checkbox").check()
    visitor.page.evaluate("scrollTo(0, 0)")
    expect(visitor.page.get_by_role("button", name="Delete", exact=True)).to_be_in_viewport()


def test_a_grid_of_some_seeds_says_which(visitor):
    visitor.ask("a red fox", seeds="5-10", steps=1)
    visitor.expect_done(6)
    visitor.tiles.nth(5).click()
    expect(visitor.page.locator("#grid")).to_have_text("On 4 of 6 seeds")
    expect(visitor.page.locator("#next-box .picked")).to_contain_text("In a grid: seed 5, seed 6, seed 7, seed 10.")
