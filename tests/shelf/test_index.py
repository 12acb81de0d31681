"""The index of a shelf: always what the folder holds, and never more than reading one file's text."""

import os
import struct
import zlib

import pytest
from fuzz_picture import foreign_png, sample_picture

from pipeline_utils.errors import PictureError
from pipeline_utils.picture.picture import encode, read_head
from pipeline_utils.picture.png import MAX_HEAD, SIGNATURE
from pipeline_utils.shelf import index
from pipeline_utils.shelf.index import Cards
from pipeline_utils.shelf.shelf import Shelf


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path)


def reads(monkeypatch) -> list[str]:
    """The names of the files that are read from now on."""
    seen = []

    def watched(path):
        seen.append(path.name)
        return read_head(path)

    monkeypatch.setattr(index, "read_head", watched)
    return seen


def test_the_head_of_a_file_says_what_the_whole_says(shelf):
    made = sample_picture(3, prompt='"ünïcode" \U0001f98a ' + "x" * 1900, round=2, parent="ab" * 8, suffix=", a")
    head = read_head(shelf.put(made))
    assert (head.id, head.recipe, head.lineage, head.pixel_sha256) == (
        made.id,
        made.recipe,
        made.lineage,
        made.pixel_sha256,
    )


def test_pictures_come_newest_first_and_a_new_one_is_read_alone(shelf, monkeypatch):
    made = [sample_picture(seed) for seed in (5, 1, 9)]
    for picture in made:
        shelf.put(picture)
    cards = Cards(shelf)
    assert [card.id for card in cards.newest_first()] == [picture.id for picture in made[::-1]]
    seen, before = reads(monkeypatch), cards.newest_first()
    assert cards.newest_first() is before
    shelf.put(sample_picture(2))
    assert [card.seed for card in cards.newest_first()] == [2, 9, 1, 5]
    assert len(seen) == 1
    assert len(before) == 3
    shelf.get(made[1].id).unlink()
    assert [card.seed for card in cards.newest_first()] == [2, 9, 5]
    assert len(seen) == 1


def test_a_folder_that_did_not_change_is_not_even_listed_and_one_that_just_did_is(shelf, monkeypatch):
    shelf.put(sample_picture(1))
    cards = Cards(shelf)
    cards.newest_first()
    shelf.put(sample_picture(2))  # perhaps within the same tick of the folder's clock
    assert len(cards.newest_first()) == 2
    os.utime(shelf.folder, (1, 1))
    cards.newest_first()
    monkeypatch.setattr(Shelf, "listing", None)
    assert len(cards.newest_first()) == 2


def test_a_file_that_was_written_again_is_read_again(shelf):
    path = shelf.put(sample_picture(1))
    cards = Cards(shelf)
    cards.newest_first()
    path.write_bytes(b"no picture any more")
    assert cards.newest_first() == []
    shelf.put(sample_picture(1))
    assert len(cards.newest_first()) == 1


def test_files_that_are_not_what_their_name_says_are_left_out_and_read_once(shelf, monkeypatch):
    good = shelf.put(sample_picture(1))
    data = good.read_bytes()
    hostile = {
        "a": encode(sample_picture(2)),  # another picture
        "b": foreign_png(),
        "c": b"",
        "d": data[:60],
        "e": data.replace(b"a red fox", b"a tar fox"),  # its checksum is wrong
        "f": SIGNATURE + struct.pack(">I4s", 2**31 - 1, b"iTXt") + b"x" * 100,
    }
    for letter, content in hostile.items():
        (shelf.folder / f"seed-1_{letter * 16}.png").write_bytes(content)
    seen, cards = reads(monkeypatch), Cards(shelf)
    assert [card.file for card in cards.newest_first()] == [good.name]
    assert len(seen) == 7
    cards.newest_first()
    assert len(seen) == 7


def test_no_file_is_read_further_than_a_bound(tmp_path):
    path = tmp_path / "long.png"
    body = b"x" * (MAX_HEAD // 4)
    chunk = struct.pack(">I", len(body)) + b"zzZz" + body + struct.pack(">I", zlib.crc32(b"zzZz" + body))
    header = encode(sample_picture())[:33]
    path.write_bytes(header + 64 * chunk)
    with pytest.raises(PictureError, match="come too late"):
        read_head(path)


def test_pictures_of_one_series_differ_in_their_seed_alone(shelf):
    for picture in (sample_picture(1), sample_picture(2), sample_picture(3, prompt="a blue cup")):
        shelf.put(picture)
    third, second, first = Cards(shelf).newest_first()
    assert first.series == second.series != third.series


def test_a_shelf_beyond_the_bound_lists_its_newest(shelf, monkeypatch):
    monkeypatch.setattr(index, "MAX_CARDS", 3)
    for seed in range(5):
        shelf.put(sample_picture(seed))
    assert [card.seed for card in Cards(shelf).newest_first()] == [4, 3, 2]


def test_a_shelf_whose_folder_is_not_there_yet_is_empty(tmp_path):
    shelf = Shelf(tmp_path / "later", make=False)
    cards = Cards(shelf)
    assert cards.newest_first() == []
    shelf.put(sample_picture())
    assert len(cards.newest_first()) == 1


def test_after_a_restart_the_kept_index_spares_reading_and_never_outlives_a_change(shelf, monkeypatch):
    monkeypatch.setattr(index, "_WORTH_KEEPING", 3)
    paths = [shelf.put(sample_picture(seed, prompt="a <fox> ünïcode")) for seed in range(4)]
    before = Cards(shelf, keep=True).newest_first()
    seen = reads(monkeypatch)
    assert Cards(shelf, keep=True).newest_first() == before
    assert seen == []
    paths[0].unlink()
    paths[1].write_bytes(encode(sample_picture(9)))  # not what its name says
    new = shelf.put(sample_picture(5))
    assert [card.seed for card in Cards(shelf, keep=True).newest_first()] == [5, 3, 2]
    assert sorted(seen) == sorted([paths[1].name, new.name])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"7",
        b"{}",
        b'{"version":[0],"cards":[]}',
        b"[" * 100_000,
        "half",
        "type",
        "short",
    ],
)
def test_a_kept_index_that_is_damaged_is_made_anew(shelf, monkeypatch, content):
    monkeypatch.setattr(index, "_WORTH_KEEPING", 1)
    shelf.put(sample_picture(1))
    before = Cards(shelf, keep=True).newest_first()
    file = shelf.folder / ".index.json"
    good = file.read_bytes()
    changed = {"half": good[: len(good) // 2], "type": good.replace(b'"a red fox"', b'["a"]')}
    changed["short"] = good.replace(b'"a red fox",', b"")
    file.write_bytes(changed.get(content, content))
    seen = reads(monkeypatch)
    assert Cards(shelf, keep=True).newest_first() == before
    assert len(seen) == 1
    assert file.read_bytes() == good


def test_without_being_asked_to_nothing_is_kept(shelf, monkeypatch):
    monkeypatch.setattr(index, "_WORTH_KEEPING", 1)
    shelf.put(sample_picture(1))
    Cards(shelf).newest_first()
    assert [path.suffix for path in shelf.folder.iterdir()] == [".png"]
