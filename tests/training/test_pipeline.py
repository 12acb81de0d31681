"""From drawings to a pipeline folder, its measures, sheets and card, at toy size."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from safetensors.torch import load_file

from pipeline_utils.models.sources import from_folder
from pipeline_utils.training import __main__ as command
from pipeline_utils.training import steps
from pipeline_utils.training.data import meanings as finding
from pipeline_utils.training.data.looks import STYLES
from pipeline_utils.training.data.meanings import Meanings, curated
from pipeline_utils.training.data.packages import SETS
from pipeline_utils.training.data.scenes import Odds
from pipeline_utils.training.data.things import Thing
from pipeline_utils.training.export import Defaults, export, load_pipeline, make_pictures
from pipeline_utils.training.judge.evaluate import Extent, spread, table
from pipeline_utils.training.judge.judge import distance
from pipeline_utils.training.judge.latents import compare
from pipeline_utils.training.model.latents import noise_for
from pipeline_utils.training.presets import PRESETS
from pipeline_utils.training.train.denoiser import load_denoiser
from pipeline_utils.training.train.runs import Workers
from tests.training.shapes import SMOKE, shapes


def embed(texts: list[str]) -> torch.Tensor:
    """By their letters: near where these are alike."""
    out = torch.zeros(len(texts), 384)
    for row, text in enumerate(texts):
        for letter in text:
            out[row, ord(letter) % 384] += 1
    return torch.nn.functional.normalize(out + 1e-3, dim=1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A workshop in which everything is trained, for two steps each."""
    root = tmp_path_factory.mktemp("training")
    shop = steps.Workshop(SMOKE, Workers(2), root, root / "model" / "emoji-sd", root / "sheets")
    shop.folder.mkdir(parents=True)
    shapes().save(shop.folder / "drawings.pt")
    told = Meanings([["sphere"], ["crate"], []], [["orb"], [], []], {"zebra": ["ball"]})
    told.save(shop.folder / "meanings.json")
    steps.save_tokens(shop, ["sphere", "crate", "fruit", "the", "zebra"], embed)
    steps.run_denoiser(shop)
    steps.run_decoder(shop)
    return shop


@pytest.fixture(scope="module")
def folder(shop):
    steps.run_export(shop)
    return shop.output


def test_two_steps_of_everything_make_a_plain_pipeline_that_paints(folder):
    pipe = DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    assert type(pipe) is StableDiffusionPipeline
    made = make_pictures(pipe, ["a ball", "a box, neon"], [0, 1], 2, 1.0)
    assert made.shape == (2, 3, SMOKE.side, SMOKE.side)
    assert made.isfinite().all()
    assert made.std() > 0


def test_the_folder_holds_fp16_safetensors_its_values_and_its_words(folder):
    weights = list(folder.rglob("*.safetensors"))
    assert len(weights) == 3
    assert not list(folder.rglob("*.bin"))
    assert all(t.dtype == torch.float16 for f in weights for t in load_file(f).values() if t.is_floating_point())
    known = json.loads((folder / "words.json").read_text())
    assert known["things"] == {"ball": ["sphere"], "box": ["crate"], "apple": []}
    assert known["near"] == {"zebra": ["ball"], "orb": ["ball"]}
    assert known["styles"] == list(STYLES[1:])
    card, licence = (folder / "README.md").read_text(), (folder / "LICENSE").read_text()
    for item in SETS:
        assert f"{item.package} {item.version}" in card
        assert f"{item.package} {item.version}, {item.author}, {item.licence}" in licence


def test_the_app_reads_the_folders_own_values(folder):
    spec, own = from_folder(folder), Defaults()
    assert (spec.width, spec.height) == (SMOKE.side, SMOKE.side)
    assert spec.num_inference_steps == own.num_inference_steps
    assert spec.guidance_scale == own.guidance_scale
    assert spec.suffixes == own.default_suffixes
    assert spec.examples == own.example_prompts
    assert {suffix.removeprefix(", ") for suffix in spec.suffixes} <= set(STYLES)


def test_the_default_noise_of_a_seed_carries_the_draws_that_training_means(shop, folder):
    """The pipeline draws one tensor of a seed; nothing of it is scaled on the way to the denoiser."""
    pipe = load_pipeline(folder)
    noise = torch.randn(1, shop.atlas.layout.channels, 8, 8, generator=torch.Generator().manual_seed(7))
    seen = []
    hook = pipe.unet.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    make_pictures(pipe, ["a ball"], [7], 1, 1.0)
    hook.remove()
    assert torch.equal(seen[0], noise)


def test_exporting_again_replaces_the_folder_whole(shop, folder):
    before = sorted(p.name for p in folder.parent.iterdir())
    (folder / "stray.txt").touch()
    steps.run_export(shop)
    assert sorted(p.name for p in folder.parent.iterdir()) == before
    assert not (folder / "stray.txt").exists()


def test_the_decoder_goes_on_level_by_level_and_is_not_trained_again(shop, capsys):
    files = sorted(p.name for p in shop.folder.glob("decoder-*.pt"))
    assert files == [f"decoder-{k}.pt" for k in range(len(SMOKE.decoder_run))]
    before = torch.load(shop.folder / files[-1], weights_only=True)
    steps.run_decoder(shop)
    after = torch.load(shop.folder / files[-1], weights_only=True)
    assert before["seen"] == after["seen"] == SMOKE.decoder_run[-1].samples
    assert all(torch.equal(value, after["live"][name]) for name, value in before["live"].items())


