"""What a visitor finds again after a reload: the rounds as they were, from nothing but the PNGs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline_utils.__main__ import main
from pipeline_utils.engine.events import Finished
from pipeline_utils.errors import ModelError
from pipeline_utils.page.rounds import html
from pipeline_utils.page.shelf import html as view_shelf
from pipeline_utils.page.tree import layout as view_tree
from pipeline_utils.page.visitor.pictures import label
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.page.visitor.visits import choose, restore
from pipeline_utils.picture import png
from pipeline_utils.picture.picture import Picture, read
from pipeline_utils.proof.replay import verify
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.shelf.copies import Thumbs
from pipeline_utils.shelf.owners import Album
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.studio import Studio
from tests.making import made, studio

CORPUS = Path(__file__).parents[1] / "corpus"


@pytest.fixture
def place(tiny_sd_folder, tmp_path) -> Studio:
    return studio(tiny_sd_folder, tmp_path)


def pictures(events) -> list[Picture]:
    return [event.picture for event in made(events)]


def again(place: Studio) -> tuple[Visit, Album]:
    """A visit after a reload, and the album it looks at."""
    visit, album = Visit(place.models.default), Album(place.shelf)
    restore(visit, album)
    return visit, album


def shown(visit: Visit) -> list[str]:
    return [html.caption(visit.shown, at).split(" · ")[0] for at in range(len(visit.shown.round.places))]


def test_two_second_rounds_of_one_pick_stay_two_after_a_reload(place):
    pick = pictures(place.first_round(Ask("a red fox", "0-3", num_inference_steps=2)))[2]
    for suffixes in ([", neon", ", ink"], [", flat"]):
        pictures(place.second_round(pick, suffixes))
    pictures(place.variations(pick, "7, 8"))
    _, album = again(place)
    branches = album.tree().below[pick.id]
    assert [[label(card) for card in branch.cards] for branch in branches] == [
        ["control", "neon", "ink"],
        ["control", "flat"],
        ["control", "seed 2, 20 % towards seed 7", "seed 2, 20 % towards seed 8"],
    ]
    for branch in branches:
        visit = Visit(place.models.default)
        choose(visit, album, branch.cards[1].id)
        assert [tile.id for tile in visit.shown.tiles.values()] == [card.id for card in branch.cards]
        assert visit.shown.control == "equal"


def test_a_grid_comes_back_as_one_round_after_a_reload(place):
    first = pictures(place.first_round(Ask("a red fox", "0-3", num_inference_steps=2)))
    picked = [first[3], first[1]]
    grid = pictures(place.grid(picked, [", neon", ", ink"]))
    visit, album = again(place)
    assert [tile.id for tile in visit.shown.tiles.values()] == [picture.id for picture in grid]
    assert (visit.shown.round.columns, visit.shown.round.rows, visit.shown.name) == (3, 2, "2 seeds")
    assert visit.shown.controls == {0: "equal", 3: "equal"}
    assert html.caption(visit.shown, 4).startswith("seed 1 · neon · ")
    assert visit.pick.id == picked[0].id
    # The tree shows one row for it, below the first picture that it came from, and says all of them.
    shown = view_tree.draw(album.tree(), Thumbs(place.shelf), None, 100)
    assert shown.count('<ul class="row"') == 2
    assert "from seed 3; seed 1</span>" in shown
    assert "seed 1 · neon" in shown
    assert shown.count("<li class=led>") == 2
    # Where its first pick is deleted it hangs below the other; where none is left, it says so.
    album.shelf.get(picked[0].id).unlink()
    tree = Album(place.shelf).tree()
    assert tree.of[grid[0].id].parent.id == picked[1].id
    album.shelf.get(picked[1].id).unlink()
    tree = Album(place.shelf).tree()
    assert tree.of[grid[0].id].lost
    assert len(tree.of[grid[0].id].cards) == 6
    # A grid that has lost a picture is no grid in rows, but still one round of two seeds.
    album.shelf.get(grid[1].id).unlink()
    visit = Visit(place.models.default)
    choose(visit, Album(place.shelf), grid[4].id)
    assert (visit.shown.round.columns, visit.shown.round.rows) == (None, 2)
    assert html.caption(visit.shown, 3) == "seed 1 · neon"


def test_the_order_of_a_round_is_in_the_files_and_not_in_their_times(place):
    asked = pictures(place.first_round(Ask("a red fox", "5, 3, 9", num_inference_steps=2)))
    place.shelf.get(asked[0].id).unlink()
    pictures(place.first_round(Ask("a red fox", "5, 3, 9", num_inference_steps=2)))
    visit, _ = again(place)
    assert shown(visit) == ["seed 5", "seed 3", "seed 9"]


def test_a_round_asked_for_again_is_the_same_round_and_nothing_is_written_twice(place):
    first = pictures(place.first_round(Ask("a red fox", "0-3", num_inference_steps=2)))
    other = pictures(place.first_round(Ask("a red fox", "0-1", num_inference_steps=2)))
    again = pictures(place.first_round(Ask("a red fox", "0-3", num_inference_steps=2)))
    assert [picture.id for picture in again] == [picture.id for picture in first]
    assert [len(branch.cards) for branch in Album(place.shelf).tree().roots] == [2, 4]
    assert {picture.lineage.round_id for picture in first} != {picture.lineage.round_id for picture in other}
    controls = [pictures(place.second_round(first[0], [suffix]))[0] for suffix in (", ink", ", neon", ", ink")]
    assert controls[0].id == controls[2].id != controls[1].id
    assert len({control.pixel_sha256 for control in controls}) == 1
    # The same round of another fingerprint stands beside it.
    for picture in first:
        place.shelf.put(replace(picture, fingerprint=picture.fingerprint | {"torch": "1.0"}))
    assert [len(branch.cards) for branch in Album(place.shelf).tree().roots] == [4, 4, 2]


def test_a_picture_blacked_out_by_a_safety_checker_is_shown_as_that_after_a_reload(place):
    honest = place.make

    def black_out(event):
        return replace(event, image=Image.new("RGB", event.image.size), flagged=True)

    def checked(*asked):
        def emit(event):
            asked[-1](black_out(event) if isinstance(event, Finished) and event.index == 1 else event)

        honest(*asked[:-1], emit)

    place.make = checked
    black = pictures(place.first_round(Ask("a red fox", "0-1", num_inference_steps=2)))[1]
    visit, album = again(place)
    assert html.caption(visit.shown, 0) == "seed 0"
    assert html.caption(visit.shown, 1) == "seed 1 · blacked out by the safety checker"
    visit.choose(1, place.shelf.get(black.id).name)
    assert "Blacked out by the safety checker." in html.pick(visit.pick)
    visit.choose(0, visit.shown.tiles[0].file.name)
    assert "lacked out" not in html.pick(visit.pick)
    tree = view_tree.draw(album.tree(), Thumbs(place.shelf), None, 100)
    shelf = view_shelf.shelf(album.newest_first(), 2, Thumbs(place.shelf), set(), None, 100)
    for shown in (tree, shelf):
        assert shown.count('alt="a red fox, seed 1, blacked out by the safety checker"') == 1
        assert shown.count(" · blacked out<") == 1
    # Verify says it: the checker did the same here; or it did not, which is why the pixels differ.
    reading = read(place.shelf.get(black.id))
    found = verify(place, reading)
    assert not found.identical  # `checked` blacks out the second of a round, and a replay is the first
    assert found.sentence.endswith("The model's safety checker blacked it out when it was made, and not here.")

    def always(*asked):
        honest(*asked[:-1], lambda event: asked[-1](black_out(event) if isinstance(event, Finished) else event))

    place.make = always
    found = verify(place, reading)
    assert found.identical
    assert found.sentence.endswith("It is black, there and here, since the model's safety checker blacked it out.")
    assert (found.to_dict()["flagged_there"], found.to_dict()["flagged_here"]) == (True, True)


def record_of(path) -> str:
    return png.walk(path.read_bytes()).text("recipe")


def test_pictures_of_the_second_schema_are_shown_verified_and_reopened_as_before(place, capsys):
    files = sorted(CORPUS.glob("read_schema_2_*.png"))
    kept = {path.stem.removeprefix("read_schema_2_"): read(path).picture for path in files}
    assert list(kept) == ["first_0", "first_1", "second_0", "second_1", "variation_0"]
    for path, picture in zip(files, kept.values(), strict=True):
        assert main(["show", "--json", str(path)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["record"] == json.loads(record_of(path)) == picture.record()
        assert not told["edited"]
        assert record_of(place.shelf.put(picture)) == record_of(path)
        found = verify(place, read(path))
        assert found.identical or found.differing  # made elsewhere: alike, and measured
    tree = Album(Shelf(place.shelf.folder)).tree()
    assert {name: [len(b.cards) for b in tree.below[kept[name].id]] for name in ("first_0", "first_1")} == {
        "first_0": [1],
        "first_1": [2],
    }
    # They are of the bundled model's first edition: what can no longer be made says so, and why.
    with pytest.raises(ModelError, match=r"made with emoji-sd at sha256:.* other weights make another picture"):
        pictures(place.second_round(kept["first_1"], [", flat"]))


def test_pictures_of_the_first_schema_are_read_verified_and_reopened_as_before(place):
    files = sorted(CORPUS.glob("read_schema_1_*.png"))
    kept = {path.stem.removeprefix("read_schema_1_"): read(path).picture for path in files}
    assert Counter(name.split("_")[0] for name in kept) == {"first": 4, "second": 3, "variation": 3, "grid": 4}
    for path, picture in zip(files, kept.values(), strict=True):
        shelved = place.shelf.put(picture)
        assert record_of(shelved) == record_of(path)  # its id, which others name as their parent, is the same
        found = verify(place, read(path))
        assert found.identical or found.differing  # made elsewhere: alike, and measured
    album = Album(Shelf(place.shelf.folder))
    tree = album.tree()
    assert len(tree.of) == 14
    assert [len(branch.cards) for branch in tree.roots] == [4]
    pick = {name: kept[f"first_{n}"].id for n, name in enumerate(("row 0", "row 1", "styled", "varied"))}
    assert {name: [len(b.cards) for b in tree.below[each]] for name, each in pick.items()} == {
        "row 0": [2],
        "row 1": [2],
        "styled": [3],
        "varied": [3],
    }
    visit = Visit(place.models.default)
    choose(visit, album, kept["second_1"].id)
    assert shown(visit) == ["control", "neon", "ink"]
    assert visit.shown.control == "equal"
    assert not any(tile.flagged for tile in visit.shown.tiles.values())
    pictures(place.second_round(kept["second_1"], [", flat"]))
    assert [len(branch.cards) for branch in album.tree().below[kept["second_1"].id]] == [2]
