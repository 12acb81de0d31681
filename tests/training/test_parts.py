"""The parts of the model: latents with meanings, the carry's way in, the decoder's ramps, the tokenizer."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import DDIMScheduler
from torch.nn.functional import cross_entropy

from pipeline_utils.training.data.looks import STYLES
from pipeline_utils.training.data.scenes import CELLS, CHOICES, DRAWS, Odds, Stage
from pipeline_utils.training.model.components import find_components
from pipeline_utils.training.model.decoder import Heads, build_decoder, decode, parameters_upto
from pipeline_utils.training.model.latents import CODES, Atlas, Layout, draws_of, far_codes, noise_for, ramps
from pipeline_utils.training.model.text import build_text, build_tokenizer, find_embeddings, token_ids
from pipeline_utils.training.model.unet import Denoiser, build_scheduler
from pipeline_utils.training.presets import PRESETS, UnetShape
from tests.training.shapes import NAMES, SMOKE, many_draws, shapes


@pytest.fixture(scope="module")
def stage():
    return Stage(shapes())


@pytest.fixture(scope="module")
def atlas(stage):
    return Atlas(stage.drawings, SMOKE.content)


@pytest.fixture(scope="module")
def scenes(stage):
    return stage.random(32, Odds(), torch.Generator().manual_seed(0))


def test_all_components_of_drawings_give_them_back():
    rgba = torch.rand(40, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    rgba[:, :3] *= rgba[:, 3:]
    components = find_components(rgba, 16, 2)
    latents = components.latents(rgba)
    assert latents.shape == (40, 16, 8, 8)
    assert torch.allclose(components.cut_outs(latents), rgba, atol=1e-3)
    assert latents.square().mean() == pytest.approx(1, abs=0.1)


def test_components_do_not_depend_on_chance():
    rgba = torch.rand(20, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(find_components(rgba, 5, 2).weight, find_components(rgba, 5, 2).weight)
    assert find_components(rgba, 5, 2).spread.square().mean() == pytest.approx(1, abs=1e-4)


def test_latents_hold_every_part_of_a_scene(stage, atlas, scenes):
    latents, layout = atlas.latents(stage, scenes), atlas.layout
    assert latents.shape == (32, layout.channels, CELLS, CELLS)
    part = lambda name: layout.part(name, latents)  # noqa: E731
    assert torch.equal(part("code").mean((2, 3)), CODES[scenes.look])
    assert torch.equal(part("place").mean((2, 3)), torch.stack([scenes.dx, scenes.dy], 1).float())
    assert torch.equal(part("ramp"), ramps().expand(32, -1, -1, -1))
    assert part("carry").abs().max() == 0
    assert torch.allclose(part("ground"), stage.grounds(scenes, CELLS) * 2 - 1)


def test_the_drawings_latents_do_not_depend_on_where_it_stands_or_on_the_look(stage, atlas, scenes):
    moved = dataclasses.replace(scenes, dx=scenes.dx * 0 + 1, dy=scenes.dy * 0, look=scenes.look * 0)
    content = [atlas.layout.part("content", atlas.latents(stage, s)) for s in (scenes, moved)]
    assert torch.equal(*content)
    turned = dataclasses.replace(scenes, flip=1 - scenes.flip)
    assert not torch.equal(content[0], atlas.layout.part("content", atlas.latents(stage, turned)))


def test_codes_of_looks_are_distinct_by_two_bits_at_least():
    codes = far_codes(len(STYLES))
    apart = (codes[:, None] != codes[None]).sum(-1) + 99 * torch.eye(len(codes), dtype=torch.long)
    assert apart.min() >= 2
    assert torch.equal(far_codes(5), codes[:5])


def test_noise_carries_its_draws_and_stays_white():
    draws, generator = many_draws(2000), torch.Generator().manual_seed(3)
    noise = noise_for(draws, Layout(4).channels, generator)
    assert torch.allclose(draws_of(noise), draws, atol=1e-4)
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert draws_of(torch.randn(4000, 20, 8, 8, generator=generator)).std() == pytest.approx(1, abs=0.03)


def test_the_sampler_starts_from_pure_noise_and_predicts_latents():
    scheduler = build_scheduler()
    assert scheduler.config.prediction_type == "sample"
    assert scheduler.alphas_cumprod[-1] == 0
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]


def test_a_carry_that_is_predicted_as_nothing_leaves_the_samplers_noise_in_place():
    scheduler = DDIMScheduler.from_config(build_scheduler().config)
    scheduler.set_timesteps(5)
    noise = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    state = noise
    for t in scheduler.timesteps[:-1]:
        state = scheduler.step(torch.zeros_like(state), t, state).prev_sample
        scale = state.norm() / noise.norm()
        assert torch.allclose(state, scale * noise, atol=1e-5)


def explained(features: torch.Tensor, draws: torch.Tensor) -> float:
    """The share of the draws' variance that is linear in features [n, f], on the last quarter."""
    n = len(features) * 3 // 4
    x = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    gram = x[:n].T @ x[:n]
    solution = torch.linalg.solve(
        gram + 1e-4 * gram.diagonal().mean() * torch.eye(len(gram)), x[:n].T @ draws[:n].double()
    )
    off = x[n:] @ solution - draws[n:]
    return 1 - (off.square().mean() / draws[n:].var()).item()


