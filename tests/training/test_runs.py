"""Training runs: rates, workers, checkpoints, and the two losses that matter."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline_utils.training.data.scenes import Odds, Stage
from pipeline_utils.training.model.latents import Atlas
from pipeline_utils.training.model.unet import build_scheduler
from pipeline_utils.training.presets import Run
from pipeline_utils.training.train.decoder import Pool, edge_weight, slope_error, strayed
from pipeline_utils.training.train.denoiser import chain, channel_weights, levels, stops
from pipeline_utils.training.train.optimiser import Muon, orthogonalise, split_optimisers
from pipeline_utils.training.train.runs import Training, Workers, load_average, prefixed, rate
from tests.training.shapes import SMOKE, shapes

RUN = Run(samples=400, batch=4, rate=0.1, fall=0.5, warmup=5)


@pytest.fixture(scope="module")
def stage():
    return Stage(shapes())


def test_a_rate_warms_up_stays_and_falls():
    rates = [rate(RUN, seen, seen // 4) for seen in range(0, 400, 4)]
    assert rates[0] < rates[4] == pytest.approx(0.1)
    assert rates[49] == pytest.approx(0.1)
    assert rates[-1] < 0.01


def test_workers_add_up_to_the_gradient_of_the_whole_batch():
    torch.manual_seed(0)
    layer, x = nn.Linear(3, 2), torch.randn(7, 3)
    unused = nn.Parameter(torch.ones(2))
    losses_of = lambda part: [layer(part).square().mean(), layer(part).mean()]  # noqa: E731
    losses = Workers(3).gradients(losses_of, [*layer.parameters(), unused], x)
    expected = losses_of(x)
    assert losses == pytest.approx([loss.item() for loss in expected], abs=1e-5)
    gradients = torch.autograd.grad(sum(expected), list(layer.parameters()))
    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)
    assert (unused.grad == 0).all()


def test_more_workers_than_samples_are_no_trouble():
    layer = nn.Linear(1, 1)
    assert len(Workers(4).gradients(lambda part: [layer(part).mean()], list(layer.parameters()), torch.ones(2, 1))) == 1


def line(path, samples=400, seed=0):
    """A run that fits y = 2 x, and how to go on with it."""
    torch.manual_seed(seed)
    layer = nn.Linear(1, 1)
    optimiser = torch.optim.AdamW(layer.parameters())
    run = Run(samples, RUN.batch, RUN.rate, fall=1e-9, warmup=1, ema=0.5)
    training = Training(run, prefixed(layer=layer), [optimiser], path, Workers(1), 1)
    training.resume()
    draw = lambda: (torch.randn(4, 1, generator=training.generator),)  # noqa: E731
    return layer, training, draw, lambda x: [(layer(x) - 2 * x).square().mean()]


def test_a_run_learns_and_its_average_is_what_is_loaded(tmp_path):
    layer, training, draw, losses = line(tmp_path / "line.pt")
    training.loop(draw, losses)
    assert training.seen == 400
    assert layer.weight.item() == pytest.approx(2, abs=0.3)
    again = nn.Linear(1, 1)
    load_average(tmp_path / "line.pt", prefixed(layer=again))
    assert torch.equal(again.weight, training.average["layer.weight"])


def test_a_stopped_run_ends_with_the_same_bits(tmp_path):
    whole, training, draw, losses = line(tmp_path / "whole.pt")
    training.loop(draw, losses)
    for seed, until in ((0, 200), (1, None)):  # the second stretch starts from other weights: the checkpoint's count
        pieces, training, draw, losses = line(tmp_path / "pieces.pt", seed=seed)
        training.loop(draw, losses, until)
    assert torch.equal(whole.weight, pieces.weight)
    assert [file.name for file in tmp_path.glob("*.part")] == []


def test_a_run_begins_from_the_averages_of_an_earlier_one(tmp_path):
    _, training, draw, losses = line(tmp_path / "first.pt")
    training.loop(draw, losses)
    layer = nn.Linear(1, 1)
    other = nn.Linear(1, 1)
    optimiser = torch.optim.AdamW([*layer.parameters(), *other.parameters()])
    second = Training(RUN, prefixed(layer=layer, other=other), [optimiser], tmp_path / "second.pt", Workers(1), 1)
    second.resume(earlier=tmp_path / "first.pt")
    assert torch.equal(layer.weight, training.average["layer.weight"])
    assert torch.equal(second.average["layer.weight"], layer.weight)
    assert second.seen == 0


def test_muon_steps_along_every_direction_alike():
    torch.manual_seed(0)
    for shape in ((4, 9), (9, 4)):
        for halves in (False, True):
            made = orthogonalise(torch.randn(shape) @ torch.diag(torch.rand(shape[1]) + 0.2), halves)
            values = torch.linalg.svdvals(made)
            assert values.min() > 0.5
            assert values.max() < 1.3


def test_muon_makes_the_same_step_with_any_number_of_workers():
    def stepped(count: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        matrices = [nn.Parameter(torch.randn(3, k)) for k in (2, 3, 5)]
        muon = Muon(matrices, 0.01, Workers(count))
        muon.param_groups[0]["lr"] = 0.01
        for _ in range(3):
            for matrix in matrices:
                matrix.grad = matrix.detach().sin()
            muon.step()
        return [matrix.detach() for matrix in matrices]

    assert all(map(torch.equal, stepped(1), stepped(3)))


def test_products_in_halves_give_nearly_the_same_gradient_in_float32():
    torch.manual_seed(0)
    layer, x = nn.Linear(64, 8), torch.randn(6, 64)
    found = {}
    for halves in (False, True):
        Workers(2, halves).gradients(lambda part: [layer(part).square().mean()], list(layer.parameters()), x)
        found[halves] = layer.weight.grad
    assert found[True].dtype == torch.float32
    assert not torch.equal(found[True], found[False])
    assert torch.allclose(found[True], found[False], atol=0.03 * found[False].abs().max().item())


def test_inner_matrices_go_to_muon_and_the_rest_to_adam():
    named = {"conv_in.weight": nn.Parameter(torch.ones(2, 2, 3, 3)), "up.weight": nn.Parameter(torch.ones(2, 2, 3, 3))}
    named |= {"up.bias": nn.Parameter(torch.ones(2)), "heads.0.weight": nn.Parameter(torch.ones(2, 2, 1, 1))}
    named |= {"position_embedding.weight": nn.Parameter(torch.ones(2, 2))}
    muon, adam = split_optimisers(named, 0.01, Workers(1))
    assert isinstance(muon, Muon)
    assert muon.param_groups[0]["params"] == [named["up.weight"]]
    assert len(adam.param_groups[0]["params"]) == 4


def test_stops_fall_from_pure_noise():
    times = stops(500, torch.Generator().manual_seed(0))
    assert (times[:, 0] == 999).all()
    assert (times[:, 1:] < times[:, :-1]).all()
    assert times.min() >= 40
    signal, sigma = levels(times[:, 0], build_scheduler().alphas_cumprod)
    assert signal.abs().max() == 0
    assert (sigma == 1).all()


class Recorder(nn.Module):
    """A denoiser that always guesses the same and remembers what it was given."""

    def __init__(self, guess):
        super().__init__()
        self.guess, self.states, self.times = nn.Parameter(guess), [], []

    def forward(self, state, timestep, prompt):
        self.states.append(state.detach())
        self.times.append(timestep)
        return self.guess.expand_as(state)

    def reading_loss(self, draws, choices):
        return draws.sum() * 0


class Mute(nn.Module):
    def forward(self, ids):
        return type("Out", (), {"last_hidden_state": torch.zeros(len(ids), 1, 1)})()


def test_training_states_are_those_that_ddim_reaches_by_the_models_own_guesses(stage):
    atlas = Atlas(stage.drawings, SMOKE.content)
    channels, generator = atlas.layout.channels, torch.Generator().manual_seed(0)
    noise, guess = (torch.randn(2, channels, 8, 8, generator=generator) for _ in range(2))
    scheduler = build_scheduler()
    scheduler.set_timesteps(4)
    times = scheduler.timesteps[:3].expand(2, 3)
    model = Recorder(guess[:1])
    draws = torch.zeros(2, 8)
    losses = list(
        chain(
            model,
            Mute(),
            scheduler.alphas_cumprod,
            channel_weights(atlas.layout),
            noise * 0,
            noise,
            draws,
            draws,
            draws,
            times,
        )
    )
    assert len(losses) == 3
    state = noise
    for reached, t in zip(model.states, scheduler.timesteps, strict=False):
        assert torch.allclose(reached, state, atol=1e-4)
        state = scheduler.step(guess[:1].expand_as(state), t, state).prev_sample


def test_strayed_latents_are_near_the_true_ones_and_leave_them_alone(stage):
    atlas, generator = Atlas(stage.drawings, SMOKE.content), torch.Generator().manual_seed(0)
    latents = atlas.latents(stage, stage.random(50, Odds(), generator))
    before = latents.clone()
    off = strayed(latents, atlas, generator) - latents
    assert torch.equal(latents, before)
    for name in atlas.layout.slices:
        assert 0 < atlas.layout.part(name, off).square().mean() < 0.15


def test_edges_weigh_more_and_slopes_are_compared():
    flat, step = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    step[..., 4:] = 1
    weight = edge_weight(step)
    assert weight[0, 0, 4, 4] > 1.9
    assert weight[0, 0, 4, 0] == 1
    assert slope_error(flat, flat + 1) == 0
    assert slope_error(flat, step) > 0


def test_a_pool_renews_itself_and_pairs_pictures_with_their_scenes(stage):
    generator = torch.Generator().manual_seed(0)
    pool = Pool(stage, 8, generator, Workers(2))
    before = pool.pictures.clone()
    scenes, pictures = pool.draw(5, generator)
    painted = (stage.paint(scenes) * 255).round() / 127.5 - 1
    assert torch.allclose(pictures, painted, atol=1e-5)
    assert not torch.equal(before, pool.pictures)
