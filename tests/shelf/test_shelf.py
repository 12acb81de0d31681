"""The shelf: whole pictures or none, whatever happens while they are written."""

import errno
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fuzz_picture import foreign_png, sample_picture

from pipeline_utils.errors import CapacityError, InputError, PictureError, UserError
from pipeline_utils.files import saving
from pipeline_utils.picture.picture import encode
from pipeline_utils.shelf.shelf import Shelf, picture_id


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "deep" / "shelf")


def names(shelf: Shelf) -> set[str]:
    return {path.name for path in shelf.folder.iterdir()}


def test_a_picture_put_here_is_read_back_equal(shelf):
    made = sample_picture(seed=0)
    path = shelf.put(made)
    assert path.name == f"seed-0_round-1_red_{made.id}.png"
    assert path == shelf.get(made.id)
    assert path.read_bytes() == encode(made)
    assert shelf.read(made.id) == made


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("A photo of the Sea", "photo"),
        ("the Füchslein, 3d", "fuchslein"),
        ("狐", "picture"),
        ("../../etc/passwd", "etc"),
        ("x" * 300, "x" * 20),
        ("(of: and)", "picture"),
        ("CON", "con"),
    ],
)
def test_a_file_is_named_by_seed_round_and_a_word_of_the_prompt(shelf, prompt, word):
    made = sample_picture(seed=4294967295, prompt=prompt, round=10_000)
    path = shelf.put(made)
    assert path.name == f"seed-4294967295_round-10000_{word}_{made.id}.png"
    assert (list(shelf), shelf.get(made.id), picture_id(path.name)) == ([path], path, made.id)


def test_a_picture_with_the_texts_of_an_earlier_version_is_not_written_again(shelf):
    made = sample_picture()
    path = shelf.put(made)
    before = encode(made, "somebody")
    path.write_bytes(before)
    assert shelf.put(made) == path
    assert path.read_bytes() == before


def test_a_picture_under_a_name_of_before_is_found_and_not_written_twice(shelf):
    made = sample_picture(seed=3)
    old = shelf.put(made).rename(shelf.folder / f"seed-3_{made.id}.png")
    assert shelf.put(made) == old
    assert (list(shelf), shelf.read(made.id)) == ([old], made)


def test_another_shelf_of_the_same_folder_finds_the_pictures_by_the_files_alone(shelf):
    made = sample_picture()
    shelf.put(made)
    assert Shelf(shelf.folder).read(made.id) == made


def test_pictures_come_newest_first(shelf):
    paths = [shelf.put(sample_picture(seed)) for seed in (5, 1, 9, 3, 7, 2)]
    assert list(shelf) == paths[::-1]


def test_the_same_picture_twice_is_one_file_that_is_not_written_again(shelf):
    first = shelf.put(sample_picture())
    before = first.stat()
    assert shelf.put(sample_picture()) == first
    after = first.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(list(shelf)) == 1


def test_a_damaged_file_is_written_again(shelf):
    made = sample_picture()
    path = shelf.put(made)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PictureError):
        shelf.read(made.id)
    shelf.put(made)
    assert shelf.read(made.id) == made


@pytest.mark.parametrize(
    "wrong", ["", "*", "?" * 16, "ab" * 7, "AB" * 8, "../" + "a" * 13, "ab" * 8 + "\n", "[ab]" * 4, None, 7, "ａ" * 16]
)
def test_what_is_no_id_never_meets_the_file_system(shelf, wrong, monkeypatch):
    shelf.put(sample_picture())
    monkeypatch.setattr(Path, "glob", None)
    with pytest.raises(InputError, match=r"picture: .* 16 hex digits"):
        shelf.get(wrong)


def test_an_id_of_no_picture_here_is_refused(shelf):
    with pytest.raises(InputError, match="no picture here has this id"):
        shelf.get("0" * 16)


def test_edited_pictures_are_neither_taken_nor_given(shelf):
    made, other = sample_picture(1), sample_picture(2)
    edited = replace(made, image=other.image)
    with pytest.raises(PictureError, match="edited"):
        shelf.put(edited)
    shelf.put(made).write_bytes(encode(edited))
    with pytest.raises(PictureError, match="changed after it was made"):
        shelf.read(made.id)


@pytest.mark.parametrize("data", [encode(sample_picture(8)), foreign_png()])
def test_a_file_that_holds_another_picture_than_its_name_says_is_not_used(shelf, data):
    made = sample_picture(1)
    shelf.put(made).write_bytes(data)
    with pytest.raises(PictureError, match="changed after it was made"):
        shelf.read(made.id)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_says_what_to_do_and_leaves_nothing_behind(shelf, monkeypatch, number, call):
    kept = shelf.put(sample_picture(1))

    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(CapacityError, match=r"disk is full.*delete some pictures"):
        shelf.put(sample_picture(2))
    assert names(shelf) == {kept.name}
    monkeypatch.undo()
    shelf.put(sample_picture(2))
    assert len(list(shelf)) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_what_the_system_says_of_a_full_disk_is_understood():
    with pytest.raises(CapacityError), saving("shelf"), open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")


def test_a_folder_that_cannot_be_used_is_told_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be used"):
        Shelf(tmp_path / "file")


def test_a_picture_appears_whole_under_its_name_and_under_no_other(shelf, monkeypatch):
    seen, replace_file = [], os.replace

    def watched(source, target):
        seen.append(
            (Path(source).parent == shelf.folder, Path(source).read_bytes(), Path(target).exists(), list(shelf))
        )
        replace_file(source, target)

    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(os, "replace", watched)
    shelf.put(sample_picture())
    assert seen == [(True, encode(sample_picture()), False, [])]
    assert len(synced) == 1


def test_leftovers_of_a_crash_are_swept_at_the_next_start_but_not_work_in_progress(shelf):
    old, fresh, foreign = (shelf.folder / name for name in (".a.png.1.tmp", ".b.png.2.tmp", "notes.txt"))
    for path in (old, fresh, foreign):
        path.write_bytes(b"half a pict")
    for path in (old, foreign):
        os.utime(path, (time.time() - 3600,) * 2)
    again = Shelf(shelf.folder)
    assert names(again) == {fresh.name, foreign.name}
    assert list(again) == []


def test_other_files_in_the_folder_are_not_pictures_of_the_shelf(shelf):
    made = shelf.put(sample_picture())
    for name in ("holiday.png", f"copy of {made.name}", made.name + ".bak", f"seed-x_{'a' * 16}.png"):
        (shelf.folder / name).write_bytes(made.read_bytes())
    (shelf.folder / f"seed-1_{'b' * 16}.png").mkdir()
    assert list(shelf) == [made]
    for other in ("a", "b"):
        with pytest.raises(InputError):
            shelf.get(other * 16)


def test_many_threads_put_the_same_and_different_pictures(shelf):
    pictures = [sample_picture(seed) for seed in range(6)]
    start, failures = threading.Barrier(8), []

    def work(offset: int) -> None:
        start.wait()
        try:
            for n in range(12):
                made = pictures[(n + offset) % 6]
                shelf.put(made)
                assert shelf.read(made.id) == made
                list(shelf)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert len(names(shelf)) == len(list(shelf)) == 6
