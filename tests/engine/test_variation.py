"""Variations: the noise of one seed turned towards that of another."""

import math
from dataclasses import replace

import pytest
import torch

from pipeline_utils.engine import engine
from pipeline_utils.engine.call import slerp
from pipeline_utils.errors import InputError
from pipeline_utils.models.catalog import FAMILIES
from pipeline_utils.recipe.rounds import variations
from tests import tiny
from tests.making import load, pictures, plain, recipe, seeded
from tests.running import BUNDLED

TINY = ("sd", "sdxl", "sd3", "flux")


@pytest.fixture(scope="module")
def loaded(tiny_sd_folder):
    return load(tiny_sd_folder)


def between(picked, seed, strength):
    """The recipe of a variation, as a round holds it."""
    return variations(picked, [seed], strength).recipes[1]


def apart(one: bytes, other: bytes) -> float:
    """Root mean square of the differences of two pictures' pixels, 0 to 255."""
    a, b = (torch.frombuffer(bytearray(pixels), dtype=torch.uint8).double() for pixels in (one, other))
    return float((a - b).pow(2).mean().sqrt())


@pytest.mark.parametrize("family", TINY)
def test_strength_0_is_the_pick_and_strength_1_the_second_seed_in_every_family(family, tmp_path):
    loaded = load(getattr(tiny, f"tiny_{family}")(tmp_path / family))
    pick = recipe(loaded, 5, num_inference_steps=2)
    ends = pictures(loaded, [pick, replace(pick, seed=9)])
    asked = [between(pick, 9, strength) for strength in (0, 0.5, 1)]
    found = pictures(loaded, asked)
    assert [found[0], found[2]] == ends
    assert found[1] not in ends


@pytest.mark.parametrize("family", TINY)
def test_a_variation_of_every_family_depends_neither_on_its_slot_nor_on_its_neighbours(family, tmp_path):
    loaded = load(getattr(tiny, f"tiny_{family}")(tmp_path / family))
    pick = recipe(loaded, 5, num_inference_steps=2, lanes=2)
    wanted, other = between(pick, 9, 0.3), between(replace(pick, prompt="a house"), 11, 0.8)
    (alone,) = pictures(loaded, [wanted])
    (untouched,) = pictures(loaded, [pick])
    assert pictures(loaded, [pick, wanted]) == [untouched, alone]
    assert pictures(loaded, [other, wanted])[1] == alone
    assert pictures(loaded, [wanted, other, replace(pick, seed=7)])[0] == alone
    assert pictures(loaded, [wanted, wanted]) == [alone, alone]


@pytest.mark.parametrize("scheduler", FAMILIES["StableDiffusionPipeline"].schedulers)
def test_a_variation_repeats_with_every_sampler_and_keeps_the_noise_of_its_own_seed_in_the_steps(loaded, scheduler):
    pick = recipe(loaded, 5, scheduler=scheduler, num_inference_steps=4)
    first, second = pictures(loaded, [pick, between(pick, 9, 0.4)]), pictures(loaded, [between(pick, 9, 0.4)])
    assert first[1:] == second
    nearly = pictures(loaded, [between(pick, 9, 1e-9)])
    assert apart(nearly[0], first[0]) < 0.5  # the steps draw what those of the pick draw
    calls = engine.calls(loaded, [pick, between(pick, 9, 0.4)])
    assert calls == [[0, 1]]


def test_the_picture_moves_away_from_the_pick_as_the_strength_grows():
    loaded = load(BUNDLED)
    pick = recipe(loaded, 2, prompt="a red fox", num_inference_steps=8, guidance_scale=loaded.spec.guidance_scale)
    strengths = (0.02, 0.1, 0.3, 0.6)
    start, *found = pictures(loaded, [pick, *(between(pick, 7, strength) for strength in strengths)])
    distances = [apart(start, pixels) for pixels in found]
    assert distances == sorted(distances)
    assert 0 < distances[0] < distances[-1] / 2


def test_the_noise_between_two_seeds_is_as_loud_as_theirs():
    one, other = (torch.randn((4, 64, 64), generator=seed) for seed in seeded(2, 7))
    for share in (0.1, 0.5, 0.9):
        assert slerp(one, other, share).std() == pytest.approx(1, abs=0.02)
    assert (0.5 * one + 0.5 * other).std() < 0.75  # a straight line would go through the quiet middle
    angle = torch.nn.functional.cosine_similarity(one.flatten(), slerp(one, other, 0.25).flatten(), 0).arccos()
    assert float(angle) == pytest.approx(math.pi / 8, abs=0.02)  # a quarter of about 90 degrees


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_ends_of_the_interpolation_are_exact_in_every_number_format(dtype):
    one, other = (torch.randn((16, 8), generator=seed).to(dtype) * 14.6 for seed in seeded(2, 7))
    assert torch.equal(slerp(one, other, 0.0), one)
    assert torch.equal(slerp(one, other, 1.0), other)
    assert slerp(one, other, 0.5).dtype == dtype
    for share in (0.0, 0.3, 1.0):
        assert torch.allclose(slerp(one, one, share), one)
        assert torch.allclose(slerp(one, 2 * one, share).float(), (1 + share) * one.float(), rtol=0.01)


def test_blending_is_by_the_great_circle_through_both_noises(loaded):
    """Against the formula, on the call that plain diffusers is given its noise by."""
    pick = recipe(loaded, 5)  # DDIM, which starts from the noise as it is drawn
    a, b = (torch.randn((1, 4, 8, 8), generator=g) for g in seeded(5, 9))
    angle = torch.arccos(torch.sum(a * b) / (a.norm() * b.norm()))
    mixed = (torch.sin(0.75 * angle) * a + torch.sin(0.25 * angle) * b) / torch.sin(angle)
    call = {"prompt": ["a red fox"] * 4, "num_inference_steps": 3, "guidance_scale": 5.0}
    expected = plain(loaded, latents=mixed.repeat(4, 1, 1, 1), **call)[0]
    assert apart(pictures(loaded, [between(pick, 9, 0.25)])[0], expected) < 0.5


def test_a_model_that_draws_noise_in_several_places_refuses_variations(tmp_path):
    loaded = load(tiny.tiny_unclip(tmp_path / "unclip"))
    wanted = between(recipe(loaded, 5), 9, 0.5)
    with pytest.raises(InputError, match=r"^variation_seed: 9 is not accepted; .* makes no variations"):
        engine.generate(loaded, [wanted])
