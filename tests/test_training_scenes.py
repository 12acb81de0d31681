"""What a training picture shows, and how two compositions are compared."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

pytest.importorskip("diffusers")

from pipeline_utils.training.augment import paint
from pipeline_utils.training.captions import compose, make_book
from pipeline_utils.training.composition import TYPICAL, compose_of, distance, painted_ground, parts
from pipeline_utils.training.presets import Odds
from pipeline_utils.training.resemblance import real_rounds
from pipeline_utils.training.words import INK, STYLES
from tests.shapes import NAMES, SMOKE, scenes_of, shapes


@pytest.fixture(scope="module")
def pictures():
    return shapes()


def test_favoured_concepts_are_met_twice_as_often(pictures):
    scenes, _ = scenes_of(pictures, 6000, favoured=(2,))
    share = (scenes.concept == 2).float().mean()
    assert 0.45 < share < 0.55


def test_practised_styles_are_met_so_many_times_as_often(pictures):
    neon = next(i for i, style in enumerate(STYLES) if style.word == "neon")
    often, _ = scenes_of(pictures, 20_000, practice={"neon": 3.0})
    usual, _ = scenes_of(pictures, 20_000)
    odds = [share / (1 - share) for share in ((s.style == neon).float().mean().item() for s in (often, usual))]
    assert odds[0] / odds[1] == pytest.approx(3, rel=0.15)


def test_the_article_fits_its_word(pictures):
    book = make_book(NAMES, [["orb"], [], []])
    scenes, generator = scenes_of(pictures, 600, tint=0.5)
    for row in compose(scenes, book, Odds(), generator):
        words = book.text(row).replace(",", "").split()
        for article, word in itertools.pairwise(words):
            if article in ("a", "an"):
                assert (article == "an") == (word[0] in "aeiou"), words


def test_scenes_are_the_same_for_the_same_seed(pictures):
    (one, _), (two, _) = scenes_of(pictures, seed=3), scenes_of(pictures, seed=3)
    assert torch.equal(paint(one, pictures, 32), paint(two, pictures, 32))


def test_a_scene_takes_its_picture_from_its_styles_sets(pictures):
    scenes, _ = scenes_of(pictures, 500)
    sets = pictures.style[scenes.picture]
    assert all(int(s) in STYLES[k].sets for s, k in zip(sets, scenes.style.tolist(), strict=True))
    assert torch.equal(pictures.concept[scenes.picture], scenes.concept)


def test_about_half_of_the_backgrounds_stay_unnamed(pictures):
    scenes, _ = scenes_of(pictures, 2000)
    assert 0.45 < (scenes.background < 0).float().mean() < 0.55


def test_every_look_paints_within_range_and_keeps_the_composition(pictures):
    scenes, _ = scenes_of(pictures, 8, background_named=0.0)
    scenes.look = torch.zeros_like(scenes.look)
    first = compose_of((paint(scenes, pictures, 64) + 1) / 2)
    for style, entry in enumerate(STYLES):
        scenes.look = torch.full_like(scenes.look, entry.look)
        painted = paint(scenes, pictures, 64)
        assert painted.shape == (8, 3, 64, 64)
        assert painted.min() >= -1
        assert painted.max() <= 1
        apart = distance(compose_of((painted + 1) / 2), first, style)
        assert apart.diagonal().mean() < apart.mean(), entry.word


def test_ink_is_light_on_dark_ground(pictures):
    scenes, _ = scenes_of(pictures, 40)
    scenes.picture = pictures.table[scenes.concept, INK[0]]
    scenes.look = torch.zeros_like(scenes.look)
    scenes.tint = torch.full_like(scenes.tint, -1)
    scenes.count = torch.ones_like(scenes.count)
    scenes.partner = torch.full_like(scenes.partner, -1)
    scenes.top = scenes.bottom = torch.full((40, 3), 0.05)
    assert (paint(scenes, pictures, 32).amax((1, 2, 3)) > 0.8).all()


def disc(x0, colour, ground=1.0, wide=1.0):
    """A picture [3, 64, 64] of an upright disc or, with ``wide`` above 1, of a lying ellipse."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    inside = (((x - x0) / wide) ** 2 + (y * wide) ** 2 < 0.2).float()
    ground = torch.as_tensor(ground).expand(3).view(3, 1, 1)
    return ground * (1 - inside) + torch.tensor(colour).view(3, 1, 1) * inside


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("place", disc(0.4, (0.9, 0.1, 0.1))),
        ("outline", disc(-0.3, (0.9, 0.1, 0.1), wide=1.5)),
        ("ground", disc(-0.3, (0.9, 0.1, 0.1), ground=(0.2, 0.3, 0.9))),
    ],
)
def test_distance_sees_what_must_stay_and_not_the_objects_colour(part, other):
    here, recoloured, changed = disc(-0.3, (0.9, 0.1, 0.1)), disc(-0.3, (0.1, 0.2, 0.5)), other
    seen = compose_of(torch.stack([here, recoloured, changed]))
    apart = parts(seen, seen[:1])[part][:, 0] / TYPICAL[part]
    assert apart[1] < 0.1
    assert apart[2] > 0.5
    assert distance(seen, seen[:1]).flatten().argsort().tolist() == [0, 1, 2]


def test_a_ground_is_compared_as_the_suffix_paints_it():
    grounds = torch.tensor([[0.2, 0.3, 0.9], [0.9, 0.9, 0.3]])
    first = compose_of(torch.stack([disc(0.0, (0.9, 0.1, 0.1), ground) for ground in grounds]))
    sepia = next(i for i, style in enumerate(STYLES) if style.word == "sepia")
    brown = painted_ground(first, sepia)
    assert (brown[:, 0] > brown[:, 2]).all()
    second = dataclasses.replace(first, ground=brown)
    assert parts(second, first, sepia)["ground"].diagonal().max() < 0.01
    assert parts(second, first, 0)["ground"].diagonal().min() > 0.1


def test_real_pictures_taken_through_two_rounds_are_found_again(pictures):
    preset = dataclasses.replace(SMOKE, odds=Odds(company=0.0))
    found = real_rounds(preset, pictures, trials=40)
    assert set(found) == {"looks", "alike", "others"}
    assert min(found.values()) > 0.7  # chance is a quarter
