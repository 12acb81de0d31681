"""The tree and the shelf in a real browser, on real pictures, and whose they are."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

import pytest
from fuzz_picture import sample_picture
from playwright.sync_api import Browser, expect

from pipeline_utils.picture.picture import read
from pipeline_utils.shelf.shelf import Shelf
from tests.browser import App, Visitor, Wire, start, stop

STEPS = 3
STYLED = ["control · equal to the pick", re.compile(r"^\s*neon · \d+ % alike\s*$")]


def tab(visitor: Visitor, name: str):
    found = visitor.page.get_by_role("tab", name=name, exact=True)
    if not found.is_visible():  # a phone keeps the last tabs in a menu
        visitor.page.locator(".overflow-menu button").first.click()
        found = visitor.page.locator(".overflow-dropdown button", has_text=name)
    return found


def leaf(visitor: Visitor, name: str):
    return visitor.page.locator("#tree .leaf", has=visitor.page.get_by_alt_text(name, exact=True))


def tile(visitor: Visitor, name: str):
    return visitor.page.locator("#shelf li[data-id]", has=visitor.page.get_by_alt_text(name, exact=True))


def two_rounds(visitor: Visitor, prompt: str = "a red fox") -> None:
    """Four pictures, and from seed 2 its control and a style."""
    visitor.ask(prompt, steps=STEPS)
    visitor.expect_done(4)
    visitor.tiles.nth(2).click()
    expect(visitor.pick).to_contain_text("seed 2")
    while visitor.suffixes.count() > 1:
        visitor.page.get_by_role("button", name=re.compile("^Remove ")).last.click()
    visitor.suffixes.first.fill(", neon")
    visitor.next.click()
    visitor.expect_done(2)


@pytest.fixture
def own(tiny_sd_folder, tmp_path, browser: Browser) -> Iterator[type]:
    """Starts apps with this test's own folder, and opens visitors of them: own.app(), own.visit(app)."""
    running, contexts = [], []

    class Own:
        data = tmp_path / "data"

        @staticmethod
        def app(**environment: str) -> App:
            for _, process in running:
                stop(process)
            running[:] = [start(tiny_sd_folder, Own.data, **environment)]
            return running[0][0]

        @staticmethod
        def visit(app: App, context=None, **more) -> Visitor:
            if context is None:
                context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | more)
                contexts.append(context)
                context.set_default_timeout(30_000)
            visitor = Visitor(context.new_page(), app)
            visitor.page.goto(app.url)
            expect(visitor.prompt).to_be_visible(timeout=60_000)
            return visitor

    yield Own
    for context in contexts:
        context.close()
    for _, process in running:
        stop(process)


