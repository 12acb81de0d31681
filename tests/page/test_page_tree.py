"""The tree in a real browser, on real pictures."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from pipeline_utils.picture.picture import read

STYLED = ["control · equal to the pick", re.compile(r"^\s*neon · (kept|drifted|another picture)\s*$")]


def test_the_tree_leads_back_to_every_picture_and_survives_reload_and_restart(own):
    app = own.app()
    visitor = own.visit(app)
    page = visitor.page
    visitor.tab("Tree").click()
    expect(page.locator("#tree")).to_contain_text("Nothing has grown here yet")
    visitor.tab("Rounds").click()
    visitor.make_two_rounds()
    # 1. Every round hangs below its picture; the pick is marked.
    visitor.tab("Tree").click()
    expect(page.locator("#tree .leaf")).to_have_count(6)
    expect(page.locator("#tree .from")).to_have_text(["Round 2 from seed 2"])
    expect(page.locator("#tree .leaf[aria-current]")).to_have_text("seed 2")
    # 2. A node is the pick again, with its round; by keyboard: one Tab stop, arrows, Enter.
    page.locator("#tree summary").focus()
    page.keyboard.press("Tab")
    expect(visitor.leaf("a red fox, seed 2")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    expect(visitor.leaf("a red fox, neon, seed 2")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    expect(visitor.leaf("a red fox, seed 0")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(visitor.pick).to_contain_text("seed 1 round 1")
    expect(visitor.captions).to_have_text(["seed 0", "seed 1", "seed 2", "seed 3"])
    expect(page.locator("#gallery .selected .caption-label")).to_have_text("seed 1")
    # 3. It branches, and the branch is there.
    expect(visitor.next).to_have_text("Second round")
    visitor.next.click()
    visitor.expect_done(2)
    assert read(visitor.picture_file()).picture.recipe.seed == 1
    visitor.tab("Tree").click()
    expect(page.locator("#tree .from")).to_have_text(["Round 2 from seed 1", "Round 2 from seed 2"])
    # 4. A reload finds all rounds, a restart the newest with what it came from; the tree is whole.
    for again in ("reload", "restart"):
        if again == "restart":
            app = own.app(PORT=app.url.rpartition(":")[2])  # what a browser keeps, it keeps for one address
            visitor = own.visit(app, page.context.new_page())
            page = visitor.page
        else:
            page.reload()
        expect(visitor.captions).to_have_text(STYLED, timeout=60_000)
        expect(visitor.pick).to_contain_text("seed 1 round 1")
        expect(visitor.rounds).to_have_count(3 if again == "reload" else 2)
        visitor.tab("Tree").click()
        expect(page.locator("#tree .leaf")).to_have_count(8)
        visitor.leaf("a red fox, neon, seed 2").click()
        expect(visitor.pick).to_contain_text("seed 2 round 2")
        expect(visitor.next).to_have_text("Third round")
    visitor.next.click()
    visitor.expect_done(5)
    assert visitor.complaints == []
    # 5. On this one machine another browser finds the same tree, but an empty desk; so does a phone.
    other = own.visit(app, width=390, height=844)
    expect(other.tiles).to_have_count(0)
    for name in ("Tree", "Shelf"):
        other.tab(name).click()
        expect(other.page.locator(f"#{name.lower()} img").first).to_be_visible()
        other.no_sideways_scroll()
    other.tile("a red fox, seed 0").locator(".open").click()
    expect(other.pick).to_contain_text("seed 0 round 1")


def test_where_the_browser_keeps_nothing_the_page_works_for_the_visit(own):
    app = own.app(SECOND_ROUND_SHELVES="each")
    visitor = own.visit(app)
    context = visitor.page.context
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError') } })"
    )
    visitor = own.visit(app, context.new_page())
    visitor.ask("a red fox", seeds="0", steps=3)
    visitor.expect_done(1)
    visitor.tab("Tree").click()
    visitor.leaf("a red fox, seed 0").click()
    expect(visitor.pick).to_contain_text("seed 0")
