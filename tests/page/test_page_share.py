"""Links that fill the form, and what is copied at the pick, in a real browser."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from pipeline_utils.picture.picture import read
from pipeline_utils.recipe.recipe import Recipe
from tests.browser import Visitor

# What navigator.clipboard is on plain http on another machine.
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
NO_COPY = NO_CLIPBOARD + "; document.execCommand = () => false"


def opened(visitor: Visitor, pairs: list[tuple[str, object]]) -> None:
    visitor.page.goto(f"{visitor.app.url}/?{urlencode(pairs)}")
    expect(visitor.prompt).to_be_visible(timeout=60_000)


def copy(visitor: Visitor, name: str) -> str:
    button = visitor.page.get_by_role("button", name=name, exact=True)
    button.click()
    expect(visitor.page.locator(".share [role=status]")).to_have_text(f"{name}: copied")
    expect(visitor.page.get_by_role("button", name="Copied").first).to_be_visible()
    return visitor.page.evaluate("navigator.clipboard.readText()")


def test_a_link_to_a_variation_leads_to_the_same_picture(visitors):
    ada = visitors(permissions=["clipboard-read", "clipboard-write"])
    ada.ask("a red fox", seeds="4", steps=3)
    ada.expect_done(1)
    ada.tiles.nth(0).click()
    expect(ada.pick).to_contain_text("seed 4")
    vary(ada, "9", 0.35)
    ada.tiles.nth(1).click()
    expect(ada.pick).to_contain_text("35 % towards seed 9")
    ada.page.wait_for_function("document.querySelector('.share button')?.dataset.text.includes('variation_seed=9')")
    link, first = copy(ada, "Copy link"), read(ada.picture_file()).picture
    ben = visitors()
    ben.page.goto(link)
    expect(ben.page.locator("#link-note")).to_contain_text("make its variation", timeout=60_000)
    ben.make.click()
    ben.expect_done(1)
    ben.tiles.nth(0).click()
    expect(ben.pick).to_contain_text("seed 4")
    vary(ben)
    ben.tiles.nth(1).click()
    expect(ben.pick).to_contain_text("35 % towards seed 9")
    again = read(ben.picture_file()).picture
    assert (again.recipe, again.pixel_sha256) == (first.recipe, first.pixel_sha256)


def vary(visitor: Visitor, seeds: str = "", strength: float = 0.0) -> None:
    """Makes variations of the pick, with what the fields say unless told otherwise."""
    visitor.page.locator("#variations > button").click()
    if seeds:
        visitor.page.get_by_label("Second seeds").fill(seeds)
        number = visitor.page.locator("#strength input[type=number]")
        number.fill(str(strength))
        number.press("Tab")
    visitor.page.get_by_role("button", name="Make variations").click()
    visitor.expect_done(2)


def test_a_link_opens_the_page_with_the_recipe_and_makes_the_same_picture(visitors):
    ada = visitors(permissions=["clipboard-read", "clipboard-write"])
    ada.ask("a red fox & a <b>cup</b>", seeds="4-5", steps=3)
    ada.expect_done(2)
    ada.tiles.nth(1).click()
    expect(ada.pick).to_contain_text("seed 5")
    ada.page.get_by_label("New suffix").fill("in 100 % snow?")
    ada.page.get_by_label("New suffix").press("Enter")
    ada.page.wait_for_function("document.querySelector('.share button')?.dataset.text.includes('snow')")
    link = copy(ada, "Copy link")
    assert link.startswith(ada.app.url + "/?")
    first = read(ada.picture_file()).picture
    # Somebody else opens it: the form is filled, nothing runs, and one press makes the same pixels.
    ben = visitors()
    ben.page.goto(link)
    expect(ben.prompt).to_have_value("a red fox & a <b>cup</b>", timeout=60_000)
    expect(ben.page.get_by_label("Seeds", exact=True)).to_have_value("5")
    expect(ben.make).to_have_text("Make 1 picture")
    expect(ben.setting("Steps")).to_have_value("3")
    expect(ben.suffixes.last).to_have_value(", in 100 % snow?")
    expect(ben.suffixes).to_have_count(ada.suffixes.count())
    expect(ben.page.locator("#link-note")).to_contain_text("Filled in from a link. Nothing has run yet.")
    expect(ben.page.get_by_test_id("toast-body")).to_have_count(0)
    expect(ben.tiles).to_have_count(0)
    ben.make.click()
    ben.expect_done(1)
    ben.tiles.nth(0).click()
    expect(ben.pick).to_contain_text("seed 5")
    assert read(ben.picture_file()).picture.pixel_sha256 == first.pixel_sha256
    assert ada.complaints == ben.complaints == []


def test_the_recipe_that_is_copied_is_one_the_verify_tab_accepts(visitors):
    visitor = visitors(permissions=["clipboard-read", "clipboard-write"])
    visitor.ask("a red fox", seeds="1", steps=3)
    visitor.expect_done(1)
    visitor.tiles.nth(0).click()
    expect(visitor.pick).to_contain_text("seed 1")
    text = copy(visitor, "Copy recipe")
    recipe = read(visitor.picture_file()).picture.recipe
    assert text == recipe.to_json()
    assert Recipe.from_dict(json.loads(text)) == recipe
    script = copy(visitor, "Copy as Python")
    compile(script, "script", "exec")
    assert "a red fox" in script
    visitor.page.get_by_role("tab", name="Verify").click()
    visitor.page.get_by_role("button", name="Or paste a recipe").click()
    visitor.page.get_by_label("Recipe or record, as JSON").fill(text)
    visitor.page.get_by_role("button", name="Check the recipe").click()
    expect(visitor.page.locator("#verdict .verdict")).to_be_visible(timeout=60_000)
    expect(visitor.page.locator("#verdict")).not_to_contain_text("is not accepted")


@pytest.mark.parametrize("missing", [NO_CLIPBOARD, NO_COPY])
def test_copying_works_without_the_clipboard_of_safe_addresses(visitors, missing):
    visitor = visitors(permissions=["clipboard-read", "clipboard-write"])
    visitor.page.evaluate("window.kept = navigator.clipboard")
    visitor.ask("a red fox", seeds="2", steps=2)
    visitor.expect_done(1)
    visitor.tiles.nth(0).click()
    button = visitor.page.get_by_role("button", name="Copy recipe", exact=True)
    expect(button).to_be_visible()
    visitor.page.evaluate(missing)
    button.click()
    if missing == NO_CLIPBOARD:
        expect(visitor.page.get_by_role("button", name="Copied")).to_be_visible()
        text = visitor.page.evaluate("window.kept.readText()")
    else:  # the text itself, selected
        expect(visitor.page.get_by_label("Text to copy")).to_be_focused()
        text = visitor.page.evaluate("getSelection().toString() || document.activeElement.value")
    assert text == read(visitor.picture_file()).picture.recipe.to_json()


def test_a_bad_link_is_told_once_and_its_good_part_is_used(visitors):
    visitor = visitors()
    pairs = [("prompt", "a cup"), ("seeds", "x<i>"), ("num_inference_steps", "900"), ("guidance_scale", "2.5")]
    opened(visitor, [*pairs, ("suffix", ", neon"), ("suffix", ", neon"), ("unknown", "1")])
    expect(visitor.prompt).to_have_value("a cup")
    toast = visitor.page.get_by_test_id("toast-body")
    expect(toast).to_have_count(1)
    for words in (
        "seeds: 'x<i>' is not accepted",
        "num_inference_steps: 900 is not accepted; a whole number",
    ):
        expect(toast).to_contain_text(words)
    expect(toast).to_contain_text("suffix 2: ', neon' is not accepted; it is in the list already")
    expect(visitor.suffixes).to_have_count(1)
    expect(visitor.suffixes.first).to_have_value(", neon")
    expect(visitor.setting("Guidance")).to_have_value("2.5")
    expect(visitor.page.get_by_label("Seeds", exact=True)).to_have_value("0-3")
    assert visitor.complaints == []


def test_a_link_to_another_model_says_how_to_choose_it_and_loads_nothing(app, visitors, tmp_path):
    from tests.tiny import tiny_sd

    visitor = visitors()
    folder = tiny_sd(tmp_path / "tiny-shared")
    pairs = [("prompt", "a cup"), ("model", "local:tiny-shared"), ("num_inference_steps", "7"), ("suffix", ", neon")]
    opened(visitor, pairs)
    note = visitor.page.locator("#link-note")
    expect(note).to_contain_text("It was made with local:tiny-shared")
    expect(note).to_contain_text("choose that model under Model")
    expect(visitor.prompt).to_have_value("a cup")
    field = visitor.model
    before = field.input_value()
    field.fill(str(folder))
    field.press("Enter")
    expect(visitor.status).to_contain_text("tiny-shared: ready in", timeout=120_000)
    expect(note).not_to_contain_text("It was made with")
    expect(visitor.setting("Steps")).to_have_value("7")
    expect(visitor.suffixes).to_have_count(1)
    expect(visitor.suffixes.first).to_have_value(", neon")
    expect(note).to_contain_text("Filled in from a link")
    # Back to the model of this start, for the visitors after this one.
    field.click()
    visitor.page.get_by_role("option", name=before).click()
    expect(visitor.status).not_to_contain_text("tiny-shared")
    expect(visitor.status).to_contain_text("ready in", timeout=120_000)
    expect(note).to_contain_text("It was made with local:tiny-shared")


def test_a_page_without_a_link_says_nothing_of_one(visitor):
    expect(visitor.page.locator("#link-note")).to_be_hidden()
    expect(visitor.page.get_by_role("button", name="Copy link")).to_have_count(0)
