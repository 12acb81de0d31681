"""Stars, the trash, thumbnails, and how a shelf and its tree are written as HTML."""

import os
import time
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest
from fuzz_picture import sample_picture
from PIL import Image

from pipeline_utils.bench import shelf as bench
from pipeline_utils.bench.__main__ import main
from pipeline_utils.engine.pool import Models
from pipeline_utils.errors import InputError, PictureError
from pipeline_utils.models import runtime
from pipeline_utils.page.running import Player
from pipeline_utils.page.shelf import html as view_shelf
from pipeline_utils.page.shelf.layout import ShelfHandlers, matching
from pipeline_utils.page.tree import layout as view_tree
from pipeline_utils.page.tree.layout import TreeHandlers
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.page.visitor.visits import choose, restore
from pipeline_utils.picture.picture import encode
from pipeline_utils.settings import Settings
from pipeline_utils.shelf import copies
from pipeline_utils.shelf.copies import Thumbs
from pipeline_utils.shelf.index import Card
from pipeline_utils.shelf.owners import Album
from pipeline_utils.shelf.shelf import Shelf, Stars
from pipeline_utils.shelf.trash import KEEP_HOURS, Trash, sweep_pictures
from pipeline_utils.shelf.tree import grow
from pipeline_utils.studio import Studio

HOSTILE = "<img src=x onerror=alert(1)> \"a\" & 'b'"


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "pictures")


def aged(path, hours: float) -> None:
    os.utime(path, (time.time() - hours * 3600,) * 2)


# Stars


def test_stars_are_kept_by_the_disk_and_taken_back(shelf):
    one, two = sample_picture(1).id, sample_picture(2).id
    Stars(shelf).set(one, True)
    Stars(shelf).set(two, True)
    Stars(shelf).set(two, True)
    assert Stars(shelf).ids() == {one, two}
    Stars(shelf).set(one, False)
    Stars(shelf).set(one, False)
    assert Stars(shelf).ids() == {two}


@pytest.mark.parametrize("wrong", ["", "../x", "*", None, 7, "A" * 16, "a" * 15, ["a" * 16]])
def test_only_ids_become_stars(shelf, wrong):
    with pytest.raises(InputError):
        Stars(shelf).set(wrong, True)
    assert Stars(shelf).ids() == set()


# The trash


def test_what_was_deleted_comes_back_as_it_was(shelf):
    paths = [shelf.put(sample_picture(seed)) for seed in range(4)]
    before = [(path.name, path.stat().st_mtime_ns, path.read_bytes()) for path in shelf]
    batch, count = Trash(shelf).take([paths[1].name, paths[2].name, "seed-9_" + "0" * 16 + ".png"])
    assert count == 2
    assert [path.name for path in shelf] == [paths[3].name, paths[0].name]
    assert Trash(shelf).give_back(batch) == 2
    assert [(path.name, path.stat().st_mtime_ns, path.read_bytes()) for path in shelf] == before
    with pytest.raises(InputError, match="kept for 24 hours"):
        Trash(shelf).give_back(batch)


@pytest.mark.parametrize("wrong", ["", "..", "../..", "/", None, 7, "0" * 10 + "-" + "0" * 16, ["x"]])
def test_only_deletions_are_undone(shelf, wrong):
    Trash(shelf).take([shelf.put(sample_picture()).name])
    with pytest.raises(InputError):
        Trash(shelf).give_back(wrong)


def test_after_a_day_what_was_deleted_goes_for_good(shelf):
    trash = Trash(shelf)
    old, _ = trash.take([shelf.put(sample_picture(1)).name])
    new, _ = trash.take([shelf.put(sample_picture(2)).name])
    past = f"{int(time.time() - KEEP_HOURS * 3600 - 5):010}" + old[10:]
    (trash.folder / old).rename(trash.folder / past)
    Trash(shelf)
    assert [path.name for path in trash.folder.iterdir()] == [new]


