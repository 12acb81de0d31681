"""Rounds as page, clients and commands ask for them."""

import errno
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from pipeline_utils.api import endpoints
from pipeline_utils.engine import engine
from pipeline_utils.engine.events import Step
from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.page.rounds.html import caption
from pipeline_utils.page.running import Player
from pipeline_utils.page.visitor.visit import RoundShown, Visit
from pipeline_utils.picture import parameters, png
from pipeline_utils.picture.picture import Picture, read
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.recipe.rounds import Place, Round
from pipeline_utils.shelf.contact_sheet import label
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.studio import Made, Started, Waiting
from tests.making import made, studio


@pytest.fixture(scope="module")
def here(tiny_sd_folder, tmp_path_factory):
    return studio(tiny_sd_folder, tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def first(here):
    return [event.picture for event in made(here.first_round(Ask("a cat", "0-3", num_inference_steps=3)))]


def test_a_round_is_told_from_waiting_to_the_last_picture(tiny_sd_folder, tmp_path):
    fresh = studio(tiny_sd_folder, tmp_path)
    events = list(fresh.first_round(Ask("a cat", "0-1", num_inference_steps=2)))
    assert [type(event) for event in events] == [Waiting, Started, Step, Step, Made, Made]
    assert events[1].round.number == 1
    assert [event.index for event in events if isinstance(event, Made)] == [0, 1]


def test_the_values_left_out_are_those_of_the_model(here):
    spec = here.models.spec(here.models.default)
    (picture,) = [event.picture for event in made(here.first_round(Ask("a cat", "5", num_inference_steps=2)))]
    recipe = picture.recipe
    assert (recipe.guidance_scale, recipe.scheduler) == (spec.guidance_scale, spec.scheduler)
    assert (recipe.width, recipe.height, recipe.lanes) == (spec.width, spec.height, spec.lanes)
    assert recipe.model == spec.name
    assert recipe.seed == 5
    assert picture.fingerprint["threads"] == here.settings.threads == 1  # set at start, for every thread


def test_guidance_zero_is_a_value_and_not_left_out(here):
    (event,) = made(here.first_round(Ask("a cat", "5", num_inference_steps=2, guidance_scale=0)))
    assert event.picture.recipe.guidance_scale == 0.0


def test_the_control_of_the_second_round_equals_the_pick(here, first):
    pick = first[2]
    events = made(here.second_round(pick, [", artsy", ", trending"]))
    control, *styled = [event.picture for event in events]
    assert control.lineage.control
    assert control.pixel_sha256 == pick.pixel_sha256
    assert control.recipe == pick.recipe
    assert [p.recipe.prompt for p in styled] == ["a cat, artsy", "a cat, trending"]
    assert {p.recipe.seed for p in styled} == {pick.recipe.seed}
    assert all(p.pixel_sha256 != pick.pixel_sha256 for p in styled)


def test_lineage_goes_from_round_to_round(here, first):
    second = made(here.second_round(first[1], [", artsy"]))[1].picture
    third = made(here.second_round(second, [", colorful"]))
    assert (second.lineage.round, second.lineage.parent, second.lineage.suffix) == (2, first[1].id, ", artsy")
    control, styled = (event.picture for event in third)
    assert (styled.lineage.round, styled.lineage.parent, styled.lineage.suffix) == (3, second.id, ", colorful")
    assert styled.recipe.prompt == "a cat, artsy, colorful"
    assert control.pixel_sha256 == second.pixel_sha256
    assert (first[1].lineage.round, first[1].lineage.parent) == (1, None)


def test_every_picture_is_on_the_shelf_with_its_recipe_when_it_is_told(here):
    for event in here.first_round(Ask("a dog", "0-2", num_inference_steps=2)):
        if isinstance(event, Made):
            found = read(here.shelf.get(event.picture.id))
            assert found.picture.recipe == event.picture.recipe
            assert found.image.tobytes() == event.picture.image.tobytes()
            assert not found.edited


@pytest.fixture
def racing(tiny_sd_folder, tmp_path, monkeypatch):
    """A studio whose pictures are deleted, by another tab, as soon as they stand on the shelf."""
    racing, put = studio(tiny_sd_folder, tmp_path), Shelf.put

    def lost(shelf, picture, writer):
        file = put(shelf, picture)
        file.unlink()
        return file

    monkeypatch.setattr(Shelf, "put", lost)
    return racing


def test_a_picture_deleted_while_its_round_ends_does_not_fail_the_endpoint(racing):
    answer = endpoints(racing)["first_round"]("a cat", "0-1", num_inference_steps=2)
    assert [(entry["seed"], len(entry["pixel_sha256"])) for entry in answer["pictures"]] == [(0, 64), (1, 64)]
    assert [entry["file"] for entry in answer["pictures"]] == [None, None]  # a client would look for it in vain


def test_a_picture_deleted_while_its_round_ends_does_not_fail_the_page(racing):
    player, visit = Player(racing), Visit(racing.models.default)
    start = partial(racing.first_round, Ask("a cat", "0-1", num_inference_steps=2))
    *_, last = player.play(visit, start, {}, SimpleNamespace(session_hash="a"))
    assert "2 pictures in" in last["status"]
    assert len(visit.shown.tiles) == 2


def test_a_second_round_can_start_from_a_file(here, first):
    pick = read(here.shelf.get(first[0].id)).picture
    assert made(here.second_round(pick, [", artsy"]))[0].picture.pixel_sha256 == first[0].pixel_sha256


def test_the_same_call_gives_the_same_pictures_after_a_restart(tiny_sd_folder, tmp_path, first):
    again = studio(tiny_sd_folder, tmp_path)
    for event in made(again.first_round(Ask("a cat", "0-3", num_inference_steps=3))):
        assert event.picture.pixel_sha256 == first[event.index].pixel_sha256
        assert event.picture.id == first[event.index].id


def test_random_seeds_are_drawn_once_and_kept_in_the_recipe(here):
    events = made(here.first_round(Ask("a cat", "3 random", num_inference_steps=1)))
    seeds = [event.picture.recipe.seed for event in events]
    assert len(set(seeds)) == 3
    again = made(here.first_round(Ask("a cat", ", ".join(map(str, seeds)), num_inference_steps=1)))
    assert [e.picture.pixel_sha256 for e in again] == [e.picture.pixel_sha256 for e in events]


def test_visitors_at_the_same_time_get_what_each_would_get_alone(here, first):
    def visit(number):
        events = made(here.first_round(Ask("a cat", f"{number}", num_inference_steps=3)))
        return events[0].picture.pixel_sha256

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(visit, range(4))) == [picture.pixel_sha256 for picture in first]


