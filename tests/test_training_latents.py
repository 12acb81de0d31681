"""What the bundled model's latents are, and how a seed comes to decide a composition."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

pytest.importorskip("diffusers")

from pipeline_utils.training.augment import paint, sample_scenes
from pipeline_utils.training.components import find_components, load_components
from pipeline_utils.training.coupling import (
    BROAD_CHANNELS,
    VARIABLES,
    broad_strokes,
    choose_colours,
    couple,
    directions,
    uniform,
)
from pipeline_utils.training.critic import Critic, pull
from pipeline_utils.training.presets import Odds
from pipeline_utils.training.reader import Reader
from pipeline_utils.training.runtime import Place
from pipeline_utils.training.source import Source
from pipeline_utils.training.unet import build_unet, spread_timesteps
from pipeline_utils.training.vae import build_vae, decoder_loss, halves
from tests.shapes import SMOKE, shapes


@pytest.fixture(scope="module")
def pictures():
    return shapes()


@pytest.fixture(scope="module")
def components(pictures):
    return find_components(SMOKE, pictures, n=256)


@pytest.fixture(scope="module")
def source(pictures, components):
    return Source(SMOKE, pictures, components, Place("cpu", shards=2))


def painted(pictures, n=200, seed=5):
    scenes = sample_scenes(n, pictures.table, SMOKE.odds, torch.Generator().manual_seed(seed))
    return paint(scenes, pictures, SMOKE.size)


def rows(n, columns):
    return torch.randn(n, columns, generator=torch.Generator().manual_seed(1))


def test_latents_have_unit_size_and_the_grid_of_the_autoencoder(pictures, components):
    latents = components.latents(painted(pictures))
    assert latents.shape[1:] == (SMOKE.vae.latent_channels, SMOKE.latent_size, SMOKE.latent_size)
    assert latents.square().mean().sqrt().item() == pytest.approx(1, abs=0.1)


def test_components_are_uncorrelated_and_fall_in_size(pictures, components):
    latents = components.latents(painted(pictures)).movedim(1, -1).flatten(0, -2)
    spread = latents.std(0)
    assert spread[0] > spread[1:].max()
    apart = torch.corrcoef(latents.T) - torch.eye(len(spread))
    assert apart.abs().max() < 0.2


def test_components_give_back_what_no_other_map_of_their_number_keeps_better(pictures, components):
    real = painted(pictures)
    kept = components.pictures(components.latents(real))
    side = SMOKE.size // SMOKE.latent_size
    means = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(real, side), scale_factor=side)
    assert (kept - real).square().mean() < 0.5 * (means - real).square().mean()
    again = components.latents(kept)
    assert torch.allclose(again, components.latents(real), atol=1e-4)


def test_components_are_found_once_and_then_kept(pictures, tmp_path):
    first = load_components(SMOKE, pictures, tmp_path)
    second = load_components(SMOKE, pictures, tmp_path)
    assert torch.equal(first.weight, find_components(SMOKE, pictures).weight)
    assert torch.equal(first.weight, second.weight)


def test_coupled_noise_is_still_white(source):
    scenes = source.scenes(4000, torch.Generator().manual_seed(2))
    noise = source.noise(scenes, torch.Generator().manual_seed(3)).flatten(1)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    covariance = torch.cov(noise.T)
    assert covariance.diagonal().mean().item() == pytest.approx(1, abs=0.01)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 0.12


def test_coupled_noise_tells_the_scenes_own_numbers(source):
    scenes = source.scenes(64, torch.Generator().manual_seed(2))
    noise = source.noise(scenes, torch.Generator().manual_seed(3))
    told = noise.flatten(1) @ source.along.flatten(1).T
    assert torch.allclose(told, scenes.draws, atol=1e-4)
    other = source.noise(scenes, torch.Generator().manual_seed(4))
    assert not torch.allclose(noise, other, atol=0.1)


def test_directions_are_orthonormal_and_follow_the_latents():
    draws, weights = rows(2000, 3), torch.randn(3, 18, generator=torch.Generator().manual_seed(6))
    maps = torch.einsum("vb,bcyx->vcyx", weights, broad_strokes(4, 8).float())
    latents = torch.einsum("nv,vcyx->ncyx", draws, maps) + 0.1 * torch.randn(2000, 4, 8, 8)
    found = directions(draws, latents).flatten(1)
    assert torch.allclose(found @ found.T, torch.eye(3), atol=1e-5)
    assert ((found @ maps.flatten(1).T).diagonal() > 0.8 * maps.flatten(1).norm(dim=1)).all()


def test_directions_leave_detail_to_noise_that_tells_nothing(source):
    """What is fine, in space or among the components, would have to be read number by number."""
    strokes = broad_strokes(*source.along.shape[1:3]).float().flatten(1)
    assert torch.allclose(strokes @ strokes.T, torch.eye(len(strokes)), atol=1e-5)
    found = source.along.flatten(1)
    assert torch.allclose(found @ strokes.T @ strokes, found, atol=1e-5)
    assert source.along[:, BROAD_CHANNELS:].abs().max() == 0
    steps = (source.along[..., 1:] - source.along[..., :-1]).abs().amax((1, 2, 3))
    assert (steps < 0.5 * source.along.abs().amax((1, 2, 3))).all()


@pytest.mark.parametrize("shards", [2, 3, 4, 9])
def test_a_batch_gives_the_same_gradients_in_any_number_of_shards(shards):
    batch, weight = rows(5, 3), torch.ones(3, requires_grad=True)
    losses, gradients = [], []
    for count in (1, shards):
        weight.grad = None
        losses.append(
            Place("cpu", bf16=False, shards=count).backward(lambda x: (x @ weight - 1).square().mean(), [weight], batch)
        )
        gradients.append(weight.grad.clone())
    assert torch.allclose(losses[0], losses[1])
    assert torch.allclose(gradients[0], gradients[1])


def test_a_reader_learns_to_read_the_draws_in_the_denoisers_innermost_level(source):
    torch.manual_seed(0)
    unet = build_unet(SMOKE)
    reader = Reader(unet)
    optimiser = torch.optim.AdamW([*unet.parameters(), *reader.parameters()], lr=3e-3)
    random = torch.Generator().manual_seed(5)
    states = torch.zeros(32, SMOKE.text.length, SMOKE.text.width)
    noisy, losses = torch.ones(32, 1), []
    for _ in range(60):
        scenes = source.scenes(32, random)
        unet(source.noise(scenes, random), 999, states)
        losses.append(reader.loss(scenes.draws, noisy))
        losses[-1].backward()
        optimiser.step()
        optimiser.zero_grad()
    assert losses[0].item() == pytest.approx(1, abs=0.3)  # it begins by knowing nothing
    assert sum(losses[-5:]).item() / 5 < 0.6


def test_a_reader_in_two_threads_reads_each_ones_own_pass(source):
    torch.manual_seed(0)
    unet = build_unet(SMOKE).eval()
    reader = Reader(unet)
    torch.nn.init.normal_(reader.layers[1].weight)
    states, here = torch.zeros(2, SMOKE.text.length, SMOKE.text.width), threading.Barrier(2)

    def read(seed: int, together: bool) -> torch.Tensor:
        noise = torch.randn(2, *source.along.shape[1:], generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            unet(noise, 999, states)
            if together:
                here.wait(60)
            return reader()

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda seed: read(seed, True), (1, 2)))
    assert torch.allclose(both[0], read(1, False), atol=1e-5)
    assert torch.allclose(both[1], read(2, False), atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-2)


def test_coupling_changes_nothing_of_noise_that_fits_already():
    along = torch.eye(8)[:2].view(2, 2, 2, 2)
    noise = torch.randn(5, 2, 2, 2, generator=torch.Generator().manual_seed(7))
    assert torch.allclose(couple(noise, noise.flatten(1)[:, :2], along), noise)


@pytest.mark.parametrize(
    ("variable", "measure"),
    [
        ("dx", lambda s: s.dx),
        ("dy", lambda s: s.dy),
        ("scale", lambda s: s.scale),
        ("angle", lambda s: s.angle),
        ("flip", lambda s: s.flip),
    ],
)
def test_a_scenes_numbers_rise_with_the_draws_that_decide_them(pictures, variable, measure):
    odds = Odds(placement_named=0.0)
    scenes = sample_scenes(800, pictures.table, odds, torch.Generator().manual_seed(8))
    drawn = uniform(scenes.draws)[:, VARIABLES.index(variable)]
    room = torch.ones(800) if variable not in ("dx", "dy") else (1.06 - scenes.scale).clamp(max=2 * odds.shift)
    pair = torch.stack([drawn, measure(scenes) / room])
    assert torch.corrcoef(pair)[0, 1] > (0.8 if variable == "flip" else 0.999)


def test_a_size_that_the_caption_tells_is_not_decided_by_the_noise(pictures):
    odds = Odds(placement_named=1.0)
    scenes = sample_scenes(800, pictures.table, odds, torch.Generator().manual_seed(8))
    drawn = uniform(scenes.draws)
    for variable, told in (("scale", scenes.scale), ("angle", scenes.angle)):
        pair = torch.stack([drawn[:, VARIABLES.index(variable)], told])
        assert torch.corrcoef(pair)[0, 1].abs() < 0.12, variable


def test_the_same_draws_choose_one_design_under_all_looks(pictures):
    scenes = sample_scenes(3000, pictures.table, Odds(), torch.Generator().manual_seed(9))
    free = scenes.style == 0
    design = uniform(scenes.draws)[free, VARIABLES.index("design")]
    sets = pictures.style[scenes.picture[free]]
    edges = [(design[sets == s].min(), design[sets == s].max()) for s in sets.unique()]
    edges.sort()
    # The sets share the draws among them without overlap, but where one lacks a shape.
    assert all(before[1] < after[0] + 0.1 for before, after in itertools.pairwise(edges))


def test_every_ground_is_chosen_as_often_as_its_share():
    colours = ((1.0, 1.0, 1.0), (0.9, 0.2, 0.2), (0.2, 0.2, 0.9), (0.1, 0.1, 0.1))
    shares = (0.4, 0.3, 0.2, 0.1)
    chosen = choose_colours(rows(20_000, 3), colours, shares)
    found = torch.bincount(chosen, minlength=4) / len(chosen)
    assert found.tolist() == pytest.approx(shares, abs=0.015)


def test_near_draws_choose_near_grounds():
    colours = ((1.0, 1.0, 1.0), (0.9, 0.2, 0.2), (0.2, 0.2, 0.9), (0.1, 0.1, 0.1))
    chosen = choose_colours(torch.tensor([[2.0, 2, 2], [2, -1, -1], [-1, -1, 2], [-2, -2, -2]]), colours, (0.25,) * 4)
    assert chosen.tolist() == [0, 1, 2, 3]


def test_the_critics_pull_is_a_share_of_the_errors():
    generator = torch.Generator().manual_seed(0)
    rebuilt, real = torch.randn(2, 2, 3, 32, 32, generator=generator)
    critic = Critic().eval()
    alone, _ = pull(rebuilt, real, critic, 0.0)
    both, _ = pull(rebuilt, real, critic, 0.5)
    assert torch.allclose((both - alone).norm(), 0.5 * alone.norm(), rtol=1e-3)


def test_the_decoders_gradient_is_the_pull_and_its_loss_the_errors(pictures, components):
    vae, critic = build_vae(SMOKE), Critic().eval()
    real = painted(pictures, 2)
    latents = components.latents(real)
    rebuilt = vae.decode(latents).sample
    direction, errors = pull(rebuilt, real, critic, 0.4)
    parameters = list(halves(vae)[1].values())
    wanted = torch.autograd.grad(rebuilt, parameters, direction)
    loss = decoder_loss(lambda z: vae.decode(z).sample, critic, 0.4, latents, real)
    assert loss.item() == pytest.approx(errors.item())
    for ours, theirs in zip(torch.autograd.grad(loss, parameters), wanted, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_half_of_the_timesteps_lie_in_the_noisiest_quarter_and_none_is_left_out():
    drawn = torch.cat([spread_timesteps(64, 1000, torch.Generator().manual_seed(k)) for k in range(200)])
    assert 0.48 < (drawn >= 750).float().mean() < 0.52
    assert drawn.min() < 10
    assert drawn.max() == 999


def test_few_sizes_tilts_and_places_are_drawn_where_a_preset_asks_for_few(pictures):
    odds = Odds(company=0.0, scale=(0.62, 0.94), shift=0.2, tilt=13.0, sizes=3, tilts=3, step=1 / 8)
    scenes = sample_scenes(2000, pictures.table, odds, torch.Generator().manual_seed(11))
    assert scenes.scale.unique().tolist() == pytest.approx([0.62, 0.78, 0.94])
    assert (scenes.angle.unique() * 180 / torch.pi).tolist() == pytest.approx([-13, 0, 13])
    assert scenes.dx.unique().tolist() == scenes.dy.unique().tolist() == pytest.approx([-0.25, 0, 0.25])
    assert not scenes.dx[scenes.scale > 0.9].any()  # what fills the picture stays in its middle


def test_places_a_step_apart_have_the_same_latents_elsewhere(pictures, components):
    odds = Odds(background_named=0.0, placement_named=0.0, scale=(0.5, 0.5), tilt=0.0, shift=0.25, step=1 / 8)
    one = sample_scenes(1, pictures.table, odds, torch.Generator().manual_seed(11))
    scenes = one.select(torch.zeros(2).long())
    scenes.dx, scenes.dy, scenes.look = torch.tensor([0.0, 0.25]), torch.zeros(2), torch.zeros(2).long()
    first, second = components.latents(paint(scenes, pictures, SMOKE.size))
    assert torch.allclose(first[..., :-1], second[..., 1:], atol=1e-4)
