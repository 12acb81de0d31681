"""The shelf in a real browser, on real pictures."""

from __future__ import annotations

import io
import re
import zipfile

from fuzz_picture import sample_picture
from playwright.sync_api import expect

from pipeline_utils.shelf.shelf import Shelf


def test_pictures_are_found_starred_deleted_brought_back_and_packed(own):
    app = own.app()
    visitor = own.visit(app)
    page, shelf = visitor.page, own.data / "pictures"
    visitor.make_two_rounds()
    visitor.ask("a blue cup", seeds="7", steps=3)
    visitor.expect_done(1)
    visitor.tab("Shelf").click()
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
    visitor.tile("a red fox, seed 3").get_by_role("button", name=re.compile("^Star")).click()
    expect(page.get_by_role("button", pressed=True, name="Star a red fox, seed 3")).to_be_visible()
    page.reload()
    expect(visitor.prompt).to_be_visible(timeout=60_000)
    visitor.tab("Shelf").click()
    page.get_by_label("Only starred").check()
    expect(tiles).to_have_count(1)
    expect(tiles).to_contain_text("seed 3")
    page.get_by_label("Only starred").uncheck()
    expect(tiles).to_have_count(7)
    # 3. A selection as zip.
    for name in ("a red fox, seed 0", "a red fox, seed 2"):
        visitor.tile(name).get_by_role("checkbox").check()
    expect(page.get_by_role("group", name="Selected pictures")).to_contain_text("2 selected")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download zip").click()
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert sorted(name[:7] for name in archive.namelist()) == ["seed-0_", "seed-2_"]
        for entry in archive.namelist():
            assert archive.read(entry) == (shelf / entry).read_bytes()
    # 4. Deleted: off the disk's shelf, the gallery and the pick; its round is a root of its own now.
    visitor.tab("Rounds").click()
    expect(visitor.pick).not_to_contain_text("seed")
    visitor.tab("Tree").click()
    visitor.leaf("a red fox, seed 2").click()
    expect(visitor.pick).to_contain_text("seed 2 round 1")
    visitor.tab("Shelf").click()
    expect(page.get_by_role("group", name="Selected pictures")).to_contain_text("2 selected")
    before = sorted(path.name for path in shelf.glob("*.png"))
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(tiles).to_have_count(5)
    expect(page.locator("#shelf")).to_contain_text("2 pictures deleted, and kept for 24 hours")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    assert len(list(shelf.glob("*.png"))) == 5
    visitor.tab("Tree").click()
    expect(page.locator("#tree summary").filter(has_text="its own pick is not on the shelf")).to_have_count(1)
    visitor.tab("Rounds").click()
    expect(visitor.pick).not_to_contain_text("seed")
    expect(visitor.captions).to_have_text(["seed 1", "seed 3"])
    # 5. Undone, in the old order.
    visitor.tab("Shelf").click()
    expect(tiles).to_have_count(5)
    page.get_by_role("button", name="Undo").click()
    expect(tiles).to_have_count(7)
    assert sorted(path.name for path in shelf.glob("*.png")) == before
    expect(tiles.first).to_contain_text("seed 7 a blue cup")
    expect(page.locator("#shelf")).to_contain_text("2 pictures are back")
    assert visitor.complaints == []


def test_undo_goes_back_deletion_by_deletion_and_survives_a_reload(own):
    for seed in range(3):
        Shelf(own.data / "pictures").put(sample_picture(seed))
    visitor = own.visit(own.app())
    page, tiles = visitor.page, visitor.page.locator("#shelf li[data-id]")
    visitor.tab("Shelf").click()
    for left in (2, 1):
        tiles.first.get_by_role("checkbox").check()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(tiles).to_have_count(left)
    page.reload()
    expect(visitor.prompt).to_be_visible(timeout=60_000)
    visitor.tab("Shelf").click()
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
