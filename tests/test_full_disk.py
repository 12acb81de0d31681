"""A disk that is full or not ours to write: looked at all the same, told in sentences, and freed from the page."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz_picture import sample_picture
from gradio_client import Client, handle_file
from playwright.sync_api import expect

from pipeline_utils.errors import CapacityError
from pipeline_utils.page.edge import KEPT
from pipeline_utils.shelf.copies import make_room
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.shelf.trash import Trash
from tests.running import App, running

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\nnothing\r\n--x--\r\n"
)


@pytest.fixture
def full(tiny_sd_folder, tmp_path) -> Iterator[tuple[App, Path]]:
    """The app on a disk that is full while a file is there, with two pictures from before."""
    flag, data = tmp_path / "full", tmp_path / "data"
    flag.touch()
    for seed in range(2):
        Shelf(data / "pictures").put(sample_picture(seed))
    Trash(Shelf(data / "pictures"))  # the shelf was looked at before
    with running(tiny_sd_folder, data, program=("-m", "tests.full_disk", str(flag))) as app:
        yield app, flag


def test_on_a_full_disk_the_app_starts_for_looking_says_so_and_frees_it_by_emptying_the_trash(full, arrivals):
    app, flag = full
    visitor = arrivals.visit(app)
    page = visitor.page
    # 1. It says so above everything, and again where a round is asked for, before any work.
    expect(page.get_by_role("alert").filter(has_text="For looking only.")).to_contain_text("The disk is full")
    visitor.ask("a red fox", seeds="0", steps=2)
    visitor.expect_said("The disk is full")
    # 2. What is there is shown; deleting needs no room, and emptying the trash frees it.
    page.get_by_role("tab", name="Shelf", exact=True).click()
    tiles = page.locator("#shelf li[data-id]")
    expect(tiles).to_have_count(2)
    tiles.first.get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(tiles).to_have_count(1)
    page.locator("#shelf .trash summary").click()
    page.get_by_role("button", name="Empty the trash").click()
    expect(page.locator("#shelf")).to_contain_text("The trash is empty")
    assert len(list((app.data / "pictures").rglob("*.png"))) == 1
    # 3. With room again, rounds are made without a restart.
    flag.unlink()
    page.reload()
    expect(visitor.prompt).to_be_visible(timeout=60_000)
    expect(page.get_by_role("alert").filter(has_text="For looking only.")).to_have_count(0)
    visitor.ask("a red fox", seeds="0", steps=2)
    visitor.expect_done(1)


def upload(app: App) -> str:
    request = urllib.request.Request(
        app.url + "/gradio_api/upload", FORM, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def test_where_uploads_find_no_room_at_the_start_they_go_elsewhere(full):
    app, _ = full
    assert "a.png" in upload(app)
    assert not list(app.data.rglob("a.png"))


def test_an_upload_on_a_disk_that_became_full_is_answered_with_a_sentence(tiny_sd_folder, tmp_path):
    flag = tmp_path / "full"
    with running(tiny_sd_folder, tmp_path / "data", program=("-m", "tests.full_disk", str(flag))) as app:
        assert "a.png" in upload(app)
        flag.touch()
        with pytest.raises(urllib.error.HTTPError) as answer:
            upload(app)
        assert (answer.value.code, "The disk is full" in answer.value.read().decode()) == (507, True)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no folder that nobody may write")
def test_where_nothing_may_be_written_the_app_starts_for_looking_only(tiny_sd_folder, tmp_path, arrivals):
    with running(tiny_sd_folder, tmp_path / "log", SECOND_ROUND_DATA="/proc/self/second-round") as app:
        visitor = arrivals.visit(app)
        expect(visitor.page.get_by_role("alert").filter(has_text="For looking only.")).to_contain_text("cannot be used")


def test_the_oldest_uploads_make_room_and_what_comes_all_at_once_is_refused(tmp_path):
    for n in range(6):
        path = tmp_path / str(n) / "picture.png"
        path.parent.mkdir()
        path.write_bytes(bytes(1000))
        os.utime(path, (10**9 + n,) * 2)
    make_room(tmp_path, 4000)
    assert sorted(path.parent.name for path in tmp_path.rglob("*.png")) == ["2", "3", "4", "5"]
    for path in tmp_path.rglob("*.png"):
        path.touch()
    with pytest.raises(CapacityError, match=r"at once: all may have 0 MB. Try again in a minute"):
        make_room(tmp_path, 3000)
    assert len(list(tmp_path.rglob("*.png"))) == 4
    assert KEPT == 512 * 2**20


def test_where_strangers_come_no_address_shows_the_folders_of_the_machine(tiny_sd_folder, tmp_path):
    with running(tiny_sd_folder, tmp_path / "data", SECOND_ROUND_SHELVES="each") as app:
        client = Client(app.url, verbose=False, download_files=False)
        answer = client.predict("a red fox", seeds="0-1", num_inference_steps=2, api_name="/first_round")
        uploaded = upload(app)
        with urllib.request.urlopen(app.url + "/config", timeout=30) as stream:
            config = stream.read().decode()
        for text in (str(answer), uploaded, config):
            assert str(tmp_path) not in text
            assert not re.search(r"file=/|\"/(root|home|tmp)/", text)
        # The addresses lead to the very files.
        fetching = Client(app.url, verbose=False, download_files=str(tmp_path / "fetched"))
        again = fetching.predict("a red fox", seeds="0-1", num_inference_steps=2, api_name="/first_round")
        for entry in again["pictures"]:
            (kept,) = (tmp_path / "data" / "pictures").rglob(f"seed-*_{entry['id']}.png")
            assert Path(entry["file"]).read_bytes() == kept.read_bytes()
            assert Path(entry["file"]).name == kept.name
        assert client.predict(handle_file(kept), api_name="/verify")["identical"]
