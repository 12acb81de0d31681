"""python -m pipeline_utils, in processes of its own where that is the point, else called in this one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sd_parsers import ParserManager

from pipeline_utils.__main__ import main
from pipeline_utils.picture.picture import Picture, encode, pixel_sha256, read
from pipeline_utils.recipe.ask import Ask
from tests.making import made, studio

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "corpus"


@pytest.fixture(scope="module")
def files(tiny_sd_folder, tmp_path_factory) -> list[Path]:
    """Three pictures of one round as the shelf keeps them, and a variation of the third."""
    here = studio(tiny_sd_folder, tmp_path_factory.mktemp("shelf"))
    events = made(here.first_round(Ask("a cat", "0-2", sampler="Euler a", num_inference_steps=3)))
    events += made(here.variations(events[2].picture, "9", 0.35))[1:]
    return [here.shelf.get(event.picture.id) for event in events]


@pytest.fixture
def edited(files, tmp_path) -> Path:
    picture = read(files[0]).picture
    pixels = np.array(picture.image)
    pixels[3, 4] ^= 2
    file = tmp_path / "edited.png"
    file.write_bytes(encode(replace(picture, image=Image.fromarray(pixels))))
    return file


def command(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline_utils", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def test_a_picture_is_verified_in_a_new_process(files, tiny_sd_folder):
    found = command("verify", files[1], "--model", tiny_sd_folder)
    assert (found.returncode, found.stdout) == (0, "Identical: made again, all 1,024 pixels have the same bits.\n")
    assert found.stderr == ""  # nothing but the sentence: no warnings, no progress bars


def test_a_variation_is_verified_repeated_and_shown_in_a_new_process(files, tiny_sd_folder, tmp_path):
    found = command("verify", files[3], "--model", tiny_sd_folder)
    assert (found.returncode, found.stdout[:9]) == (0, "Identical")
    assert command("replay", files[3], "--model", tiny_sd_folder, "-o", tmp_path / "again.png").returncode == 0
    assert (tmp_path / "again.png").read_bytes() == files[3].read_bytes()
    told = command("show", files[3]).stdout
    assert "  seed: 2\n  variation_seed: 9\n  variation_strength: 0.35\n" in told


def test_an_edited_picture_ends_with_1_and_can_show_what_differs(edited, tiny_sd_folder, tmp_path, capsys):
    difference = tmp_path / "difference.png"
    arguments = ["verify", str(edited), "--model", str(tiny_sd_folder), "--difference", str(difference)]
    assert main(arguments) == 1
    assert capsys.readouterr().out.startswith("The file was edited after it was made")
    shown = np.asarray(Image.open(difference))
    assert shown[3, 4].max() == 255
    assert shown.any(axis=2).sum() == 1


def test_verify_prints_json(files, tiny_sd_folder, capsys):
    assert main(["verify", str(files[0]), "--model", str(tiny_sd_folder), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["identical"] is True
    assert answer["differing_pixels"] == 0


def test_a_replay_writes_the_very_same_file(files, tiny_sd_folder, tmp_path, capsys):
    output = tmp_path / "again.png"
    assert main(["replay", str(files[2]), "--model", str(tiny_sd_folder), "-o", str(output)]) == 0
    assert output.read_bytes() == files[2].read_bytes()
    assert "Identical" in capsys.readouterr().out


def test_a_recipe_alone_is_replayed(files, tiny_sd_folder, tmp_path, capsys):
    picture = read(files[2]).picture
    for name, text in (("recipe", picture.recipe.to_json()), ("record", json.dumps(picture.record()))):
        file, output = tmp_path / f"{name}.json", tmp_path / f"{name}.png"
        file.write_text(text, "utf-8")
        assert main(["replay", str(file), "--model", str(tiny_sd_folder), "-o", str(output)]) == 0
        assert read(output).picture.image.tobytes() == picture.image.tobytes()


def test_a_process_is_set_up_as_the_recipe_says(files, tiny_sd_folder, tmp_path):
    """bfloat16 and full determinism are settings of a process, so a new one is given them. Threads too."""
    recipe = replace(read(files[0]).picture.recipe, dtype="bfloat16", full_determinism=True)
    file, output = tmp_path / "recipe.json", tmp_path / "made.png"
    file.write_text(recipe.to_json())
    assert command("replay", file, "--model", tiny_sd_folder, "-o", output, "--threads", 2).returncode == 0
    picture = read(output).picture
    assert picture.recipe == recipe
    assert picture.fingerprint["threads"] == 2
    checked = command("verify", output, "--model", tiny_sd_folder)
    assert checked.stdout == "Identical: made again, all 1,024 pixels have the same bits.\n"


def test_the_versions_of_a_picture_are_pinned_without_making_it(files, tmp_path, capsys):
    pins = tmp_path / "pins.txt"
    assert main(["replay", str(files[0]), "--pin", str(pins)]) == 0
    assert capsys.readouterr().out == f"{pins}: the versions that made it\n"
    made_by = read(files[0]).picture.fingerprint
    packages = ("torch", "diffusers", "transformers")
    assert [line for line in pins.read_text().splitlines() if line[0] != "#"] == [
        f"{n}=={made_by[n]}" for n in packages
    ]
    (tmp_path / "recipe.json").write_text(read(files[0]).picture.recipe.to_json())
    assert main(["replay", str(tmp_path / "recipe.json"), "--pin", str(pins)]) == 2  # which names no versions
    assert "recipe.json" in capsys.readouterr().err
    assert main(["replay", str(files[0]), "--pin", str(files[1])]) == 2
    assert "--pin" in capsys.readouterr().err


def test_a_picture_that_differs_is_told_the_packages_that_made_it(files, tiny_sd_folder, tmp_path, capsys):
    old, file = read(files[0]).picture, tmp_path / "old.png"
    touched = old.image.copy()
    touched.putpixel((0, 0), (1, 2, 3))
    made = Picture.make(touched, old.recipe, {**old.fingerprint, "diffusers": "0.30.0"}, old.lineage)
    file.write_bytes(encode(made))
    assert main(["verify", str(file), "--model", str(tiny_sd_folder)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "  for another try: pip install diffusers==0.30.0"
    assert told[1].startswith("  diffusers: 0.30.0 there, ")


def test_two_recipes_are_compared(files, capsys):
    assert main(["diff", str(files[0]), str(files[1])]) == 1
    assert capsys.readouterr().out == "seed: 0 → 1\n"
    assert main(["diff", "--json", str(files[2]), str(files[3])]) == 1
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["variation_seed", "variation_strength"]
    assert main(["diff", str(files[0]), str(files[0])]) == 0
    assert capsys.readouterr().out == "The recipes are equal.\n"
    assert main(["diff", str(files[0]), str(CORPUS / "read_webui.png")]) == 2
    assert "read_webui.png" in capsys.readouterr().err


def test_pictures_are_exported_with_their_names_and_settings(files, tmp_path, capsys):
    for form in ("webp", "jpeg"):
        assert main(["export", *map(str, files), "-o", str(tmp_path), "--format", form]) == 0
        assert capsys.readouterr().out == f"{tmp_path}: 4 pictures\n"
        for file in files:
            (sampler,) = ParserManager().parse(tmp_path / f"{file.stem}.{form}").samplers
            assert sampler.parameters["seed"] == str(read(file).picture.recipe.seed)
    with Image.open(tmp_path / f"{files[0].stem}.webp") as image:
        assert pixel_sha256(image.convert("RGB")) == read(files[0]).picture.pixel_sha256


def test_an_export_that_cannot_be_whole_writes_nothing(files, tmp_path, capsys):
    for given, word in (
        ([files[0], CORPUS / "read_webui.png"], "read_webui.png"),
        ([files[0], files[0]], "two of them"),
    ):
        assert main(["export", *map(str, given), "-o", str(tmp_path)]) == 2
        assert word in capsys.readouterr().err
    assert main(["export", str(files[0]), "-o", str(tmp_path / "absent")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_show_needs_no_torch_and_tells_recipe_lineage_and_state(files):
    program = (
        "import sys; from pipeline_utils.__main__ import main; code = main(sys.argv[1:]); "
        "assert not {'torch', 'diffusers', 'gradio'} & sys.modules.keys(); sys.exit(code)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, "show", files[0]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    for line in ("  prompt: a cat", "  seed: 0", "  scheduler: EulerAncestralDiscreteScheduler", "  round: 1"):
        assert line in found.stdout.splitlines()
    assert "  as they were saved" in found.stdout.splitlines()


def test_show_prints_the_whole_record_as_json(files, capsys):
    assert main(["show", "--json", str(files[0])]) == 0
    told = json.loads(capsys.readouterr().out)
    picture = read(files[0]).picture
    assert told["record"] == picture.record()
    assert told["id"] == picture.id
    assert told["edited"] is False


def test_show_says_that_a_file_was_edited(edited, capsys):
    assert main(["show", str(edited)]) == 0
    assert "  edited: they were saved with sha256 " in capsys.readouterr().out


def test_show_reads_parameters_of_other_tools_and_says_what_is_unknown(capsys):
    assert main(["show", str(CORPUS / "read_webui.png")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("settings of another tool")
    assert "cannot be told from a name" in out


def test_words_of_a_file_cannot_steer_the_terminal(files, tmp_path, capsys):
    picture = read(files[0]).picture
    wild = replace(picture.recipe, prompt="a\x9b31m cat\u202e\nseed: 5")
    file = tmp_path / "wild.png"
    file.write_bytes(encode(Picture.make(picture.image, wild, picture.fingerprint, picture.lineage)))
    assert main(["show", str(file)]) == 0
    assert "  prompt: a\\x9b31m cat\\u202e\\nseed: 5" in capsys.readouterr().out.splitlines()


def test_a_contact_sheet_is_written(files, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert main(["contact-sheet", *map(str, files[:3]), "-o", str(sheet), "--title", "a cat"]) == 0
    assert Image.open(sheet).width > 500
    assert capsys.readouterr().out == f"{sheet}: 3 pictures\n"
    assert main(["show", str(sheet)]) == 0
    assert capsys.readouterr().out.splitlines() == ["sheet of 3 pictures", *(f"  seed {n}: a cat" for n in range(3))]
    assert main(["show", "--json", str(sheet)]) == 0
    assert json.loads(capsys.readouterr().out)["sheet"] == [read(file).picture.record() for file in files[:3]]
    assert main(["verify", str(sheet)]) == 2
    assert "a sheet of several pictures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "absent.png"], "No such file"),
        (["show", "absent.png"], "No such file"),
        (["show", str(ROOT)], "not a file"),
        (["show", str(ROOT / "pyproject.toml")], "PNG"),
        (["verify", str(CORPUS / "refused_bomb_in_pixels.png")], "pixels"),
        (["replay", str(ROOT / "pyproject.toml"), "-o", "x.png"], "valid JSON"),
        (["replay", "absent.json", "-o", "x.png"], "No such file"),
        (["contact-sheet", str(CORPUS / "read_webui.png"), "-o", "x.png"], "read_webui.png"),
        (["contact-sheet", "absent.png", "-o", "x.png"], "absent.png"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_tool_is_not_made_again(tiny_sd_folder, capsys):
    assert main(["verify", str(CORPUS / "read_webui.png"), "--model", str(tiny_sd_folder)]) == 2
    assert "cannot be made again exactly" in capsys.readouterr().out


def test_a_picture_of_a_gpu_in_half_precision_is_tried_on_a_cpu(files, tiny_sd_folder, tmp_path, capsys):
    picture = read(files[0]).picture
    there = {**{k: v for k, v in picture.fingerprint.items() if k != "threads"}, "device": "NVIDIA T4", "cuda": "12.8"}
    recipe = replace(picture.recipe, dtype="float16", offload="model")
    file = tmp_path / "gpu.png"
    file.write_bytes(encode(Picture.make(picture.image, recipe, there, picture.lineage)))
    assert main(["verify", str(file), "--model", str(tiny_sd_folder)]) == 1
    out = capsys.readouterr().out
    assert "since it was made elsewhere (device NVIDIA T4 there" in out
    assert "it had to be made without moving parts of the model" in out
    assert "PSNR" in out


def test_a_local_model_has_to_be_named(files, capsys):
    assert main(["verify", str(files[0])]) == 2
    assert "made with local:tiny-sd; say where that is with --model PATH" in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_refused(files, tmp_path, capsys):
    assert main(["verify", str(files[0]), "--model", str(tmp_path)]) == 2
    assert "no model_index.json" in capsys.readouterr().err


def test_other_weights_are_not_called_different_but_not_checked(files, tmp_path, capsys):
    from tests.tiny import tiny_sd

    assert main(["verify", str(files[0]), "--model", str(tiny_sd(tmp_path / "tiny-sd", seed=9))]) == 2
    assert "other weights make another picture" in capsys.readouterr().out


def test_a_hub_model_is_not_fetched_unless_allowed(files, tmp_path, tiny_sd_folder, capsys):
    recipe = replace(read(files[0]).picture.recipe, model="stabilityai/sdxl-turbo", revision="b" * 40)
    file = tmp_path / "recipe.json"
    file.write_text(recipe.to_json())
    arguments = ["replay", str(file), "--model", str(tiny_sd_folder), "-o", str(tmp_path / "x.png")]
    assert main(arguments) == 2
    assert "would be downloaded first" in capsys.readouterr().err
    assert main([*arguments, "--allow-download"]) == 2
    assert "hub cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["paint"], ["verify"], ["verify", "x.png", "--threads", "0"], ["replay", "x"]]
)
def test_wrong_usage_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_full_disk_or_a_missing_folder_is_said(files, tiny_sd_folder, tmp_path, capsys):
    output = tmp_path / "absent" / "sheet.png"
    assert main(["contact-sheet", str(files[0]), "-o", str(output)]) == 2
    assert "absent" in capsys.readouterr().err
