"""One bad entry hides nothing else: it is passed over, whatever is wrong with it, and logged once."""

import errno
import os
from pathlib import Path

import pytest
from fuzz_picture import sample_picture

from pipeline_utils import files
from pipeline_utils.engine.pool import Models
from pipeline_utils.models import runtime
from pipeline_utils.page.running import Player
from pipeline_utils.page.shelf.layout import ShelfHandlers
from pipeline_utils.page.tree.layout import TreeHandlers
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.shelf import Shelf, name_of
from pipeline_utils.studio import Studio

BAD = f"seed-7_{'7' * 16}.png"
ERRORS = [errno.EACCES, errno.EIO, errno.ELOOP, errno.ESTALE, errno.ENAMETOOLONG, errno.EPERM]


def itself(folder: Path) -> None:
    (folder / BAD).symlink_to(folder / BAD)


def dangling(folder: Path) -> None:
    (folder / BAD).symlink_to("nowhere")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / BAD)


def device(folder: Path) -> None:
    (folder / BAD).symlink_to("/dev/zero")


def directory(folder: Path) -> None:
    (folder / BAD).mkdir()


def rubbish(folder: Path) -> None:
    (folder / BAD).write_bytes(b"\x89PNG rubbish")


def files_for_folders(folder: Path) -> None:
    for name in (".stars", ".trash", ".thumbs", ".index.json"):
        (folder / name).write_text("in the way")


def links_for_folders(folder: Path) -> None:
    for name in (".stars", ".trash", ".thumbs", ".index.json", ".x.tmp"):
        (folder / name).symlink_to(folder / name)


@pytest.fixture
def studio(tiny_sd_folder, tmp_path):
    settings = Settings(model=str(tiny_sd_folder), data=tmp_path, threads=1)
    device = runtime.start(settings)
    shelf = Shelf(tmp_path / "pictures")
    for seed in range(3):
        shelf.put(sample_picture(seed, (400, 400)))
    files._passed.clear()
    return Studio(settings, Models(settings, device), shelf)


def shown(studio: Studio) -> tuple[int, int]:
    """How many pictures the shelf and the tree of a new visitor show."""
    player, visit = Player(studio), Visit("m")
    shelf = ShelfHandlers(player).show_shelf(visit, "", "", "", False, 60)["shelf"]
    tree = TreeHandlers(player).show_tree(visit, 240)["tree"]
    return shelf.count("<li data-id"), tree.count('class="leaf"')


@pytest.mark.parametrize(
    "spoil", [itself, dangling, pipe, device, directory, rubbish, files_for_folders, links_for_folders]
)
def test_a_bad_entry_in_the_folder_hides_no_picture(spoil, studio):
    spoil(studio.shelf.folder)
    again = Studio(studio.settings, studio.models, Shelf(studio.shelf.folder))
    assert shown(again) == (3, 3)
    for seed in range(3):
        assert again.shelf.get(sample_picture(seed, (400, 400)).id).is_file()


@pytest.mark.parametrize("number", ERRORS)
def test_whatever_the_error_of_an_entry_the_rest_is_shown_and_it_is_logged_once(number, studio, monkeypatch, caplog):
    (studio.shelf.folder / BAD).write_bytes(b"x")
    genuine = os.scandir

    class Bad:
        def __init__(self, entry):
            self.name, self.path = entry.name, entry.path

        def stat(self, **_):
            raise OSError(number, os.strerror(number))

        is_file = stat

    class Scan:
        def __init__(self, folder):
            self.entries = genuine(folder)

        def __enter__(self):
            return (Bad(entry) if entry.name == BAD else entry for entry in self.entries)

        def __exit__(self, *_):
            self.entries.close()

    monkeypatch.setattr(os, "scandir", Scan)
    assert [path.name[:6] for path in studio.shelf] == ["seed-2", "seed-1", "seed-0"]
    for _ in range(2):
        assert shown(studio) == (3, 3)
    told = [record for record in caplog.records if BAD in record.getMessage()]
    assert len(told) == 1


def test_a_bad_entry_in_the_way_of_a_picture_is_replaced_by_it(studio):
    made = sample_picture(9)
    path = studio.shelf.folder / name_of(made)
    path.symlink_to(path)
    assert studio.shelf.put(made) == path
    assert studio.shelf.read(made.id) == made