def test_a_laid_path_brings_the_draws_to_the_innermost_level():
    """Through its normalisation, which divides a group of four positions by little but its own noise."""
    torch.manual_seed(0)
    preset = dataclasses.replace(
        SMOKE, unet=UnetShape(widths=(64, 64, 64), layers=(1, 1, 1), attention=(False,) * 3, groups=8)
    )
    model, draws = Denoiser(preset), many_draws(1600)
    seen = []
    model.unet.mid_block.resnets[0].norm1.register_forward_hook(lambda module, given, out: seen.append(out.flatten(1)))
    noise = noise_for(draws, Layout(preset.content).channels, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for part in noise.split(400):
            model(part, torch.full((len(part),), 999), torch.zeros(len(part), 4, 32))
    assert explained(torch.cat(seen), draws) > 0.99


def test_a_level_too_narrow_for_the_draws_is_refused():
    with pytest.raises(ValueError, match="24 channels"):
        Denoiser(
            dataclasses.replace(
                SMOKE, unet=UnetShape(widths=(24, 24), layers=(1, 1), attention=(True, True), head_width=8, groups=4)
            )
        )


def test_the_reader_asks_for_draws_and_choices():
    torch.manual_seed(0)
    model = Denoiser(SMOKE)
    draws, choices = many_draws(3), torch.zeros(3, len(CHOICES), dtype=torch.long)
    model(torch.randn(3, Layout(SMOKE.content).channels, 8, 8), torch.full((3,), 999), torch.zeros(3, 4, 32))
    guessing = sum(cross_entropy(torch.zeros(1, k), torch.zeros(1).long()) for k in CHOICES.values()) / len(CHOICES)
    bias = model.reader[2].bias[: len(DRAWS)]
    expected = (bias - draws).square().mean() + guessing
    assert model.reading_loss(draws, choices).item() == pytest.approx(expected.item(), abs=0.5)


def test_the_decoders_pixels_know_where_they_are():
    torch.manual_seed(0)
    preset = PRESETS["few"]
    vae, layout = build_decoder(preset), Layout(preset.content)
    latents = torch.zeros(1, layout.channels, 8, 8)
    latents[:, layout.slices["ramp"]] = ramps()
    with torch.no_grad():
        features, made = decode(vae, latents, 4)
    assert made.shape == (1, 3, 128, 128)
    for level, side in enumerate((8, 16, 32, 64, 128)):
        inner = slice(side // 4, -side // 4)  # borders are padded with zeros
        across, down = features[level][0, 0, inner, inner], features[level][0, 1, inner, inner]
        if side > 8:
            steps = across[:, 1:] - across[:, :-1]
            assert torch.allclose(steps, torch.full_like(steps, 0.5 * 8 / side), atol=1e-4)
            half = features[level][0, 2, side // 2, inner]
            assert torch.allclose(half[::2], torch.ones_like(half[::2]), atol=1e-3)
            assert torch.allclose(half[1::2], -torch.ones_like(half[1::2]), atol=1e-3)
        assert torch.allclose(across, down.T, atol=1e-4)


def test_decoding_level_by_level_ends_as_the_pipelines_decoder():
    torch.manual_seed(0)
    vae = build_decoder(SMOKE).eval()
    latents = torch.randn(2, Layout(SMOKE.content).channels, 8, 8)
    with torch.no_grad():
        assert torch.allclose(decode(vae, latents, 2)[1], vae.decode(latents).sample, atol=1e-5)
        features, made = decode(vae, latents, 0)
    assert made is None
    assert len(features) == 1
    assert Heads(SMOKE.decoder.widths)(0, features[0]).shape == (2, 3, 32, 32)


def test_a_level_trains_no_layer_beyond_it():
    vae = build_decoder(SMOKE)
    names = [set(parameters_upto(vae, k)) for k in range(3)]
    assert names[0] < names[1] < names[2]
    decoder = {p for k, p in vae.named_parameters() if k.startswith(("decoder", "post_quant_conv"))}
    assert {id(p) for p in parameters_upto(vae, 2).values()} == {id(p) for p in decoder}


def test_a_decoder_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="32 px, not 64"):
        build_decoder(dataclasses.replace(SMOKE, side=64))


WORDS = ["ball", "box", "apple", "sphere", "crate", "a", "an", ",", "neon"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(WORDS, ["zebra", "crates", "the"], SMOKE)


def test_nothing_a_person_types_is_an_unknown_token(tokenizer):
    for text in ("Zürich, 犬! 3d", "naïve café", "x", "🙂", "t-shirt & jack-o-lantern"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert ids
        assert tokenizer.unk_token_id not in ids


def test_words_of_captions_are_whole_tokens_and_prompts_are_padded(tokenizer):
    for word in (*NAMES, "sphere", "crate", "neon"):
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1
    ids = token_ids(tokenizer, ["a ball, neon", ""])
    assert ids.shape == (2, SMOKE.text.length)
    assert (ids[:, 0] == tokenizer.bos_token_id).all()
    assert (ids[1, 1:] == tokenizer.eos_token_id).all()


def test_a_known_words_embedding_is_its_meaning_and_is_never_trained(tokenizer):
    meaning = {"ball": 0, "sphere": 0, "box": 1, "crate": 1}

    def embed(texts):
        generator = torch.Generator().manual_seed(0)
        axes = torch.randn(2, 384, generator=generator)
        spread = torch.randn(len(texts), 384, generator=generator)
        return torch.stack([axes[meaning[t]] if t in meaning else spread[i] for i, t in enumerate(texts)])

    table = find_embeddings(tokenizer, embed, SMOKE)
    token = lambda word: table[tokenizer(word, add_special_tokens=False).input_ids[0]]  # noqa: E731
    assert torch.allclose(token("ball"), token("sphere"), atol=1e-4)
    assert (token("ball") - token("box")).norm() > 1
    text = build_text(SMOKE, tokenizer, table)
    assert torch.equal(text.get_input_embeddings().weight, table)
    assert not text.get_input_embeddings().weight.requires_grad
