"""What a training picture shows: drawings, draws, grounds, captions."""

from __future__ import annotations

import json
import random
import subprocess
import tarfile

import numpy as np
import pytest
import torch

from pipeline_utils.training.data import packages, render, things
from pipeline_utils.training.data.captions import Wording
from pipeline_utils.training.data.looks import STYLES
from pipeline_utils.training.data.scenes import APART, CELLS, Odds, Stage, free_ground, set_off, uniform
from pipeline_utils.training.data.words import GROUNDS, with_article
from tests.training.shapes import NAMES, many_draws, shapes


@pytest.fixture(scope="module")
def stage():
    return Stage(shapes())


def some(stage, n=400, seed=0, **odds):
    return stage.random(n, Odds(**odds), torch.Generator().manual_seed(seed))


def plain_scenes(stage, draws, thing=0, look=0, said=-1):
    whole = lambda v: torch.full((len(draws),), v)  # noqa: E731
    return stage.scenes(draws, whole(thing), whole(look), whole(said))


def test_drawings_are_premultiplied_centred_and_of_two_sizes():
    drawings = shapes(64)
    assert drawings.rgba.shape == (3, render.DESIGNS, 2, 4, 64, 64)
    small, large = drawings.rgba[0, 0, 0].float(), drawings.rgba[0, 0, 1].float()
    assert (small[:3] <= small[3:]).all()
    assert small[3].sum() < large[3].sum()
    rows = small[3].amax(1).nonzero()
    assert abs(int(rows[0]) - (63 - int(rows[-1]))) <= 1


def test_a_missing_design_is_never_taken_and_shares_sum_to_one(stage):
    share = stage.drawings.share
    assert torch.allclose(share.sum(1), torch.ones(3))
    assert share[1, 2] == 0
    assert (share[1, :2] > 0).all()
    scenes = plain_scenes(stage, many_draws(500), thing=1)
    assert set(scenes.design.tolist()) == {0, 1}


def test_a_thing_that_no_set_draws_is_refused():
    found = {(0, 0): [np.zeros((8, 8, 4), np.uint8)] * 2}
    with pytest.raises(ValueError, match="no set draws: box"):
        render.assemble(found, [1.0], ["ball", "box"])


def test_drawings_come_back_from_their_file(tmp_path):
    drawings = shapes()
    drawings.save(tmp_path / "drawings.pt")
    again = render.Drawings.load(tmp_path / "drawings.pt")
    assert torch.equal(again.rgba, drawings.rgba)
    assert again.names == NAMES


def archive(path, members: dict[str, str]):
    import io

    with tarfile.open(path, "w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))


def test_the_things_are_240_with_distinct_names_and_a_small_preset_takes_the_first(tmp_path):
    pairs = [" ".join(item.split()).partition(":") for item in things.THINGS.split(";")]
    labels = {label or name for name, _, label in pairs}
    assert len(pairs) == len({name for name, _, _ in pairs}) == 240
    rows = [{"label": label, "hexcode": "1F418", "group": 3, "tags": ["Big Ears"]} for label in labels]
    archive(tmp_path / packages.LABELS.archive, {"en/data.json": json.dumps(rows)})
    assert [thing.name for thing in things.load_things(tmp_path, 2)] == ["elephant", "whale"]
    assert things.load_things(tmp_path, 2)[1].label == "spouting whale"
    assert things.load_things(tmp_path, 1)[0].tags == ("big ears",)
    assert "automobile" in things.rivals(tmp_path, things.load_things(tmp_path, 2))


def test_a_label_that_the_label_set_lacks_is_named(tmp_path):
    archive(tmp_path / packages.LABELS.archive, {"en/data.json": "[]"})
    with pytest.raises(ValueError, match="elephant"):
        things.load_things(tmp_path, 1)


def test_a_thing_is_found_by_label_name_and_first_variant():
    slugs = things.Thing("clock", "alarm clock", "23F0").slugs
    assert slugs == ("alarm-clock", "alarmclock", "alarm-clock-1", "clock", "clock-1")


def test_what_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda call, **_: calls.append(call[-1]))
    (tmp_path / packages.SETS[0].archive).touch()
    packages.fetch(tmp_path)
    assert len(calls) == len(packages.SETS)
    assert f"{packages.SETS[0].package}@{packages.SETS[0].version}" not in calls


def test_svg_sets_are_drawn_by_slug_and_alias(tmp_path):
    icons = {"icons": {"dog": {"body": '<path d="M0 0h16v16H0z"/>'}}, "aliases": {"dog-face": {"parent": "dog"}}}
    archive(tmp_path / "set.tgz", {"icons.json": json.dumps(icons)})
    draw = render._svg_drawer(tmp_path / "set.tgz")
    picture = draw(things.Thing("pup", "dog face", "1F436"), 8)
    assert picture.shape == (8, 8, 4)
    assert (picture[..., 3] == 255).all()
    assert draw(things.Thing("cat", "cat face", "1F431"), 8) is None