def test_the_tree_leads_back_to_every_picture_and_survives_reload_and_restart(own):
    app = own.app()
    visitor = own.visit(app)
    page = visitor.page
    tab(visitor, "Tree").click()
    expect(page.locator("#tree")).to_contain_text("Nothing has grown here yet")
    tab(visitor, "Rounds").click()
    two_rounds(visitor)
    # 1. Every round hangs below its picture; the pick is marked.
    tab(visitor, "Tree").click()
    expect(page.locator("#tree .leaf")).to_have_count(6)
    expect(page.locator("#tree .from")).to_have_text(["Round 2 from seed 2"])
    expect(page.locator("#tree .leaf[aria-current]")).to_have_text("seed 2")
    # 2. A node is the pick again, with its round; by keyboard: one Tab stop, arrows, Enter.
    page.locator("#tree summary").focus()
    page.keyboard.press("Tab")
    expect(leaf(visitor, "a red fox, seed 2")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    expect(leaf(visitor, "a red fox, neon, seed 2")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    expect(leaf(visitor, "a red fox, seed 0")).to_be_focused()
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
    tab(visitor, "Tree").click()
    expect(page.locator("#tree .from")).to_have_text(["Round 2 from seed 1", "Round 2 from seed 2"])
    # 4. After a reload the newest round is shown with what it came from; the tree is whole.
    for again in ("reload", "restart"):
        if again == "restart":
            app = own.app(PORT=app.url.rpartition(":")[2])  # what a browser keeps, it keeps for one address
            visitor = own.visit(app, page.context)
            page = visitor.page
        else:
            page.reload()
        expect(visitor.captions).to_have_text(STYLED, timeout=60_000)
        expect(visitor.pick).to_contain_text("seed 1 round 1")
        expect(visitor.rounds).to_have_count(2)
        tab(visitor, "Tree").click()
        expect(page.locator("#tree .leaf")).to_have_count(8)
        leaf(visitor, "a red fox, neon, seed 2").click()
        expect(visitor.pick).to_contain_text("seed 2 round 2")
        expect(visitor.next).to_have_text("Third round")
    visitor.next.click()
    visitor.expect_done(5)
    assert visitor.complaints == []
    # 5. On this one machine another browser finds the same tree, but an empty desk; so does a phone.
    other = own.visit(app, viewport={"width": 390, "height": 844})
    expect(other.tiles).to_have_count(0)
    for name in ("Tree", "Shelf"):
        tab(other, name).click()
        expect(other.page.locator(f"#{name.lower()} img").first).to_be_visible()
        other.no_sideways_scroll()
    tile(other, "a red fox, seed 0").locator(".open").click()
    expect(other.pick).to_contain_text("seed 0 round 1")


def test_pictures_are_found_starred_deleted_brought_back_and_packed(own):
    app = own.app()
    visitor = own.visit(app)
    page, shelf = visitor.page, own.data / "pictures"
    two_rounds(visitor)
    visitor.ask("a blue cup", seeds="7", steps=STEPS)
    visitor.expect_done(1)
    tab(visitor, "Shelf").click()
    tiles = page.locator("#shelf li[data-id]")
    expect(tiles).to_have_count(7)
    expect(tiles.first).to_contain_text("seed 7 a blue cup")
    # 1. Filters.
    words, seed = page.get_by_label("Words in the prompt"), page.get_by_label("Seed", exact=True)
    words.fill("NEON fox")
    expect(tiles).to_have_count(1)
    expect(page.locator("#shelf")).to_contain_text("1 of 7 pictures")
    words.fill("")
    seed.fill("0-1, 7")
    expect(tiles).to_have_count(3)
    seed.fill("x")
    expect(page.locator("#shelf")).to_contain_text("seed: 'x' is not accepted")
    seed.fill("")
    expect(tiles).to_have_count(7)
    page.get_by_label("Model").last.click()
    expect(page.get_by_role("option")).to_have_count(2)
    page.get_by_role("option").last.click()
    expect(tiles).to_have_count(7)
    # 2. A star outlives the page.
    tile(visitor, "a red fox, seed 3").get_by_role("button", name=re.compile("^Star")).click()
    expect(page.get_by_role("button", pressed=True, name="Star a red fox, seed 3")).to_be_visible()
    page.reload()
    expect(visitor.prompt).to_be_visible(timeout=60_000)
    tab(visitor, "Shelf").click()
    page.get_by_label("Only starred").check()
    expect(tiles).to_have_count(1)
    expect(tiles).to_contain_text("seed 3")
    page.get_by_label("Only starred").uncheck()
    expect(tiles).to_have_count(7)
    # 3. A selection as zip.
    for name in ("a red fox, seed 0", "a red fox, seed 2"):
        tile(visitor, name).get_by_role("checkbox").check()
    expect(page.get_by_role("group", name="Selected pictures")).to_contain_text("2 selected")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download zip").click()
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert sorted(name[:7] for name in archive.namelist()) == ["seed-0_", "seed-2_"]
        for entry in archive.namelist():
            assert archive.read(entry) == (shelf / entry).read_bytes()
    # 4. Deleted: off the disk's shelf, the gallery and the pick; its round is a root of its own now.
    tab(visitor, "Rounds").click()
    expect(visitor.pick).not_to_contain_text("seed")
    tab(visitor, "Tree").click()
    leaf(visitor, "a red fox, seed 2").click()
    expect(visitor.pick).to_contain_text("seed 2 round 1")
    tab(visitor, "Shelf").click()
    expect(page.get_by_role("group", name="Selected pictures")).to_contain_text("2 selected")
    before = sorted(path.name for path in shelf.glob("*.png"))
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(tiles).to_have_count(5)
    expect(page.locator("#shelf")).to_contain_text("2 pictures deleted, and kept for 24 hours")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    assert len(list(shelf.glob("*.png"))) == 5
    tab(visitor, "Tree").click()
    expect(page.locator("#tree summary").filter(has_text="its own pick is not on the shelf")).to_have_count(1)
    tab(visitor, "Rounds").click()
    expect(visitor.pick).not_to_contain_text("seed")
    expect(visitor.captions).to_have_text(["seed 1", "seed 3"])
    # 5. Undone, in the old order.
    tab(visitor, "Shelf").click()
    expect(tiles).to_have_count(5)
    page.get_by_role("button", name="Undo").click()
    expect(tiles).to_have_count(7)
    assert sorted(path.name for path in shelf.glob("*.png")) == before
    expect(tiles.first).to_contain_text("seed 7 a blue cup")
    expect(page.locator("#shelf")).to_contain_text("2 pictures are back")
    assert visitor.complaints == []


def test_on_a_shared_host_nobody_sees_anothers_pictures_by_any_way(own):
    app = own.app(HOST="0.0.0.0")
    root = own.data / "pictures"
    ada, ben = own.visit(app), own.visit(app)
    two_rounds(ada)
    two_rounds(ben, "a blue cup")
    (first,) = {path.parent for path in root.glob("*/*.png") if read(path).picture.recipe.prompt.startswith("a red")}
    assert len(list(root.glob("*/*.png"))) == 12
    assert list(root.glob("*.png")) == []
    # 1. Neither in the tree nor on the shelf, and each keeps their own over a reload.
    for visitor, mine, other in ((ada, "a red fox", "a blue cup"), (ben, "a blue cup", "a red fox")):
        visitor.page.reload()
        expect(visitor.captions).to_have_text(STYLED, timeout=60_000)
        for name in ("Tree", "Shelf"):
            tab(visitor, name).click()
            panel = visitor.page.locator(f"#{name.lower()}")
            expect(panel.locator("img")).to_have_count(6)
            expect(panel).to_contain_text(mine)
            expect(panel).not_to_contain_text(other)
    # 2. The token is in no address, file or log.
    token = ada.page.evaluate("localStorage.getItem('second-round-visitor')")
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert token not in ada.page.content()
    assert token not in app.log()
    for path in first.rglob("*"):
        assert token not in str(path)
        assert path.is_dir() or token.encode() not in path.read_bytes()
    # 3. A client with ids, paths and folder names of Ada, but not her token.
    theirs = [path.name[-20:-4] for path in first.glob("*.png")]
    mallory = Wire(app, "mallory00001")
    # With a token of their own, and Ada's ids as what their page is said to show.
    here = {"token": "0" * 32, "rounds": theirs, "shown": theirs[0], "pick": theirs[0]}

    def refused(function: str, data: list, event: object) -> None:
        answer = mallory.send(function, data, event)
        assert not answer["success"], (function, event)
        assert "fox" not in str(answer)

    for forged in (first.name, first.name[2:], token.upper(), f"../{first.name}", [token], {"token": token}, None, 7):
        mallory = Wire(app, f"mallory{abs(hash(str(forged))):09d}")
        for data in ({"token": forged}, here | {"token": forged}):
            for function, more in (("arrive", [True]), ("shelf", ["", "", "", False, 60]), ("tree", [240])):
                answer = mallory.send(f"page_{function}", [data, *more])
                assert "fox" not in str(answer)
                if forged == first.name[2:]:  # it could be a token, of a shelf that nobody has
                    assert answer["success"]
                else:
                    assert answer["output"]["error"] == "The app was restarted: reload the page."
    for picture in (*theirs, first.name + "/" + theirs[0], "../" + theirs[0], "*", None, 7, [theirs[0]], {}):
        refused("page_tree_choose", [here], {"id": picture})
        refused("page_shelf_choose", [here], {"id": picture})
        refused("page_shelf_star", [here], {"id": picture, "on": True})
        refused("page_shelf_pack", [here], {"ids": [picture]})
        refused("page_shelf_remove", [here, "", "", "", False, 60], {"ids": [picture]})
    refused("page_next_round", [here, [", neon"], False], None)
    refused("page_zip_button", [here], None)
    with ada.page.expect_request(re.compile("/run/|/queue/join")) as sent:
        tab(ada, "Tree").click()
    mallory = Wire(app, sent.value.post_data_json["session_hash"])  # to know the session of a page is not enough
    assert "No pictures yet" in str(mallory.send("page_shelf", [here, "", "", "", False, 60]))
    for event in (None, {}, [], {"ids": []}, {"ids": theirs[0]}, {"ids": theirs * 1000}, {"ids": [["x"]]}):
        refused("page_shelf_pack", [here], event)
    for function in ("first_round", "second_round"):
        assert function in mallory.functions
    refused("second_round", [theirs[0], [", neon"], False], None)
    refused("verify", [theirs[0], False], None)
    # Their own folder name tells nobody the token: a browser without one has a visit of its own.
    assert len(list(first.glob("*.png"))) == 6
    assert "An event of the page failed" not in app.log()
    assert "Traceback" not in app.log()


def test_where_the_browser_keeps_nothing_the_page_works_for_the_visit(own):
    app = own.app(SECOND_ROUND_SHELVES="each")
    visitor = own.visit(app)
    context = visitor.page.context
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError') } })"
    )
    visitor = own.visit(app, context)
    visitor.ask("a red fox", seeds="0", steps=STEPS)
    visitor.expect_done(1)
    tab(visitor, "Tree").click()
    leaf(visitor, "a red fox, seed 0").click()
    expect(visitor.pick).to_contain_text("seed 0")


def test_undo_goes_back_deletion_by_deletion_and_survives_a_reload(own):
    for seed in range(3):
        Shelf(own.data / "pictures").put(sample_picture(seed))
    visitor = own.visit(own.app())
    page, tiles = visitor.page, visitor.page.locator("#shelf li[data-id]")
    tab(visitor, "Shelf").click()
    for left in (2, 1):
        tiles.first.get_by_role("checkbox").check()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(tiles).to_have_count(left)
    page.reload()
    expect(visitor.prompt).to_be_visible(timeout=60_000)
    tab(visitor, "Shelf").click()
    expect(page.locator("#shelf .trash summary")).to_contain_text("Trash: 2 pictures")
    for found in (["seed 1", "seed 0"], ["seed 2", "seed 1", "seed 0"]):
        page.get_by_role("button", name="Undo").click()
        expect(tiles).to_have_count(len(found))
        expect(tiles.locator("p b")).to_have_text(found)
    expect(page.locator("#shelf .trash")).to_have_count(0)
    # Looked into, and one deletion of several put back.
    for left in (2, 1):
        tiles.first.get_by_role("checkbox").check()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(tiles).to_have_count(left)
    page.locator("#shelf .trash summary").click()
    expect(page.get_by_alt_text("Deleted, seed 2")).to_be_visible()
    page.wait_for_function("[...document.querySelectorAll('.trash img')].every(i => i.complete && i.naturalWidth > 0)")
    page.locator("#shelf .trash li").last.get_by_role("button", name="Put back").click()
    expect(tiles.locator("p b")).to_have_text(["seed 2", "seed 0"])
    assert visitor.complaints == []