def test_pictures_that_are_too_old_go_with_all_that_belongs_to_them(shelf):
    kept, old, gone = (sample_picture(seed, (400, 400)) for seed in range(3))
    for picture in (kept, old, gone):
        path = shelf.put(picture)
        Stars(shelf).set(picture.id, True)
        thumb = Thumbs(shelf).of(Album(shelf).card(picture.id))
        if picture is not kept:
            for each in (path, thumb, shelf.folder / ".stars" / picture.id):
                aged(each, 3)
    Trash(shelf).take([shelf.get(gone.id).name])
    sweep_pictures(shelf.folder, 3600)
    files = sorted(path.name for path in shelf.folder.rglob("*") if path.is_file())
    assert files == sorted([shelf.get(kept.id).name, kept.id, kept.id + ".webp"])


# Thumbnails


def test_large_pictures_have_small_copies_and_small_ones_are_their_own(shelf):
    small, large = sample_picture(1, (320, 64)), sample_picture(2, (640, 336))
    for picture in (small, large):
        shelf.put(picture)
    album = Album(shelf)
    assert Thumbs(shelf).of(album.card(small.id)) == shelf.get(small.id)
    thumb = Thumbs(shelf).of(album.card(large.id))
    with Image.open(thumb) as image:
        assert (image.format, image.size) == ("WEBP", (320, 168))
    thumb.unlink()
    assert Thumbs(shelf).of(album.card(large.id)).is_file()


def test_a_thumbnail_that_cannot_be_made_is_done_without(shelf, monkeypatch):
    large = sample_picture(2, (640, 336))
    path = shelf.put(large)
    album = Album(shelf)
    card = album.card(large.id)
    monkeypatch.setattr(copies, "_PATIENCE", 0)
    assert Thumbs(shelf).of(card) == path
    monkeypatch.undo()
    path.write_bytes(b"damaged")
    assert Thumbs(shelf).of(card) == path


# HTML


def test_what_was_typed_is_text_in_tree_and_shelf_never_markup(shelf):
    first = sample_picture(1, prompt=HOSTILE)
    second = sample_picture(1, prompt=HOSTILE + HOSTILE, round=2, parent=first.id, suffix=HOSTILE)
    for picture in (first, second):
        shelf.put(picture)
    album = Album(shelf)
    cards = album.newest_first()
    for html in (
        view_tree.draw(album.tree(), Thumbs(shelf), first.id, 100),
        view_shelf.shelf(cards, 2, Thumbs(shelf), set(), None, 60, view_shelf.note(HOSTILE)),
    ):
        assert "<img src=x" not in html
        assert "&lt;img src=x onerror=alert(1)&gt; &quot;a&quot; &amp;" in html
        assert html.count('alt="&lt;img') == 2


def test_a_tree_opens_with_its_newest_pictures_and_a_long_way_down_is_not_indented_for_ever(shelf):
    base = Card("", "", 0, "m", "p", 0, "seed 0", 64, 64, 1, None, None, False, "s")
    line = [replace(base, id="0" * 16)]
    for n in range(1, 3000):
        parent = line[-1].id
        line.append(replace(base, id=f"{n:016x}", changed=n, round=n + 1, parent=parent, suffix=", a"))
    html = view_tree.draw(grow(line), Thumbs(shelf), None, 240)
    assert html.count('class="leaf"') == 240
    assert html.count('<ol class="branches">') == 6
    assert html.count("<ol") == html.count("</ol>")
    assert html.count("<li") == html.count("</li>")
    assert "Show older" in html
    roots = [replace(base, id=f"{n:016x}", series=str(n), changed=n) for n in range(1000)]
    html = view_tree.draw(grow(roots), Thumbs(shelf), None, 240)
    assert html.count("<details") == 240
    assert html.count("<details open") == 3
    assert "1,000 pictures in 1,000 rounds" in html


def test_the_words_that_filter():
    base = Card("1", "", 0, "m", "A red FOX, neon", 7, "seed 7", 64, 64, 1, None, None, False, "s")

    def found(words="", model="", seed="", starred=False, stars=frozenset()) -> bool:
        return matching(words, model, seed, starred, stars)(base)

    assert found()
    assert found("fox RED")
    assert not found("fox blue")
    assert found(model="m")
    assert not found(model="other")
    assert found(seed="1-9")
    assert found(seed=" 3, 7 ")
    assert not found(seed="8")
    assert not found(starred=True)
    assert found(starred=True, stars={"1"})
    for seed in ("x", "-1", "1-", "12345678901", "1..2", 7, "٣"):
        with pytest.raises(InputError, match="seed"):
            matching("", "", seed, False, set())


