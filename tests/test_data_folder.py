"""Where pictures lie, what comes there from earlier versions, and what is never deleted from there."""

import os
import time
from pathlib import Path

import pytest
from fuzz_picture import sample_picture

from pipeline_utils import files
from pipeline_utils.files import bring_home
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.owners import Shelves
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.shelf.trash import Trash, sweep
from tests.running import running
from tests.wire import Wire

FIELDS = [None, "a red fox", "0-1", "", 3, 5.0, None, None, None, False]


def test_nothing_is_deleted_when_the_app_ends_whatever_hours_pictures_are_kept(tiny_sd_folder, tmp_path):
    with running(tiny_sd_folder, tmp_path / "data", fresh=True, SECOND_ROUND_KEEP_HOURS="24") as app:
        assert Wire(app, "keeps00001").send("page_first_round", FIELDS)["success"]
        made = sorted((tmp_path / "data" / "pictures").glob("*.png"))
        assert len(made) == 2
    assert sorted((tmp_path / "data" / "pictures").glob("*.png")) == made


def test_pictures_lie_in_the_data_folder_and_those_of_earlier_versions_come_there(tiny_sd_folder, tmp_path):
    home, former = tmp_path / "home", tmp_path / "home" / "caches" / "second-round" / "pictures"
    old = Shelf(former).put(sample_picture(5))
    own = {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_CACHE_HOME": str(home / "caches")}
    with running(tiny_sd_folder, tmp_path / "log", SECOND_ROUND_DATA="", **own) as app:
        assert Wire(app, "comes00001").send("page_first_round", FIELDS)["success"]
        names = {path.name[:7] for path in (home / "data" / "second-round" / "pictures").glob("*.png")}
        assert names == {"seed-0_", "seed-1_", "seed-5_"}
        assert not old.exists()
        assert not list((home / "data").rglob("waiting.png"))
        assert "1 files of earlier versions moved" in app.log()


@pytest.mark.parametrize("device", ["one disk", "two disks"])
def test_pictures_of_earlier_versions_come_with_stars_trash_and_times_and_replace_nothing(
    device, tmp_path, monkeypatch
):
    former, here = Shelf(tmp_path / "former"), Shelf(tmp_path / "here")
    paths = [former.put(sample_picture(seed)) for seed in range(3)]
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}
    (former.folder / ".stars").mkdir()
    (former.folder / ".stars" / sample_picture(0).id).touch()
    kept = here.put(sample_picture(2))
    kept_before = kept.stat().st_mtime_ns
    if device == "two disks":

        def elsewhere(*_):
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "rename", elsewhere)
    assert bring_home(here.folder, former.folder) == 3
    for path in paths[:2]:
        moved = here.folder / path.name
        assert (moved.read_bytes(), moved.stat().st_mtime_ns) == before[path.name]
        assert not path.exists()
    assert kept.stat().st_mtime_ns == kept_before
    assert paths[2].exists()
    assert [path.name for path in (here.folder / ".stars").iterdir()] == [sample_picture(0).id]
    assert bring_home(here.folder, former.folder) == 0


# The sweep


@pytest.fixture
def host(tmp_path):
    """Settings and shelves of a host that keeps pictures for an hour, with old pictures of three visitors."""
    settings = Settings(data=tmp_path, keep_hours=1, shelves="each")
    shelves = Shelves(Shelf(tmp_path / "pictures"), shared=True)
    for owner in "abc":
        old = Shelf(tmp_path / "pictures" / f"v-{owner * 32}").put(sample_picture(1))
        os.utime(old, (time.time() - 7200,) * 2)
    return settings, shelves


def spoil_link(folder: Path) -> None:
    (folder / f"v-{'0' * 32}").symlink_to(folder / f"v-{'0' * 32}")
    inside = folder / f"v-{'a' * 32}"
    (inside / f"seed-0_{'0' * 16}.png").symlink_to(inside / f"seed-0_{'0' * 16}.png")


def spoil_trash(folder: Path) -> None:
    (folder / f"v-{'a' * 32}" / ".trash").write_text("in the way")
    (folder / f"v-{'a' * 32}" / ".stars").write_text("in the way")
    (folder / f"v-{'a' * 32}" / ".thumbs").symlink_to("nowhere")


@pytest.mark.parametrize("spoil", [spoil_link, spoil_trash])
def test_the_sweep_goes_on_past_what_it_cannot_use(spoil, host):
    settings, shelves = host
    spoil(settings.data / "pictures")
    sweep(settings, shelves)
    assert [path.name for path in settings.data.rglob("seed-1_*.png")] == []


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
@pytest.mark.parametrize("call", ["scandir", "listdir", "unlink"])
def test_the_sweep_outlives_a_folder_that_cannot_be_read_and_says_so_once(call, error, host, monkeypatch, caplog):
    settings, shelves = host
    genuine = getattr(os, call)

    def failing(path=".", *more, **options):
        if f"v-{'b' * 32}" in str(path):
            raise error
        return genuine(path, *more, **options)

    monkeypatch.setattr(os, call, failing)
    files._passed.clear()
    for _ in range(3):
        sweep(settings, shelves)
    monkeypatch.undo()
    left = {path.parent.name for path in settings.data.rglob("seed-1_*.png")}
    assert left <= {"v-" + "b" * 32}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told))


@pytest.mark.parametrize("by", [-10 * 86400, 10 * 86400])
def test_a_clock_that_is_set_while_the_app_runs_deletes_nothing_early(by, tmp_path, monkeypatch):
    settings = Settings(data=tmp_path, keep_hours=1)
    shelf = Shelf(tmp_path / "pictures")
    kept, deleted = shelf.put(sample_picture(1)), shelf.put(sample_picture(2))
    trash = Trash(shelf)
    trash.take([deleted.name])
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + by)
    sweep(settings, Shelves(shelf, shared=False))
    assert kept.exists()
    assert len(Trash(shelf).deletions()) == 1


def test_uploads_and_files_for_downloads_go_after_an_hour(tmp_path):
    settings = Settings(data=tmp_path)
    old, fresh = settings.cache / "uploads" / "a" / "x.png", settings.cache / "downloads" / "b" / "y.zip"
    for path in (old, fresh):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    sweep(settings, Shelves(Shelf(tmp_path / "pictures"), shared=False))
    assert not old.exists()
    assert fresh.exists()