def test_a_short_round_is_served_between_two_long_ones(here):
    stop = threading.Event()
    long = here.first_round(Ask("a cat", "0", num_inference_steps=400), stop=stop)
    while not isinstance(next(long), Step):
        pass
    other = here.first_round(Ask("a dog", "0", num_inference_steps=400), stop=stop)
    while not isinstance(next(other), Step):
        pass
    events = here.first_round(Ask("a fox", "0", num_inference_steps=1))
    told = next(events)
    stop.set()
    assert isinstance(told, Waiting | Started)
    assert len(made(events)) == 1


def test_a_stopped_round_keeps_what_was_made(here):
    stop, kept = threading.Event(), []
    for event in here.first_round(Ask("a cat", "100-120", num_inference_steps=2), stop=stop):
        if isinstance(event, Made):
            kept.append(event.picture)
            stop.set()
    assert 1 <= len(kept) <= engine.MOST
    assert all(here.shelf.get(picture.id).is_file() for picture in kept)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": ""}, "at least one word"),
        ({"prompt": None}, "text is needed"),
        ({"prompt": "x" * 2001}, "at most 2000"),
        ({"seeds": "4294967296"}, "4294967295"),
        ({"seeds": "0, 0"}, "once in a round"),
        ({"seeds": "-1"}, "whole numbers"),
        ({"seeds": None}, "text is needed"),
        ({"num_inference_steps": 0}, "from 1 to"),
        ({"num_inference_steps": 2.5}, "whole number"),
        ({"guidance_scale": float("nan")}, "number from 0"),
        ({"width": 36}, "multiple of 8"),
        ({"height": 4096}, "at most"),
        ({"sampler": "Magic"}, "one of"),
        ({"prompt": "cat " * 100}, "would not see"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(here, arguments, words):
    call = {"prompt": "a cat", "seeds": "0", **arguments}
    with pytest.raises(InputError, match=words):
        list(here.first_round(Ask(**call)))


def test_an_unknown_model_is_refused_before_anything_starts(here):
    with pytest.raises(ModelError):
        here.first_round(Ask("a cat", model="/etc/passwd"))


def test_a_picture_from_anywhere_never_makes_the_app_download_its_model(here, first):
    recipe = replace(first[0].recipe, model="someone/strange", revision="0" * 40)
    stranger = Picture.make(first[0].image, recipe, first[0].fingerprint, first[0].lineage)
    with pytest.raises(ModelError, match="not on this machine"):
        here.second_round(stranger, [", artsy"])


def test_a_long_prompt_is_cut_only_when_that_is_allowed(here):
    long = "cat " * 100
    events = made(here.first_round(Ask(long, "0", num_inference_steps=1, cut_long_prompts=True)))
    assert events[0].picture.recipe.prompt == long


def test_a_suffix_that_would_be_cut_is_named(here):
    (event,) = made(here.first_round(Ask("cat " * 70, "0", num_inference_steps=1)))
    with pytest.raises(InputError, match="would not see"):
        list(here.second_round(event.picture, [", in the style of watercolor painting and pixel art"]))


def test_suffixes_are_checked_before_anything_starts(here, first):
    for suffixes in ([], [" , "], [", a", ", a"], "text", None, [5], [", x" * 200]):
        with pytest.raises(InputError):
            here.second_round(first[0], suffixes)


def test_variations_lead_from_the_pick_to_the_second_seed(here, first):
    control, turned = (event.picture for event in made(here.variations(first[1], "9", 0.4)))
    assert control.lineage.control
    assert control.pixel_sha256 == first[1].pixel_sha256
    assert (turned.recipe.seed, turned.recipe.variation_seed, turned.recipe.variation_strength) == (1, 9, 0.4)
    assert (turned.lineage.round, turned.lineage.parent, turned.lineage.suffix) == (2, first[1].id, None)
    assert turned.pixel_sha256 != first[1].pixel_sha256
    # Its own second round and its own control are as good as any.
    again, styled = (event.picture for event in made(here.second_round(turned, [", artsy"])))
    assert again.pixel_sha256 == turned.pixel_sha256
    assert (styled.recipe.variation_seed, styled.recipe.prompt) == (9, "a cat, artsy")
    # The ends are the pick and the second seed.
    assert made(here.variations(first[1], "3", 0))[1].picture.pixel_sha256 == first[1].pixel_sha256
    assert made(here.variations(first[1], "3", 1))[1].picture.pixel_sha256 == first[3].pixel_sha256
    assert len(made(here.variations(first[1], "2 random"))) == 3


@pytest.mark.parametrize(("seeds", "strength"), [("x", 0.2), ("1", 0.2), ("5", 2), ("5", None), ("5", "much")])
def test_bad_variations_are_refused_before_anything_starts(here, first, seeds, strength):
    with pytest.raises(InputError):
        here.variations(first[1], seeds, strength)


def test_a_grid_is_the_second_rounds_of_several_picks_and_its_pictures_are_theirs(here, first):
    pictures = [event.picture for event in made(here.grid([first[2], first[0]], [", artsy"]))]
    assert [picture.lineage.parent for picture in pictures] == [first[2].id] * 2 + [first[0].id] * 2
    for pick, row in ((first[2], pictures[:2]), (first[0], pictures[2:])):
        assert row[0].pixel_sha256 == pick.pixel_sha256
        alone = [event.picture for event in made(here.second_round(pick, [", artsy"]))]
        bits = [[(picture.recipe, picture.pixel_sha256) for picture in those] for those in (alone, row)]
        assert bits[0] == bits[1]


def test_a_grid_of_two_models_is_refused(here, first):
    recipe = replace(first[0].recipe, model="someone/strange", revision="0" * 40)
    stranger = Picture.make(first[0].image, recipe, first[0].fingerprint, first[0].lineage)
    with pytest.raises(InputError, match=r"pictures: .*someone/strange.*all come from one model"):
        here.grid([first[1], stranger], [", artsy"])
    with pytest.raises(InputError, match="a grid takes 1 to 4"):
        here.grid([], [", artsy"])


@pytest.mark.parametrize("call", ["fsync", "utime", "replace"])
def test_a_folder_where_a_file_cannot_be_flushed_dated_or_renamed_is_told_at_the_start(
    call, tiny_sd_folder, tmp_path, monkeypatch
):
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    here = studio(tiny_sd_folder, tmp_path)
    assert here.trouble() == ""
    monkeypatch.setattr(f"pipeline_utils.files.os.{call}", refused)
    assert here.trouble() == f"The folder {here.shelf.folder.name} cannot be used: Operation not supported."
    assert [path for path in here.shelf.folder.iterdir() if path.name.endswith(".tmp")] == []


def test_name_recipe_text_and_caption_of_every_picture_say_one_seed(here):
    """Batches elsewhere give all their files the seed of the first, in the name or in the text."""
    picked = made(here.first_round(Ask("a cat", "7, 0, 4294967295", num_inference_steps=2)))
    grid = made(here.grid([picked[1].picture, picked[0].picture], [", artsy"]))
    for events, seeds in ((picked, [7, 0, 4294967295]), (grid, [0, 0, 7, 7])):
        shown = RoundShown(Round(1, tuple(Place(event.picture.recipe) for event in events)))
        for seed, event in zip(seeds, events, strict=True):
            recipe, file = read(event.file).picture.recipe, png.walk(event.file.read_bytes())
            assert recipe.seed == event.picture.recipe.seed == seed
            assert event.file.name.startswith(f"seed-{seed}_round-{event.picture.lineage.round}_cat_")
            assert parameters.parse(file.text("parameters"))[0]["seed"] == seed
            assert caption(shown, event.index).startswith(f"seed {seed} ")
            assert label(event.picture, False)[0].split(" ·")[0] == f"seed {seed}"


@pytest.mark.parametrize(("host", "writer"), [("127.0.0.1", b"Ada"), ("0.0.0.0", None)])
def test_the_writer_of_the_prompts_is_named_at_home_and_never_on_a_host(tiny_sd_folder, tmp_path, host, writer):
    here = studio(tiny_sd_folder, tmp_path, prompt_writer="Ada", host=host)
    (event,) = made(here.first_round(Ask("a cat", "0", num_inference_steps=1)))
    found = re.search(rb"AIPromptWriterName>(.*?)<", event.file.read_bytes())
    assert (found and found[1]) == writer
