"""Looks: each another picture of the same scene, and never an empty one."""

from __future__ import annotations

import pytest
import torch

from pipeline_utils.training.data.looks import LOOKS, STYLES, colours, contours, paint, shifted, toned
from pipeline_utils.training.data.scenes import Stage
from tests.training.shapes import many_draws, shapes


@pytest.fixture(scope="module")
def cut():
    """A large ball in a place of its own, cut out, 128 px."""
    stage = Stage(shapes(128))
    draws = many_draws(1)
    draws[:, 2] = -3.0
    nothing = torch.zeros(1, dtype=torch.long)
    return stage.cut_outs(stage.scenes(draws, nothing, nothing, nothing - 1))


def painted(cut, look, ground=(0.8, 0.7, 0.6)):
    back = torch.tensor(ground).view(1, 3, 1, 1).expand(1, -1, 128, 128)
    return paint(torch.tensor([STYLES.index(look)]), cut[:, :3], cut[:, 3:], back)[0]


def test_there_are_sixteen_styles_and_more_and_the_four_that_the_page_starts_with():
    assert STYLES[0] == ""
    assert len(STYLES) - 1 >= 16
    assert STYLES[1:5] == ("highly realistic", "artsy", "trending", "colorful")


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_is_a_picture(look, cut):
    picture = painted(cut, look)
    assert picture.shape == (3, 128, 128)
    assert picture.isfinite().all()
    assert picture.min() >= 0
    assert picture.max() <= 1


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("like", ["drawing", "white", "black"])
def test_nothing_vanishes_into_a_ground_of_its_colour(look, like, cut):
    """Even where a caption asks for white on white."""
    flat = cut[:, 3:].expand(-1, 3, -1, -1)
    colour = {"drawing": cut[:, :3], "white": flat, "black": flat * 0}[like]
    ground = {"drawing": (0.784, 0.235, 0.235), "white": (1.0, 1.0, 1.0), "black": (0.05, 0.05, 0.06)}[like]
    made = painted(torch.cat([colour, cut[:, 3:]], 1), look, ground)
    empty = painted(torch.zeros_like(cut), look, ground)
    assert (made - empty).abs().amax(0).gt(0.1).float().mean() > 0.01


def test_every_two_looks_differ_at_a_glance(cut):
    pictures = torch.stack([painted(cut, look) for look in LOOKS]).flatten(1)
    apart = torch.cdist(pictures, pictures) / pictures.shape[1] ** 0.5
    apart.fill_diagonal_(1)
    assert apart.min() > 0.04


@pytest.mark.parametrize("look", [look for look in LOOKS if look not in ("noir", "sepia")])
def test_the_grounds_colour_shows_in_every_look_that_has_colours(look, cut):
    one, other = painted(cut, look, (0.95, 0.55, 0.55)), painted(cut, look, (0.55, 0.6, 0.95))
    assert (one - other).abs().mean() > 0.003


def test_a_batch_of_mixed_looks_is_painted_row_by_row(cut):
    back = torch.full((3, 3, 128, 128), 0.7)
    look = torch.tensor([2, 0, 6])
    many = cut.expand(3, -1, -1, -1)
    together = paint(look, many[:, :3], many[:, 3:], back)
    for row in range(3):
        assert torch.equal(together[row], paint(look[row : row + 1], cut[:, :3], cut[:, 3:], back[:1])[0])


def test_tones_glide_along_a_scale():
    scale = colours("#000000", "#ff0000", "#ffffff")
    tone = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 1, 4)
    assert torch.allclose(toned(tone, scale)[0, :, 0].T, torch.tensor([[0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 1, 1.0]]))


def test_a_shift_brings_in_nothing():
    moved = shifted(torch.ones(1, 4, 4), 1, -2)
    assert moved.sum() == 3 * 2
    assert (moved[0, 1:, :2] == 1).all()


def test_contours_run_along_the_outline(cut):
    lines = contours(cut[:, :3], cut[:, 3:], 1)[0, 0]
    inside = cut[0, 3] > 0.5
    assert lines[inside].max() > 0.9
    assert lines[0, 0] == 0