# Rounds of former visits


def test_a_round_that_was_made_before_is_on_the_page_as_it_was(shelf):
    first = [sample_picture(seed) for seed in range(3)]
    control = sample_picture(1, round=2, parent=first[1].id, control=True)
    styled = sample_picture(1, prompt="a red fox, neon", round=2, parent=first[1].id, suffix=", neon")
    for picture in (*first, control, styled):
        shelf.put(picture)
    album, visit = Album(shelf), Visit("m")
    restore(visit, album)
    assert [sheet.round.number for sheet in visit.rounds] == [1, 2]
    assert [tile.id for tile in visit.shown.tiles.values()] == [control.id, styled.id]
    assert (visit.shown.control, visit.shown.tiles[0].alike) == ("equal", 1.0)
    assert visit.pick.id == first[1].id
    choose(visit, album, styled.id)
    assert (visit.pick.id, visit.pick.parent, visit.pick.round) == (styled.id, first[1].id, 2)
    choose(visit, album, first[2].id)
    assert (visit.pick.id, len(visit.rounds)) == (first[2].id, 2)


def test_a_picture_that_was_edited_is_not_picked_and_the_page_stays(shelf):
    made, other = sample_picture(1), sample_picture(2)
    for picture in (made, other):
        shelf.put(picture)
    edited = replace(made, image=other.image)
    album, visit = Album(shelf), Visit("m")
    shelf.get(made.id).write_bytes(encode(edited))
    with pytest.raises(PictureError, match="changed after"):
        choose(visit, album, made.id)
    assert visit.rounds == []
    choose(visit, album, other.id)
    assert [tile.id for tile in visit.shown.tiles.values()] == [other.id]


# Many


def test_fifteen_hundred_pictures_are_shown_a_page_at_a_time(tiny_sd_folder, tmp_path):
    settings = Settings(model=str(tiny_sd_folder), data=tmp_path)
    device = runtime.start(settings)
    ground = Shelf(tmp_path / "pictures")
    studio = Studio(settings, Models(settings, device), ground)
    bench.fill(ground, 1500)
    player, visit = Player(studio), Visit("m")
    shelves, trees = ShelfHandlers(player), TreeHandlers(player)
    shown = shelves.show_shelf(visit, "", "", "", False, 60)
    assert shown["shelf"].count("<li") == 60
    assert "1,500 pictures" in shown["shelf"]
    assert len(shown["shelf"]) < 60_000
    more = shelves.more_shelf(visit, "", "", "", False, 60)
    assert (more["shelf"].count("<li"), more["shelf_limit"]) == (120, 120)
    found = shelves.filter_shelf(visit, "neon", "", "", False)
    assert "of 1,500 pictures" in found["shelf"]
    tree = trees.show_tree(visit, 240)["tree"]
    assert 240 <= tree.count('class="leaf"') < 240 + 64
    assert len(tree) < 200_000
    assert trees.older(visit, 240)["tree"].count('class="leaf"') >= 720
    every = [card.id for card in visit.album(studio.shelves).newest_first()]
    event = gr.EventData(None, {"ids": every[:500]})
    request = SimpleNamespace(session_hash="a")
    left = shelves.remove(visit, "", "", "", False, 60, event, request)
    assert "500 pictures deleted" in left["shelf"]
    (deletion,) = Trash(ground).deletions()
    asked = gr.EventData(None, {"deletion": deletion.name, "open": False})
    back = shelves.restore(visit, "", "", "", False, 60, asked, request)
    assert "500 pictures are back" in back["shelf"]
    assert [card.id for card in visit.album(studio.shelves).newest_first()] == every


def test_the_bench_says_how_long_a_visitor_waits(capsys):
    assert main(["shelf", "--pictures", "30"]) == 0
    out = capsys.readouterr().out
    for line in ("30 pictures", "first index", "index after a restart", "filter", "tree of all"):
        assert line in out
