"""The token meters on the page, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from pipeline_utils.models.tokens import Meter
from pipeline_utils.page.tokens.layout import prompt_words, suffix_words, unknown_words
from tests.wire import Wire


def limit_of(text: str) -> int:
    return int(re.search(r"of (\d+) tokens", text)[1])


def test_a_prompt_is_measured_while_it_is_typed_and_what_would_be_cut_is_struck_through(visitor):
    page = visitor.page
    meter, unread = page.locator("#words .words"), page.locator("#words s")
    expect(meter).to_be_hidden()
    visitor.prompt.press_sequentially("a red fox")
    expect(meter).to_have_text(re.compile(r"^\s*5 of \d+ tokens\s*$"))
    limit = limit_of(meter.inner_text())
    visitor.prompt.fill("fox " * (limit - 2))
    expect(meter).to_have_text(f"{limit} of {limit} tokens")
    expect(unread).to_have_count(0)
    visitor.prompt.fill("fox " * (limit - 2) + "red <b>cup</b>")
    expect(unread).to_have_text("red <b>cup</b>")
    expect(meter).to_contain_text("Not read: red")
    expect(unread).to_have_css("text-decoration-line", "line-through")
    visitor.prompt.fill("a red fox")
    expect(unread).to_have_count(0)
    visitor.prompt.fill("")
    expect(meter).to_be_hidden()
    assert visitor.complaints == []


def test_a_style_that_would_be_cut_is_named_before_the_round(visitor):
    page = visitor.page
    meter = page.locator("#suffix-words .words")
    visitor.prompt.fill("a red fox")
    expect(page.locator("#words .words")).to_contain_text("tokens")
    limit = limit_of(page.locator("#words .words").inner_text())
    visitor.ask("fox " * (limit - 8) + "cup", seeds="0", steps=2)
    visitor.expect_done(1)
    expect(meter).to_be_hidden()
    visitor.tiles.nth(0).click()
    expect(meter).to_contain_text("tokens")
    page.get_by_label("New suffix").fill("a red fox with one blue star in the snow")
    page.get_by_label("New suffix").press("Enter")
    row = meter.get_by_role("listitem").filter(has_text="a red fox with one blue star in the snow")
    expect(row.locator("s")).to_have_text(re.compile("star in the snow$"))
    # What is struck through is what the round would refuse.
    struck = row.locator("s").inner_text()
    visitor.next.click()
    visitor.expect_said(f"would not see “{struck}”")
    page.get_by_role("button", name=re.compile("^Remove a red fox with")).click()
    expect(row).to_have_count(0)


def test_words_that_the_bundled_model_was_not_taught_are_named_with_near_ones(visitor):
    page = visitor.page
    said, styles = page.locator("#words .unknown"), page.locator("#suffix-words .unknown")
    visitor.prompt.fill("a zebra and a <b>qwerty</b> on a blue background, neon")
    expect(said).to_have_text(re.compile(r"^zebra: not known; .*\bhorse\b.* · b: not known · qwerty: not known$"))
    visitor.prompt.fill("a picture of a fox on a blue background, neon")
    expect(said).to_have_count(0)
    expect(page.locator("#words .words")).to_contain_text("tokens")
    visitor.ask("a fox", seeds="0", steps=2)
    visitor.expect_done(1)
    visitor.tiles.nth(0).click()
    page.get_by_label("New suffix").fill("neon, cubist")
    page.get_by_label("New suffix").press("Enter")
    expect(styles).to_have_text(re.compile("^cubist: not known"))
    assert visitor.complaints == []


def test_a_model_that_is_not_in_memory_is_not_loaded_to_count_words(app):
    wire, before = Wire(app, "words000001"), len(app.log())  # other tests of this app may have logged what they forged
    answer = wire.send("page_words", [None, "a red fox", [", artsy"]])
    assert answer["success"]
    for forged in ([None, None, None], [None, 7, "x"], [None, "a\x00b", [7]], [None, "x" * 5000, [", y" * 500] * 99]):
        assert wire.send("page_words", forged)["success"]
    assert "An event of the page failed" not in app.log()[before:]
    assert "Traceback" not in app.log()[before:]


def test_of_many_unknown_words_the_first_are_named():
    said = unknown_words({f"w<{n}": ("a", "b") if n == 1 else () for n in range(7)})
    assert "<b>w&lt;0</b>: not known · <b>w&lt;1</b>: not known; a, b · " in said
    assert said.count("not known") == 5
    assert said.endswith(" · and 2 more</p>")
    assert unknown_words({}) == ""


def test_each_encoder_of_several_has_its_own_meter_and_says_what_it_alone_does_not_read():
    both = [Meter("CLIP-L", 80, 77, "at night"), Meter("CLIP-G", 80, 77, "at night"), Meter("T5", 90, 256, "")]
    said = prompt_words(both)
    for words in ("CLIP-L 80 of 77</span>", "CLIP-G 80 of 77</span>", "T5 90 of 256</span> tokens"):
        assert words in said
    assert "Not read by CLIP-L and CLIP-G: <s>at night</s>" in said
    assert said.count("<s>") == 1
    assert prompt_words([]) == suffix_words([]) == ""


def test_styles_with_room_take_one_quiet_line_and_only_those_without_are_listed():
    fits, near = [Meter("Text encoder", 9, 77, "")], [Meter("Text encoder", 76, 77, "")]
    assert "With the longest style: " in suffix_words(
        [(", artsy", fits), (", flat", [Meter("Text encoder", 8, 77, "")])]
    )
    said = suffix_words([(", artsy", fits), (", <i>neon</i>", near)])
    assert "artsy" not in said
    assert "<b>&lt;i&gt;neon&lt;/i&gt;</b>" in said
