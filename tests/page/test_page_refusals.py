"""What the page refuses: bad values, models that cannot be had, what a client forges."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.page.test_page import button
from tests.wire import Wire

BAD_FIELDS = [
    ("Steps", "0", "Steps: 0 is not accepted; a whole number from 1 to 500"),
    ("Steps", "-4", "Steps: -4 is not accepted"),
    ("Steps", "2.5", "Steps: 2.5 is not accepted"),
    ("Steps", "100000", "Steps: 100000 is not accepted"),
    ("Guidance", "-1", "Guidance: -1 is not accepted; a number from 0 to 50"),
    ("Guidance", "1e9", "Guidance: 1000000000 is not accepted"),
    ("Width", "33", "Width: 33 is not accepted; a multiple of"),
    ("Height", "0", "Height: 0 is not accepted; a whole number from 16 to 4096"),
    ("Height", "99999", "Height: 99999 is not accepted"),
    ("Seeds", "abc", "Seeds: 'abc' is not accepted; whole numbers from 0 to 4294967295, such as \"0-3\""),
    ("Seeds", "-1", "Seeds: '-1' is not accepted"),
    ("Seeds", "4294967296", "at most 4294967295 for seeds"),
    ("Seeds", "9-3", "a range goes upwards, such as 3-9"),
    ("Seeds", "0-999999", "a round holds at most 64 pictures"),
    ("Seeds", "3, 3", "each seed stands once in a round"),
    ("Seeds", "", "Seeds: it is empty; whole numbers"),
    ("Seeds", "<b id=sneaky>1</b>", "Seeds: '<b id=sneaky>1</b>' is not accepted"),
    ("Prompt", "", "Prompt: it is empty; at least one word is needed"),
    ("Prompt", "a fox " * 400, "at most 2000 characters"),
    ("Prompt", "cat " * 200, "shorten it, or allow cutting long prompts"),
]


def said(answer: dict) -> str:
    assert not answer["success"], answer
    return answer["output"]["error"] or ""


def test_every_bad_value_has_its_own_message_and_nothing_is_lost(visitor):
    page = visitor.page
    visitor.ask("a red fox", steps=3)
    visitor.expect_done(4)
    visitor.tiles.nth(0).click()
    expect(visitor.pick).to_contain_text("seed 0")
    for label, value, message in BAD_FIELDS:
        field = page.get_by_label(label, exact=True)
        before = field.input_value()
        field.fill(value)
        visitor.make.click()
        visitor.expect_said(message)
        expect(field).to_have_value(value)
        field.fill(before)
    assert page.locator("#sneaky").count() == 0
    lists = (([], "0 suffixes"), ([", a", ", a"], "in the list already"), ([" ,"], "remove the empty line"))
    for suffixes, message in lists:
        while visitor.suffixes.count():
            page.get_by_role("button", name=re.compile("^Remove ")).first.click()
        for n, text in enumerate(suffixes):
            page.get_by_label("New suffix").fill(f"style {n}")
            button(visitor, "Add").click()
            visitor.suffixes.nth(n).fill(text)
        visitor.next.click()
        visitor.expect_said(message)
    expect(visitor.tiles).to_have_count(4)
    expect(visitor.pick).to_contain_text("seed 0")
    # A prompt that is too long runs once the visitor says so.
    visitor.prompt.fill("cat " * 200)
    page.get_by_label("Cut prompts that are too long").check()
    visitor.make.click()
    visitor.expect_done(4)


def test_a_model_that_cannot_be_had_leaves_the_page_as_it_was(visitor):
    field = visitor.model
    before = field.input_value()
    for name, message in (
        ("no such model", "is no catalog name"),
        ("/etc/passwd", "model"),
        ("someone/nothing-here", "the model hub cannot be reached"),
    ):
        field.fill(name)
        field.press("Enter")
        visitor.expect_said(message)
        expect(field).to_have_value(before)
    visitor.ask("a red fox", seeds="0", steps=3)
    visitor.expect_done(1)


def test_what_a_client_forges_is_refused(app):
    wire = Wire(app, "forger00001")
    fields = [None, "a red fox", "0-1", "", 3, 5.0, None, None, None, False]

    assert "no pick yet" in said(wire.send("page_next_round", [None, [", artsy"], False]))
    assert "no such picture" in said(wire.send("page_pick", [None], {"index": 0, "value": {}}))
    assert wire.send("page_first_round", fields)["success"]
    for index in (99, 2, -1, "0", None, True, [0], 0.0):
        assert "no such picture" in said(wire.send("page_pick", [None], {"index": index, "value": {}}))
    stale = "seed-0_0123456789abcdef.png"
    assert "Pick again" in said(wire.send("page_pick", [None], {"index": 0, "value": stale}))
    for value in ({}, [], "x", "", None, 7):
        assert "Pick again" in said(wire.send("page_pick", [None], {"index": 0, "value": value}))
    assert said(wire.send("page_show_round", [None, 7])) is not None
    for at, value in ((4, float("nan")), (4, "9"), (5, float("nan")), (8, "Magic"), (1, None), (2, None)):
        forged = [*fields[:at], value, *fields[at + 1 :]]
        said(wire.send("page_first_round", forged))
    newest = max((app.data / "pictures").glob("seed-0_*.png"), key=lambda file: file.stat().st_mtime_ns)
    assert wire.send("page_pick", [None], {"index": 0, "value": newest.name})["success"]
    for suffixes in ("text", None, 7, [7], [", a"] * 2, {"0": ", a"}, ["x" * 10_000]):
        assert "suffix" in said(wire.send("page_next_round", [None, suffixes, False]))
    # Another session has nothing, whatever it says about its state.
    other = Wire(app, "forger00002")
    assert "no such picture" in said(other.send("page_pick", [{"pick": 1}], {"index": 0, "value": stale}))
    assert "An event of the page failed" not in app.log()


def test_what_a_client_forges_about_variations_and_grids_is_refused(app):
    wire = Wire(app, "forger00003")

    assert "no pick yet" in said(wire.send("page_variations", [None, "9", 0.2, False]))
    assert "several seeds" in said(wire.send("page_all_seeds", [None, [", a"], False]))
    assert wire.send("page_first_round", [None, "a forged fox", "0-1", "", 3, 5.0, None, None, None, False])["success"]
    for suffixes in ("text", None, 7, [7], [", a"] * 2, {"0": ", a"}, [f", {n}" for n in range(9)], []):
        assert "suffix" in said(wire.send("page_all_seeds", [None, suffixes, False]))
    newest = max(app.data.glob("**/seed-0_*.png"), key=lambda file: file.stat().st_mtime_ns)
    assert wire.send("page_pick", [None], {"index": 0, "value": newest.name})["success"]
    for seeds in (None, [], "x", "0-99", "1" * 5000):
        assert "seed" in said(wire.send("page_variations", [None, seeds, 0.2, False]))
    for strength in ("0.2", None, float("nan"), -1, 2, [0.2]):
        said(wire.send("page_variations", [None, "9", strength, False]))
    assert "An event of the page failed" not in app.log()
