"""What was deleted: a list on disk that is shown, brought back from, and emptied."""

import errno
import os
import time
from pathlib import Path

import pytest
from fuzz_picture import sample_picture

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.shelf.shelf import Shelf, Stars
from pipeline_utils.shelf.trash import KEEP_HOURS, Trash


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "pictures")


def deleted(shelf: Shelf, *seeds: int) -> str:
    return Trash(shelf).take([shelf.put(sample_picture(seed)).name for seed in seeds])[0]


def seeds(shelf: Shelf) -> list[str]:
    return sorted(path.name.split("_")[0] for path in shelf)


def test_deletions_are_listed_from_the_disk_the_last_first(shelf):
    names = [deleted(shelf, seed, seed + 10) for seed in range(3)]
    found = Trash(Shelf(shelf.folder)).deletions()
    assert [deletion.name for deletion in found] == names[::-1]
    assert [len(deletion.files) for deletion in found] == [2, 2, 2]
    assert found[0].size == sum(path.stat().st_size for path in found[0].files)
    assert 0 <= found[0].seconds < 60


def test_undo_goes_back_deletion_by_deletion(shelf):
    for seed in range(3):
        deleted(shelf, seed)
    for left in (["seed-2"], ["seed-1", "seed-2"], ["seed-0", "seed-1", "seed-2"]):
        Trash(shelf).give_back(Trash(shelf).deletions()[0].name)
        assert seeds(shelf) == left
    assert Trash(shelf).deletions() == []


def test_an_undo_that_failed_is_tried_again_and_loses_nothing(shelf, monkeypatch):
    name = deleted(shelf, 1, 2, 3)
    genuine = os.replace

    def failing(source, target):
        if "seed-2" in str(source):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        genuine(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(UserError, match="Input/output error"):
        Trash(shelf).give_back(name)
    assert seeds(shelf) == ["seed-1", "seed-3"]
    assert [len(deletion.files) for deletion in Trash(shelf).deletions()] == [1]
    monkeypatch.undo()
    assert Trash(shelf).give_back(name) == 1
    assert seeds(shelf) == ["seed-1", "seed-2", "seed-3"]


def test_deletions_of_earlier_versions_are_listed_and_come_back(shelf):
    path = shelf.put(sample_picture(4))
    old = shelf.folder / ".trash" / f"{int(time.time()) - 60:010}-{'ab' * 8}"
    old.mkdir(parents=True)
    os.replace(path, old / path.name)
    assert [deletion.name for deletion in Trash(shelf).deletions()] == [old.name]
    assert Trash(shelf).give_back(old.name) == 1
    assert seeds(shelf) == ["seed-4"]


def test_emptying_frees_the_disk_of_pictures_and_of_what_belonged_to_them(shelf):
    kept, gone = sample_picture(1), sample_picture(2)
    for picture in (kept, gone):
        shelf.put(picture)
        Stars(shelf).set(picture.id, True)
    size = shelf.get(gone.id).stat().st_size
    Trash(shelf).take([shelf.get(gone.id).name])
    assert Trash(shelf).empty() == size
    assert Trash(shelf).deletions() == []
    assert not list((shelf.folder / ".trash").rglob("*"))
    assert Stars(shelf).ids() == {kept.id}
    assert seeds(shelf) == ["seed-1"]


def test_every_deletion_has_an_age_of_its_own(shelf):
    old, young = deleted(shelf, 1), deleted(shelf, 2)
    past = f"{int(time.time()) - KEEP_HOURS * 3600 - 5:010}{old[10:]}"
    (shelf.folder / ".trash" / old).rename(shelf.folder / ".trash" / past)
    assert [deletion.name for deletion in Trash(shelf).deletions()] == [young]
    with pytest.raises(InputError, match="kept for 24 hours"):
        Trash(shelf).give_back(past)


def test_what_is_no_deletion_in_the_trash_hides_none(shelf):
    name = deleted(shelf, 1)
    folder = shelf.folder / ".trash"
    (folder / f"{int(time.time()):010}-{'0' * 16}").symlink_to(folder / f"{int(time.time()):010}-{'0' * 16}")
    (folder / f"{int(time.time()):010}-{'1' * 16}").write_text("a file")
    (folder / "notes.txt").write_text("a file")
    (folder / name / f"seed-9_{'9' * 16}.png").mkdir()
    assert name in [deletion.name for deletion in Trash(shelf).deletions()]
    Trash(shelf).give_back(name)
    assert seeds(shelf) == ["seed-1"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_pictures_are_deleted_from_a_full_disk_which_has_no_room_for_a_folder(shelf, number, monkeypatch):
    for seed in range(3):
        shelf.put(sample_picture(seed))
    Trash(shelf)  # whoever looks at the shelf has opened its trash

    def full(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "mkdir", full)
    monkeypatch.setattr(Path, "mkdir", full)
    for path in list(shelf):
        Trash(shelf).take([path.name])
        assert Trash(shelf).empty() > 0
    assert seeds(shelf) == []