def test_draws_are_even_and_decide_every_choice(stage):
    scenes = plain_scenes(stage, many_draws(6000))
    small = scenes.size == 0
    assert 0.36 < scenes.size.float().mean() < 0.44
    assert 0.46 < scenes.flip.float().mean() < 0.54
    for place in (scenes.dx[small], scenes.dy[small]):
        assert all(0.29 < (place == k).float().mean() < 0.38 for k in (-1, 0, 1))
    assert (scenes.dx[~small] == 0).all()
    assert (scenes.dy[~small] == 0).all()


def test_one_seed_is_one_composition_whatever_the_caption_says(stage):
    draws = many_draws(200)
    one, other = plain_scenes(stage, draws), plain_scenes(stage, draws, look=5, said=3)
    for name in ("design", "size", "flip", "dx", "dy"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_ground_that_the_caption_names_is_obeyed(stage):
    for number, ground in enumerate(GROUNDS):
        scenes = plain_scenes(stage, many_draws(5), said=number)
        picture = stage.grounds(scenes, 32)[0]
        said = [int(ground.top[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (picture[:, 0].mean(1) - torch.tensor(said)).abs().max() < 0.03


def test_near_draws_are_near_grounds():
    draws = many_draws(500)[:, :3]
    rim = torch.rand(500, 3, generator=torch.Generator().manual_seed(1))
    colours = [set_off(free_ground(uniform(draws + off)), rim) for off in (0.0, 0.01)]
    assert (colours[0] - colours[1]).norm(dim=1).quantile(0.99) < 0.05


def test_a_thing_is_not_drawn_in_its_grounds_colour():
    generator = torch.Generator().manual_seed(0)
    ground, rim = torch.rand(2000, 3, generator=generator), torch.rand(2000, 3, generator=generator)
    apart = (set_off(ground, rim) - rim).norm(dim=1)
    assert apart.quantile(0.01) > 0.6 * APART
    assert apart.min() > 0.3 * APART
    far = (ground - rim).norm(dim=1) > APART
    assert torch.allclose(set_off(ground, rim)[far], ground[far])


def test_a_drawing_stands_in_its_place_and_is_turned(stage):
    draws = torch.zeros(2, 8)
    draws[:, 2] = 3.0  # small
    draws[:, 0], draws[:, 1] = torch.tensor([-3.0, 3.0]), 0.0
    draws[:, 7] = torch.tensor([-1.0, 1.0])
    scenes = plain_scenes(stage, draws)
    assert scenes.dx.tolist() == [-1, 1]
    assert scenes.flip.tolist() == [1, 0]
    left, right = stage.cut_outs(scenes)
    cell = stage.drawings.side // CELLS
    assert torch.equal(left.flip(-1).roll(0, -1), right)
    columns = right[3].amax(0).nonzero().flatten()
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(stage.drawings.side / 2 - 0.5 + cell, abs=1)


def test_a_silent_caption_has_no_look_and_the_seeds_own_ground(stage):
    scenes = some(stage, silent=0.5)
    assert 0.4 < scenes.silent.float().mean() < 0.6
    assert (scenes.look[scenes.silent] == 0).all()
    assert (scenes.said[scenes.silent] == -1).all()


def test_scenes_are_taken_and_put_by_rows(stage):
    scenes, others = some(stage, 20), some(stage, 2, seed=1)
    scenes.put(torch.tensor([3, 7]), others)
    assert torch.equal(scenes[torch.tensor([3, 7])].draws, others.draws)
    assert len(scenes) == 20


def wording(**odds):
    return Wording(NAMES, [["sphere"], ["crate", "cube"], []], Odds(**odds))


def test_a_caption_names_what_the_scene_shows(stage):
    scenes = some(stage, silent=0.1)
    for row, said in enumerate(wording(synonym=0.0).captions(scenes, 5)):
        if scenes.silent[row]:
            assert said == ""
            continue
        assert NAMES[scenes.thing[row]] in said
        assert said.endswith(f", {STYLES[scenes.look[row]]}") == bool(scenes.look[row])
        behind = [any(p in said for p in ground.phrases) for ground in GROUNDS]
        assert behind == [k == scenes.said[row] for k in range(len(GROUNDS))]


def test_captions_depend_on_their_seed_alone(stage):
    scenes = some(stage, 50)
    assert wording().captions(scenes, 1) == wording().captions(scenes, 1) != wording().captions(scenes, 2)


def test_synonyms_stand_for_names_and_a_thing_without_any_keeps_its_own():
    chance = random.Random(0)
    said = [wording(synonym=1.0).caption(1, 0, -1, chance) for _ in range(50)]
    assert all("crate" in text or "cube" in text for text in said)
    assert "apple" in wording(synonym=1.0).caption(2, 0, -1, chance)


def test_vowels_take_an():
    assert with_article("apple") == "an apple"
    assert with_article("box") == "a box"


def test_what_is_spoken_covers_every_word_of_captions(stage):
    known = {word for text in wording().spoken() for word in text.replace(",", " ,").split()}
    for said in wording().captions(some(stage), 3):
        assert set(said.replace(",", " ,").split()) <= known
