"""How the bundled model is made, end to end at toy size, on a few drawn shapes."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

pytest.importorskip("diffusers")


from pipeline_utils.training import __main__ as command
from pipeline_utils.training import export as exporting
from pipeline_utils.training import finish, steps
from pipeline_utils.training.captions import compose, fragment_tokens, plural
from pipeline_utils.training.card import card
from pipeline_utils.training.evaluate import Extent, evaluate, load_pipeline, table
from pipeline_utils.training.meanings import Meanings
from pipeline_utils.training.presets import PRESETS, Odds
from pipeline_utils.training.progress import Budget, load_checkpoint
from pipeline_utils.training.runtime import Place
from pipeline_utils.training.sampling import assemble_pipeline, load_tokenizer, make_pictures
from pipeline_utils.training.words import BACKGROUNDS, STYLES
from tests.shapes import NAMES, SMOKE, scenes_of, shapes


@pytest.fixture(scope="module")
def pictures():
    return shapes()


@pytest.fixture(scope="module")
def meanings():
    generator = torch.Generator().manual_seed(0)
    unit = lambda n: torch.nn.functional.normalize(torch.randn(n, 8, generator=generator), dim=1)  # noqa: E731
    words = ["sphere", "crate", "fruit", "the", "zebra"]
    return Meanings(unit(3), words, unit(5).half(), [["sphere"], ["crate"], []], [["orb"], [], []])


@pytest.fixture(scope="module")
def shop(tmp_path_factory, pictures, meanings):
    shop = steps.Workshop(SMOKE, tmp_path_factory.mktemp("training"), Place("cpu", shards=2))
    shop.folder.mkdir(parents=True)
    pictures.save(shop.folder / "pictures.pt")
    meanings.save(shop.folder / "meanings.pt")
    steps.save_tokenizer(shop)
    return shop


@pytest.fixture(scope="module")
def exported(shop, tmp_path_factory):
    steps.run_vae(shop, steps=2)
    steps.run_text(shop, steps=2)
    steps.run_unet(shop, steps=2)
    folder = tmp_path_factory.mktemp("model") / "emoji-sd"
    exporting.export(SMOKE, shop.folder, folder, exporting.Defaults(), {"README.md": "card"})
    return folder


def test_two_steps_of_everything_make_a_pipeline_that_paints(exported):
    pipe = load_pipeline(exported)
    made = make_pictures(pipe, ["a ball", "a box, 3d"], [0, 1], 2, 3.0)
    assert made.shape == (2, 3, SMOKE.size, SMOKE.size)
    assert made.isfinite().all()
    assert made.std() > 0


def test_the_exported_folder_is_fp16_safetensors_with_its_settings(exported):
    from safetensors.torch import load_file

    weights = list(exported.rglob("*.safetensors"))
    assert len(weights) == 3
    assert not list(exported.rglob("*.bin"))
    assert all(t.dtype == torch.float16 for f in weights for t in load_file(f).values() if t.is_floating_point())
    settings = json.loads((exported / "second_round.json").read_text())
    assert len(settings["default_suffixes"]) == 4
    assert len(settings["example_prompts"]) >= 3
    trained = {f", {style.word}" for style in STYLES[1:]}
    assert set(settings["default_suffixes"]) <= trained
    assert "CC BY 4.0" in (exported / "LICENSE").read_text()


def test_exporting_again_replaces_the_folder_whole(shop, exported):
    before = sorted(p.name for p in exported.parent.iterdir())
    exporting.export(SMOKE, shop.folder, exported, exporting.Defaults(), {"README.md": "card"})
    assert sorted(p.name for p in exported.parent.iterdir()) == before


@pytest.mark.parametrize("step", ["vae", "text", "unet"])
def test_a_resumed_run_ends_with_the_same_bits(step, shop, exported, tmp_path):
    def folder(name):
        root = tmp_path / name
        target = root / SMOKE.name
        target.mkdir(parents=True)
        for file in ("pictures.pt", "meanings.pt", "components.pt", "vae.pt", "text.pt"):
            if file != f"{step}.pt":
                (target / file).write_bytes((shop.folder / file).read_bytes())
        load_tokenizer(shop.folder).save_pretrained(target / "tokenizer")
        return dataclasses.replace(shop, root=root)

    run = getattr(steps, f"run_{step}")
    whole, pieces = folder("whole"), folder("pieces")
    # A rate that is the same whatever the length, so that only resuming differs.
    name = f"{step}_run"
    preset = dataclasses.replace(SMOKE, **{name: dataclasses.replace(getattr(SMOKE, name), decay=1e-9)})
    whole = dataclasses.replace(whole, preset=preset)
    pieces = dataclasses.replace(pieces, preset=preset)
    run(whole, steps=4)
    run(pieces, steps=2)
    run(pieces, steps=4)
    a, b = (load_checkpoint(s.folder / f"{step}.pt") for s in (whole, pieces))
    assert all(torch.equal(a["model"][k], b["model"][k]) for k in a["model"])
    assert all(torch.equal(x, y) for x, y in zip(a["average"], b["average"], strict=True))


@pytest.fixture(scope="module")
def restored(shop, exported, tmp_path_factory):
    """A workshop that has the exported folder, the pictures, and no checkpoint of its own."""
    again = dataclasses.replace(shop, root=tmp_path_factory.mktemp("restored"))
    again.folder.mkdir(parents=True)
    for file in ("pictures.pt", "meanings.pt"):
        (again.folder / file).write_bytes((shop.folder / file).read_bytes())
    steps.run_restore(again, exported)
    return again


def test_restored_checkpoints_paint_what_the_folder_paints(restored, exported):
    call = (["a ball", "a box, 3d"], [0, 1], 2, 3.0)
    theirs = make_pictures(load_pipeline(exported), *call)
    ours = make_pictures(assemble_pipeline(SMOKE, restored.folder), *call)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("step", ["vae", "text", "unet"])
def test_training_goes_on_from_restored_weights(step, restored):
    start = load_checkpoint(restored.folder / f"{step}.pt")["average"]
    getattr(steps, f"run_{step}")(restored, steps=1)
    after = load_checkpoint(restored.folder / f"{step}.pt")
    assert after["budget"]["step"] == 1
    moved = [(a - b).abs().max().item() for a, b in zip(start, after["average"], strict=False)]
    # One step away from the exported weights, not a fresh start: that would be further.
    assert 0 < max(moved) < 0.05


def test_restoring_never_overwrites_a_checkpoint(restored, exported):
    with pytest.raises(FileExistsError, match=r"unet\.pt"):
        steps.run_restore(restored, exported)


def test_restoring_refuses_a_folder_of_another_shape(shop, exported, tmp_path):
    other = dataclasses.replace(shop, preset=PRESETS["cpu"], root=tmp_path)
    with pytest.raises(RuntimeError, match=r"size mismatch|Missing key"):
        steps.run_restore(other, exported)


def test_the_evaluation_fills_its_table_and_the_sheets_are_drawn(shop, exported, tmp_path):
    preset = dataclasses.replace(SMOKE, odds=Odds(company=0.0))
    shop = dataclasses.replace(shop, preset=preset)
    settings = json.loads((exported / "second_round.json").read_text())
    (exported / "second_round.json").write_text(json.dumps(settings | {"num_inference_steps": 1}))
    report = evaluate(
        exported,
        preset,
        shop.pictures(),
        shop.meanings(),
        shop.folder,
        shop.place,
        Extent(seeds=2, rounds=1, judge_steps=2),
    )
    said = table(report)
    assert said.count("\n") > 10
    assert "nan" not in said
    assert 0 <= report["concept"]["top-1"] <= report["concept"]["top-5"] <= 1
    finish.run_sheets(shop, exported, tmp_path)
    assert len(list(tmp_path.glob("*.webp"))) >= 4
    assert "CC BY 4.0" in card(preset, NAMES, exporting.Defaults(), report)


def test_captions_tokenise_alike_in_training_and_in_the_pipeline(shop, exported, pictures):
    tokenizer, book = load_pipeline(exported).tokenizer, shop.book()
    scenes, generator = scenes_of(pictures, 200, company=0.3, tint=0.5, placement_named=0.5)
    rows = compose(scenes, book, Odds(), generator)
    said = [book.text(row) for row in rows]
    theirs = tokenizer(
        said,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    ours = fragment_tokens(book, load_tokenizer(shop.folder)).assemble(rows)
    assert torch.equal(ours, theirs)


def test_nothing_a_person_types_is_an_unknown_token(shop):
    tokenizer = load_tokenizer(shop.folder)
    for text in ("Zürich, 犬! 3d", "naïve café", "x", "🙂", "t-shirt & jack-o-lantern"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert ids
        assert tokenizer.unk_token_id not in ids


def test_a_caption_names_what_the_scene_shows(shop, pictures):
    book = shop.book()
    scenes, generator = scenes_of(pictures, 400, synonym=0.0, tint=0.5)
    for row in range(len(scenes)):
        said = book.text(compose(scenes.select(slice(row, row + 1)), book, Odds(synonym=0), generator)[0])
        name = NAMES[scenes.concept[row]]
        assert name in said or plural(name) in said
        assert said.endswith(STYLES[scenes.style[row]].word)
        behind = [any(p in said for p in phrases) for _, phrases, _, _ in BACKGROUNDS]
        assert behind == [i == scenes.background[row] for i in range(len(BACKGROUNDS))]


def test_held_out_words_never_stand_in_a_caption(shop, pictures):
    assert not any("orb" in fragment for fragment in shop.book().fragments)


def test_a_budget_of_steps_ends_and_cools_down():
    budget, rates = Budget(steps=200), []
    while budget.progress < 1:
        rates.append(budget.rate(dataclasses.replace(SMOKE.vae_run, decay=0.3)))
        budget.step += 1
    assert len(rates) == 200
    assert rates[0] < rates[50]
    assert rates[-1] < 0.1 * rates[50]


def test_the_command_lists_its_steps(capsys):
    with pytest.raises(SystemExit):
        command.parse(["--help"])
    said = capsys.readouterr().out
    for step in ("fetch", "render", "vae", "text", "unet", "evaluate", "sheets", "export", "all"):
        assert step in said