def test_a_run_can_be_stopped_after_so_many_samples(shop, tmp_path):
    root = tmp_path / SMOKE.name
    root.mkdir()
    for file in ("drawings.pt", "meanings.json", "tokens.pt"):
        (root / file).write_bytes((shop.folder / file).read_bytes())
    shutil.copytree(shop.folder / "tokenizer", root / "tokenizer")
    again = dataclasses.replace(shop, root=tmp_path, until=4)
    steps.run_denoiser(again)
    assert torch.load(root / "denoiser.pt", weights_only=True)["seen"] == 4
    again.until = None
    steps.run_denoiser(again)
    pieces, whole = (torch.load(s.folder / "denoiser.pt", weights_only=True)["live"] for s in (again, shop))
    assert all(torch.equal(value, pieces[name]) for name, value in whole.items())


def test_the_token_embeddings_of_a_trained_text_encoder_are_the_given_ones(shop):
    _, text = load_denoiser(SMOKE, shop.folder)
    given = torch.load(shop.folder / "tokens.pt", weights_only=True)
    assert torch.equal(text.get_input_embeddings().weight, given)


def test_perfect_latents_measure_as_perfect(shop):
    scenes = shop.stage.random(64, Odds(), torch.Generator().manual_seed(0))
    truth = shop.atlas.latents(shop.stage, scenes)
    found = compare(truth, truth, shop.stage, shop.atlas, scenes)
    for name in ("place right", "direction right", "design right", "size right", "look right"):
        assert found[name] == 1, name
    assert found["error"] == found["error of the ground"] == found["bad drawings"] == 0
    assert found["mirror margin"] > 0


def test_a_mirrored_drawing_measures_as_turned(shop):
    scenes = shop.stage.random(64, Odds(), torch.Generator().manual_seed(0))
    turned = shop.atlas.latents(shop.stage, dataclasses.replace(scenes, flip=1 - scenes.flip))
    found = compare(turned, shop.atlas.latents(shop.stage, scenes), shop.stage, shop.atlas, scenes)
    assert found["direction right"] == 0
    assert found["design right"] == 1
    assert found["mirror margin"] < 0


def test_the_evaluation_fills_its_table_the_card_and_the_sheets(shop, folder):
    with pytest.raises(FileNotFoundError, match="measure"):
        steps.run_evaluate(shop)
    steps.run_measure(shop, count=16)
    steps.run_evaluate(shop, Extent(seeds=2, rounds=1, real=4))
    report = shop.read("report.json")
    said = table(report)
    assert said.count("\n") > 10
    assert "nan" not in said
    assert 0 <= report["things"]["top-1"] <= report["things"]["top-5"] <= 1
    assert set(report["by style"]) == {f", {style}" for style in STYLES[1:]}
    assert said in (folder / "README.md").read_text()
    steps.run_sheets(shop)
    assert len(list(shop.sheets.glob("*.webp"))) == 5


def test_distances_of_compositions_are_counted_in_the_rulers_units():
    one = torch.zeros(2, 70)
    other = one.clone()
    other[1, :64], other[1, 64:] = 0.2, 0.3
    apart = distance(other, one, torch.tensor([0.2, 0.3]))
    assert torch.allclose(apart, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))


def test_a_spread_is_even():
    assert spread(3, 9) == [0, 3, 6]
    assert spread(5, 2) == [0, 0]


def test_words_are_found_for_things_and_hints_for_the_rest(monkeypatch):
    monkeypatch.setattr(finding, "dictionary", lambda: ["yak", "kay", "zebra"])
    monkeypatch.setattr(finding, "embed", embed)
    found = finding.find_meanings([Thing("yaks", "yaks", "0"), Thing("dog", "dog face", "1", ("good boy",))], ["zoo"])
    assert set(found.used[0] + found.held_out[0]) == {"yak", "kay"}
    assert (found.used[1], found.held_out[1]) == curated()["dog"]
    assert "yak" not in found.hints
    assert {name for near in found.hints.values() for name in near} <= {"yaks", "dog"}


def test_no_word_is_both_used_and_held_out():
    for name, (used, held_out) in curated().items():
        assert used
        assert held_out
        assert not {name, *used} & set(held_out), name


def test_the_command_lists_its_steps_and_its_presets(capsys):
    with pytest.raises(SystemExit):
        command.parse(["--help"])
    said = capsys.readouterr().out
    for step in (*command.STEPS, "all"):
        assert step in said
    for name in PRESETS:
        assert command.parse(["decoder", "--preset", name]).preset == name


def test_the_command_runs_a_step_in_its_folder(shop, tmp_path, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(steps, "run_decoder", lambda shop: ran.append((shop.folder, shop.until)))
    command.main(["decoder", "--preset", "few", "--work-dir", str(tmp_path), "--until", "5", "--workers", "1"])
    assert ran == [(tmp_path / "few", 5)]


def test_noise_for_a_seeds_draws_has_every_channel(shop):
    noise = noise_for(torch.zeros(1, 8), shop.atlas.layout.channels, torch.Generator().manual_seed(0))
    assert noise.shape == (1, shop.atlas.layout.channels, 8, 8)


def test_an_export_leaves_the_old_folder_when_it_fails(folder, monkeypatch):
    pipe = load_pipeline(folder)
    before = (folder / "README.md").read_text()
    with pytest.raises(TypeError):
        export(pipe, folder, Defaults(), {"README.md": None})
    assert (folder / "README.md").read_text() == before
