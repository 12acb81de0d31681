"""The page for everyone: by keyboard alone, and what axe-core finds, in both themes, wide and narrow."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

from tests.browser import PATIENCE, Visitor

SEEN = {"Tree": "#tree", "Shelf": "#shelf", "Verify": "#verify-intro", "Proof": "#proof-intro"}
EQUAL = "The pick again: equal, bit for bit"


def violations(visitor: Visitor, state: str) -> list[str]:
    """What axe-core calls serious or critical, each with the first element it is about."""
    # Colours are judged once their transitions are over.
    visitor.page.evaluate(
        """Promise.all(document.getAnimations().filter((each) => each.effect.getTiming().iterations !== Infinity)
          .map((each) => each.finished.catch(() => null))).then(() => null)"""
    )
    found = Axe().run(visitor.page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{state}: {each['id']} ({each['impact']}): {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_any_state(visitors, scheme, width):
    visitor = visitors(width=width, color_scheme=scheme)
    found = violations(visitor, "empty")
    visitor.setting("Sampler")
    found += violations(visitor, "settings")
    visitor.ask("a red fox", seeds="0-31", steps=200)
    expect(visitor.status).to_contain_text(re.compile(r"Step \d+ of"), timeout=PATIENCE)
    found += violations(visitor, "running")
    visitor.stop.click()
    expect(visitor.stop).to_be_hidden()
    visitor.ask("fox " * 100, seeds="0-3", steps=2)
    visitor.expect_said("would not see")
    found += violations(visitor, "prompt too long")
    visitor.ask("a red fox", seeds="0-3", steps=2)
    visitor.expect_done(4)
    visitor.tiles.nth(1).click()
    expect(visitor.page.get_by_role("button", name="Copy link")).to_be_visible()
    found += violations(visitor, "picked")
    visitor.next.click()
    visitor.expect_done(5)
    found += violations(visitor, "round two")
    visitor.tiles.nth(2).click()
    expect(visitor.pick).to_contain_text("round 2")
    for mode in ("Compare", "Difference"):
        visitor.pick.get_by_role("radio", name=mode).check()
        found += violations(visitor, mode)
    visitor.no_sideways_scroll()
    for name in SEEN:
        open_tab(visitor, name)
        found += violations(visitor, name)
        visitor.no_sideways_scroll()
    assert not found, "\n".join(found)


def open_tab(visitor: Visitor, name: str) -> None:
    visitor.tab(name).click()
    expect(visitor.page.locator("#tabs .tabitem").filter(visible=True)).to_have_count(1)
    expect(visitor.page.locator(SEEN[name])).to_be_visible()


def test_axe_is_awake(visitor):
    visitor.page.evaluate("document.body.append(document.createElement('button'))")
    assert any("button-name" in each for each in violations(visitor, "empty"))


def has_visible_focus(place: Locator) -> bool:
    """An outline or a ring round what has the focus, or round what shows for it."""
    return place.evaluate(
        """(element) => {
          const ringed = (node) => {
            const style = getComputedStyle(node);
            const outline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
            return outline || /0px 0px 0px [1-9]/.test(style.boxShadow);
          };
          const shown = [element, element.nextElementSibling];
          for (let node = element.parentElement; node && shown.length < 5; node = node.parentElement) shown.push(node);
          return shown.some((node) => node && ringed(node));
        }"""
    )


def tab_to(visitor: Visitor, wanted: Locator, backwards: bool = False) -> None:
    """Presses Tab until `wanted` has the focus; every stop on the way shows that it has it."""
    for _ in range(100):
        if wanted.count() and wanted.evaluate("element => element === document.activeElement"):
            return
        visitor.page.keyboard.press("Shift+Tab" if backwards else "Tab")
        here = visitor.page.locator(":focus")
        if here.count():
            assert has_visible_focus(here), f"no visible focus on {here.evaluate('e => e.outerHTML')[:300]}"
    raise AssertionError(f"{wanted} is not reached by Tab")


def test_two_rounds_and_a_third_pick_by_keyboard_alone(visitor):
    page, keys = visitor.page, visitor.page.keyboard
    # 1. The prompt has the focus from the start; Enter makes the pictures.
    expect(visitor.prompt).to_be_focused()
    keys.type("a red fox")
    tab_to(visitor, page.get_by_role("button", name="Settings"))
    keys.press("Enter")
    tab_to(visitor, page.get_by_label("Steps", exact=True))
    keys.press("ControlOrMeta+a")
    keys.type("3")
    tab_to(visitor, visitor.make, backwards=True)
    keys.press("Enter")
    visitor.expect_done(4)
    # 2. To the gallery, along it with the arrow keys, and Enter picks.
    tab_to(visitor, visitor.tiles.nth(0))
    for key, at in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 3), ("ArrowRight", 3), ("Home", 0)):
        keys.press(key)
        expect(visitor.tiles.nth(at)).to_be_focused()
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    keys.press("Enter")
    expect(visitor.pick).to_contain_text("seed 2")
    expect(visitor.tiles.nth(2)).to_be_focused()
    # 3. A suffix is edited, one is added.
    tab_to(visitor, visitor.suffixes.nth(0), backwards=True)
    keys.press("ControlOrMeta+a")
    keys.type(", pencil sketch")
    tab_to(visitor, page.get_by_label("New suffix"))
    keys.type("at night")
    keys.press("Enter")
    expect(visitor.suffixes.last).to_have_value(", at night")
    count = visitor.suffixes.count()
    # 4. The second round, and a pick from it.
    tab_to(visitor, visitor.next)
    keys.press("Enter")
    visitor.expect_done(count + 1)
    expect(page.locator("#heading")).to_contain_text(EQUAL)
    tab_to(visitor, visitor.tiles.nth(0))
    keys.press("ArrowRight")
    keys.press("Enter")
    expect(visitor.pick).to_contain_text("a red fox, pencil sketch")
    # 5. The pick beside the one it came from, and a link to it.
    tab_to(visitor, visitor.pick.get_by_role("radio", name="Picture"))
    keys.press("ArrowRight")
    expect(visitor.pick.get_by_role("radio", name="Compare")).to_be_checked()
    tab_to(visitor, visitor.pick.get_by_role("slider"))
    keys.press("ArrowRight")
    expect(visitor.pick.get_by_role("slider")).to_have_value("51")
    tab_to(visitor, page.get_by_role("button", name="Copy link"))
    keys.press("Enter")
    expect(page.get_by_role("button", name=re.compile("Copied|Press Ctrl"))).to_be_visible()
    assert visitor.complaints == []


def test_arrow_keys_go_up_and_down_between_the_rows_of_a_narrow_gallery(visitors):
    visitor = visitors(width=390)
    visitor.ask("a red fox", seeds="0-4", steps=2)
    visitor.expect_done(5)
    visitor.tiles.nth(1).focus()
    for key, at in (
        ("ArrowDown", 3),
        ("ArrowDown", 4),
        ("ArrowUp", 2),
        ("ArrowUp", 0),
        ("ArrowUp", 0),
        ("ArrowRight", 1),
    ):
        visitor.page.keyboard.press(key)
        expect(visitor.tiles.nth(at)).to_be_focused()
