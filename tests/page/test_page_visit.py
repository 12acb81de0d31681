"""What the page knows about a visitor, and what it says, without a browser."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from pipeline_utils.engine import engine
from pipeline_utils.engine.events import Finished
from pipeline_utils.engine.pool import Models
from pipeline_utils.errors import CapacityError, InputError, UserError
from pipeline_utils.models import runtime
from pipeline_utils.page.edge import labelled
from pipeline_utils.page.rounds import html, panels
from pipeline_utils.page.rounds.handlers import Handlers
from pipeline_utils.page.running import NEARLY_ALIKE, Player
from pipeline_utils.page.tokens.layout import Words
from pipeline_utils.page.visitor import visit as visit_module
from pipeline_utils.page.visitor.visit import Visit, compared, usual
from pipeline_utils.page.visitor.visits import choose, restore, show
from pipeline_utils.proof.comparison import composition, resemblance
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.studio import Studio

FIELDS = {"seeds": "0-7", "num_inference_steps": 2, "guidance_scale": 5.0}


@pytest.fixture
def studio(tiny_sd_folder, tmp_path) -> Studio:
    settings = Settings(model=str(tiny_sd_folder), data=tmp_path, threads=1)
    device = runtime.start(settings)
    return Studio(settings, Models(settings, device), Shelf(tmp_path / "pictures"))


def visitor(name: str) -> SimpleNamespace:
    return SimpleNamespace(session_hash=name)


def markup(rows: list[list[str]]) -> str:
    """The rounds as the page draws them."""
    return "\n".join("".join(pieces) for pieces in rows)


def played(steps) -> dict:
    """The last state of each part that a handler spoke of."""
    parts = {}
    for step in steps:
        parts |= step
    return parts


def test_a_control_that_differs_is_called_different(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    played(handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")))
    tile = visit.shown.tiles[2]
    visit.choose(2, tile.file.name)
    honest = studio.make

    def dishonest(*asked):
        def turned(event):
            if isinstance(event, Finished) and event.index == 0:
                image = event.image.copy()
                image.putpixel((3, 4), tuple(value ^ 1 for value in image.getpixel((3, 4))))
                event = replace(event, image=image)
            asked[-1](event)

        honest(*asked[:-1], turned)

    studio.make = dishonest
    parts = played(handlers.next_round(visit, [", artsy"], False, visitor("a")))
    assert "differ: 1 of 1024 pixels, by at most 1 of 255" in markup(parts["gallery"])
    assert html.caption(visit.shown, 0) == "control · differs from the pick"
    studio.make = honest
    parts = played(handlers.next_round(visit, [", artsy"], False, visitor("a")))
    assert "equal, bit for bit" in markup(parts["gallery"])
    picked = studio.shelf.read(tile.id)
    assert compared(picked, replace(picked, image=Image.new("RGB", (8, 8)), pixel_sha256="0" * 64)) == "another size"


@pytest.mark.parametrize("error", [CapacityError("Memory ran out at 4096x4096."), RuntimeError("/secret/path")])
def test_an_error_in_the_middle_keeps_what_is_finished_and_frees_the_page(studio, error):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)

    def failing(*asked):
        def broken(event):
            if isinstance(event, Finished) and event.index == 3:
                raise error
            asked[-1](event)

        engine.make(*asked[:-1], broken)

    studio.make = failing
    steps, parts = handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")), {}
    # What a person may read becomes a message here, the rest at the last edge (see test_edges).
    with pytest.raises(type(error)):
        parts.update((name, part) for step in steps for name, part in step.items())
    assert "Ended early; 3 pictures kept." in parts["status"]
    assert (parts["make"]["interactive"], parts["stop"]["visible"]) == (True, False)
    assert [place.recipe.seed for place in visit.shown.round.places] == [0, 1, 2]
    studio.make = engine.make
    assert "8 pictures in" in played(handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")))["status"]


def test_a_visitor_has_one_round_at_a_time_and_a_refused_one_changes_nothing(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    running = handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a"))
    next(running)
    with pytest.raises(UserError, match="still running"):
        next(handlers.first_round(visit, Ask("a blue cup", **FIELDS), visitor("a")))
    other = Visit(studio.models.default)
    assert "8 pictures" in played(handlers.first_round(other, Ask("a blue cup", **FIELDS), visitor("b")))["status"]
    assert "8 pictures" in played(running)["status"]
    for prompt, seeds in (("", "0-3"), ("a red fox", "x")):
        with pytest.raises(UserError):
            next(handlers.first_round(visit, Ask(prompt, **FIELDS | {"seeds": seeds}), visitor("a")))
    assert len(visit.rounds) == 1
    assert "8 pictures" in played(handlers.first_round(visit, Ask("a blue cup", **FIELDS), visitor("a")))["status"]


def test_a_round_stopped_before_its_first_picture_leaves_no_trace(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    played(handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")))
    before = visit.shown
    running = handlers.first_round(visit, Ask("a blue cup", num_inference_steps=400), visitor("a"))
    for step in running:
        if "Step" in str(step.get("status")):
            handlers.stop(visitor("a"))
            break
    assert "Stopped before the first picture." in played(running)["status"]
    assert (visit.rounds, visit.shown) == ([before], before)


@pytest.mark.parametrize("broken", ["closed", "forgotten", "failed"])
@pytest.mark.parametrize("at", range(5))
def test_a_broken_stream_of_events_never_leaves_a_round_running(studio, at, broken):
    """After "Starting…", the first words, steps and pictures; closed by the server, dropped, or raised into."""
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    steps = handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a"))
    for _ in range(at + 1):
        next(steps)
    if broken == "closed":
        steps.close()
    elif broken == "failed":
        with pytest.raises(GeneratorExit):
            steps.throw(GeneratorExit())
    del steps
    assert not [sheet for sheet in visit.rounds if sheet.running]
    assert all(sheet.tiles for sheet in visit.rounds)
    assert not handlers.player.is_busy(visitor("a"))
    if visit.shown:
        assert Path(handlers.zip_file(visit)).is_file()
    assert "8 pictures in" in played(handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")))["status"]


def test_rounds_and_pictures_of_a_visit_are_found_by_what_they_are_only(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    album = visit.album(studio.shelves)
    for index in (0, -1, None, "0", True, "", "0" * 16, [], {}):
        with pytest.raises(InputError):
            show(visit, album, index)
        with pytest.raises(InputError):
            visit.choose(index, None)
    played(handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")))
    for index in (1, [], "", None, "1" * 16):
        with pytest.raises(InputError):
            show(visit, album, index)
    with pytest.raises(UserError, match="Pick again"):
        visit.choose(0, "seed-1_0000000000000000.png")
    assert visit.pick is None
    visit.choose(0, visit.shown.tiles[1].file.name)  # what was clicked is known by its name, not by its place
    assert visit.pick.id == visit.shown.tiles[1].id


def test_the_same_bits_are_promised_only_for_what_was_made_as_pictures_are_made_here(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    played(handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")))
    own = studio.shelf.read(visit.shown.tiles[0].id)

    def said(picture) -> str:
        """What stands under the pick when the picture is picked on the shelf."""
        studio.shelf.put(picture)
        choose(visit, visit.album(studio.shelves), picture.id)
        return panels.picked(visit, studio, busy=False)["pick"]

    assert "Made on this machine, where the same bits come out again." in said(own)
    there = own.fingerprint
    elsewhere = {
        "torch 1.0 there, ": there | {"torch": "1.0"},
        "threads 64 there, 1 here": there | {"threads": 64},
        "driver 550 there, not known here": there | {"driver": "550"},
        "Where it was made is not known": {},
    }
    for words, fingerprint in elsewhere.items():
        html = said(replace(own, fingerprint=fingerprint))
        assert words in html
        assert "same bits come out again" not in html
    changes = {
        "full determinism True there, False here": {"full_determinism": True},
        "offload model there, none here": {"offload": "model"},
        "here the model is at sha256:": {"revision": "sha256:" + "0" * 32},
        "whether someone/sd-of-old is still what it was shows when it is loaded": {
            "model": "someone/sd-of-old",
            "revision": "0" * 40,
        },
    }
    for words, change in changes.items():
        html = said(replace(own, recipe=replace(own.recipe, **change)))
        assert words in html
        assert "same bits come out again" not in html


def test_the_page_holds_the_newest_rounds_and_those_of_the_pick_and_of_what_runs(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    first = (Ask("a red fox", "0-1", num_inference_steps=1), visitor("a"))
    running = handlers.first_round(visit, *first)
    while not visit.rounds:
        next(running)
    started = visit.shown
    for n in range(20):
        parts = played(handlers.first_round(visit, Ask(f"a blue cup {n}", "0-1", num_inference_steps=1), visitor("b")))
    titles = [f"Round 1 · {name}" for name in ("a red fox", *(f"a blue cup {n}" for n in range(9, 20)))]
    assert re.findall('aria-label="(.*?)"', markup(parts["gallery"])) == titles
    assert "2 pictures" in played(running)["status"]
    assert started in visit.rounds
    # The pick's own round stays, however many rounds are made from it.
    visit.shown = started
    visit.choose(0, started.tiles[0].file.name)
    for n in range(14):
        parts = played(handlers.next_round(visit, [f", {n}"], False, visitor("a")))
        assert len(parts["gallery"]) == 12
    assert visit.rounds[-2] is started  # right above what was made from it
    assert visit.pick.id == started.tiles[0].id
    # What the page no longer holds is in the tree.
    assert len(visit.album(studio.shelves).tree().below[visit.pick.id]) == 14


def test_seeds_beside_the_pick_tell_what_alike_means(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    played(handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")))
    first = visit.shown
    visit.choose(0, first.tiles[0].file.name)
    played(handlers.next_round(visit, [", artsy"], False, visitor("a")))
    styled = visit.shown.tiles[1]
    pictures = [tile.read().image for tile in first.tiles.values()]
    expected = [resemblance(pictures[0], other) for other in pictures[1:]]
    assert styled.usual == pytest.approx(sum(expected) / len(expected))
    assert styled.kept == composition(styled.alike, styled.usual)
    assert html.caption(visit.shown, 1) == f"artsy · {styled.kept}"
    again = Visit(studio.models.default)
    restore(again, again.album(studio.shelves))
    assert [tile.usual for tile in again.shown.tiles.values()] == [styled.usual] * 2
    for tile in first.tiles.values():
        if tile.id != first.tiles[0].id:
            tile.file.unlink()
    assert usual(first.tiles[0].read(), [(tile.file, tile.id) for tile in first.tiles.values()]) is None


def test_seeds_that_make_nearly_one_picture_are_told_with_what_to_do(studio, monkeypatch):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    said = played(handlers.first_round(visit, Ask("a red fox", **FIELDS), visitor("a")))
    assert NEARLY_ALIKE not in said["status"]
    monkeypatch.setattr(visit_module, "resemblance", lambda one, other: 0.9)
    for seeds, expected in (("10-13", True), ("20-21", False)):
        said = played(handlers.first_round(visit, Ask("a red fox", **FIELDS | {"seeds": seeds}), visitor("a")))
        assert (NEARLY_ALIKE in said["status"]) == expected


def test_what_was_typed_is_text_on_the_page_never_markup(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    prompt = "<img src=x onerror=alert(1)> \"a\" & 'b'"
    parts = played(handlers.first_round(visit, Ask(prompt, **FIELDS), visitor("a")))
    visit.choose(0, visit.shown.tiles[0].file.name)
    for shown in (markup(parts["gallery"]), html.pick(visit.pick), html.waiting(prompt), html.outcome(prompt)):
        assert "<img src=x" not in shown
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert 'alt="&lt;img src=x onerror=alert(1)&gt; &quot;a&quot;' in html.frame(visit.pick)


def test_durations_and_round_names_read_well():
    assert [html.duration(s) for s in (0.2, 59, 200, 9000)] == ["1 s", "59 s", "3 min", "2.5 h"]
    assert [html.round_name(n) for n in (2, 3, 11)] == ["Second round", "Third round", "Round 11"]


def test_a_refused_value_is_called_as_its_field_is_on_the_page():
    for error, said in (
        (InputError("num_inference_steps", 0, "a whole number"), "Steps: 0 is not accepted; a whole number."),
        (InputError("prompt", "", "at least one word is needed"), "Prompt: it is empty; at least one word is needed."),
        (InputError("suffix 2", "x", "no"), "suffix 2: 'x' is not accepted; no."),
        (UserError("There is no pick yet."), "There is no pick yet."),
    ):
        assert labelled(error) == said


def test_a_style_that_the_pick_has_already_is_said_to_stand_there_twice(studio):
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    played(handlers.first_round(visit, Ask("a lion, neon", **FIELDS), visitor("a")))
    visit.choose(0, visit.shown.tiles[0].file.name)
    said = Words(studio).words(visit, "a lion", [", neon", ", ink"])["suffix_words"]
    assert "The pick has <b>neon</b> already" in said
    assert "ink" not in said
    assert "already" not in Words(studio).words(visit, "a lion", [", ink"])["suffix_words"]


def test_a_model_that_is_chosen_twice_at_once_is_loaded_once_and_its_title_names_it(studio, tiny_sd_folder, tmp_path):
    other = shutil.copytree(tiny_sd_folder, tmp_path / "other")
    handlers, visit = Handlers(studio, Player(studio)), Visit(studio.models.default)
    loading = handlers.switch(visit, str(other), visitor("a"))
    next(loading)  # the list says it once when it is clicked, and once more when it is left
    assert list(handlers.switch(visit, str(other), visitor("a"))) == []
    assert "ready in" in played(loading)["status"]
    assert visit.model == "local:other"
    title = studio.models.spec(studio.models.default).title
    assert played(handlers.switch(visit, title, visitor("a")))["model"]["value"] == studio.models.default
