"""The `parameters` text: ours for others, and that of others for us."""

import hashlib
import io
import re
import zlib
from dataclasses import replace

import pytest
from fuzz_picture import WEBUI, foreign_png, join, sample_picture, split
from hypothesis import given, settings
from hypothesis import strategies as st
from sd_parsers import ParserManager

from pipeline_utils.models.revisions import content_hash
from pipeline_utils.picture import parameters
from pipeline_utils.picture.picture import decode
from pipeline_utils.recipe import recipe
from tests import tiny


def test_a_webui_picture_is_read_as_far_as_it_goes():
    reading = decode(foreign_png())
    assert reading.picture is None
    assert not reading.edited
    assert reading.parameters == {
        "prompt": "a red fox, (detailed:1.2)",
        "negative_prompt": "blurry, low quality",
        "steps": 20,
        "sampler": "DPM++ 2M Karras",
        "scheduler": "DPMSolverMultistepScheduler",
        "cfg_scale": 7.0,
        "seed": 42,
        "variation_seed": None,
        "variation_strength": None,
        "width": 512,
        "height": 512,
        "model": "v1-5-pruned",
        "model_hash": "6ce0161689",
    }
    told = " ".join(reading.unknown)
    for word in ("karras", "v1-5-pruned", "noise", "batch", "Clip skip, Lora hashes"):
        assert word in told


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_pixels_of_foreign_pictures_become_rgb(mode):
    if mode == "1":
        mode, options = "P", {"bits": 1}
    else:
        options = {}
    image = decode(foreign_png(mode=mode, **options)).image
    assert (image.mode, image.size) == ("RGB", (8, 8))


@pytest.mark.parametrize(("scheduler", "label"), parameters.LABELS.items())
def test_sampler_labels_are_known_both_ways(scheduler, label):
    made = sample_picture(scheduler=scheduler).recipe
    assert f"Sampler: {label}," in parameters.write(made)
    assert parameters.parse(parameters.write(made))[0]["scheduler"] == scheduler


@pytest.mark.parametrize("strength", [0.2, 0.35, 1e-9])
def test_a_variation_is_written_and_read_as_the_webui_does(strength):
    made = sample_picture(variation_seed=9, variation_strength=strength).recipe
    assert "Seed: 7, Size" in parameters.write(made)
    assert f"Variation seed: 9, Variation seed strength: {strength}, Version" in parameters.write(made)
    found, unknown = parameters.parse(parameters.write(made))
    assert (found["seed"], found["variation_seed"], found["variation_strength"]) == (7, 9, strength)
    assert not any("Variation" in sentence for sentence in unknown)
    assert "Variation" not in parameters.write(sample_picture().recipe)


def test_a_scheduler_without_a_usual_label_is_named_by_its_class():
    assert "Sampler: VQDiffusionScheduler," in parameters.write(sample_picture(scheduler="VQDiffusionScheduler").recipe)


@pytest.mark.parametrize("revision", ["c" * 40, "sha256:" + "c" * 32])
def test_a_hub_commit_or_a_folder_is_not_passed_off_as_a_hash_of_a_file(revision):
    text = parameters.write(sample_picture(revision=revision, model="local:my model").recipe)
    assert f"Model: my model, Model revision: {revision.removeprefix('sha256:')}, Version" in text
    assert "Model hash" not in text


def test_the_model_hash_of_a_checkpoint_is_what_other_tools_compute_of_the_file(tmp_path):
    file = tiny.tiny_single_file(tmp_path)
    text = parameters.write(sample_picture(revision=content_hash(file)).recipe)
    known = hashlib.sha256(file.read_bytes()).hexdigest()[:10]
    assert f"Model hash: {known}, Version" in text
    assert parameters.parse(text)[0]["model_hash"] == known


def line(text):
    """Text that the form can carry: it has no line of its own that reads as a part of it."""
    return text.strip() and not re.search(r"(?m)^\s*(Negative prompt:|Steps:)", text)


@settings(max_examples=200, deadline=None)
@given(
    prompt=st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), min_size=1, max_size=60).filter(line),
    negative=st.text(st.sampled_from('ab,:" \\{}<>'), max_size=40),
    seed=st.integers(0, recipe.MAX_SEED),
    guidance=st.floats(0, 50),
)
def test_what_we_write_we_read(prompt, negative, seed, guidance):
    made = sample_picture(prompt=prompt, negative_prompt=negative).recipe
    made = replace(made, seed=seed, guidance_scale=round(guidance, 3))
    found, _ = parameters.parse(parameters.write(made))
    assert (found["prompt"], found["negative_prompt"]) == (prompt.strip(), negative.strip())
    assert (found["seed"], found["cfg_scale"]) == (seed, made.guidance_scale)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"3": {"class_type": "KSampler", "inputs": {"seed": 5}}}',
        "[1, 2]",
        '{"3": {"class_type": "KSam',
        "[" * 5_000,
        "\n\n",
        ",,,",
    ],
)
def test_text_in_another_form_is_not_guessed_at(text):
    found, unknown = parameters.parse(text)
    assert set(found.values()) == {None}
    assert unknown == ["The parameters are not in the form of stable-diffusion-webui, so nothing in them is used."]


@pytest.mark.parametrize(
    "prompt",
    [
        "just a prompt",
        "a: 1, b: 2",
        "(masterpiece:1.2), (best quality:1.3), (blue hair:1.1)",
        "style: anime, mood: calm",
        "style: anime, mood: calm, light: soft, lens: long",
        "{red|blue} fox",
        "Steps: up the stairs, a cat",
        "テスト, (fox:1.1), [owl:0.5], <lora:x:1>",
        "the model: a woman, the size: large, the seed: a sunflower",
    ],
)
def test_a_line_without_a_known_setting_is_a_prompt(prompt):
    for negative in ("", "(worst quality:1.4), (low quality:1.4), (blurry:1.2)", "style: 3d, mood: dark"):
        found, unknown = parameters.parse(f"{prompt}\nNegative prompt: {negative}" if negative else prompt)
        assert (found["prompt"], found["negative_prompt"]) == (prompt, negative)
        assert {found[name] for name in ("steps", "sampler", "seed", "model", "model_hash")} == {None}
        assert unknown[0] == "Not in the file: steps, cfg scale, seed, width."


@pytest.mark.parametrize(
    "template", ["a {red|blue} fox, (a:1), (b:2)", "a fox\nSteps: up the stairs", "Seed: of doubt"]
)
@pytest.mark.parametrize("settings", ["Steps: 20, Sampler: Euler a, Seed: 7", "Sampler: Euler a, Steps: 20, Seed: 7"])
def test_a_template_behind_the_settings_changes_none_of_them(template, settings):
    text = f"a red fox\nNegative prompt: blurry\n{settings}, Size: 512x768, Model: foo"
    found, unknown = parameters.parse(f"{text}\nTemplate: {template}\nNegative Template: blurry, RNG: CPU")
    assert found == parameters.parse(text)[0]
    assert (found["prompt"], found["model"], found["steps"], found["seed"]) == ("a red fox", "foo", 20, 7)
    assert any("Template" in sentence for sentence in unknown)


def test_a_prompt_that_looks_like_settings_gives_way_to_the_line_below_it():
    found, _ = parameters.parse(f"Steps: 3, Sampler: DDIM, Seed: 9, a staircase\n{WEBUI.splitlines()[-1]}")
    assert (found["prompt"], found["steps"]) == ("Steps: 3, Sampler: DDIM, Seed: 9, a staircase", 20)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "Where the noise was drawn is not said"),
        (", RNG: NV", "The noise was drawn as an NVIDIA GPU draws it"),
        (", RNG: GPU", "The noise was drawn on a GPU"),
        (", RNG: TPU", "The noise was drawn by TPU"),
    ],
)
def test_what_is_said_of_the_noise_is_not_called_unsaid(said, told):
    unknown = " ".join(parameters.parse(WEBUI + said)[1])
    assert told in unknown
    assert unknown.count("noise was drawn") == 1
    assert "RNG" not in unknown


def test_a_size_of_the_batch_that_is_said_is_not_called_unsaid():
    assert "size of the batch" in " ".join(parameters.parse(WEBUI)[1])
    assert "batch" not in " ".join(parameters.parse(WEBUI + ", Batch size: 4, Batch pos: 1")[1]).lower()


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_plain_text_is_utf8_where_it_is_valid_and_latin_1_otherwise(kind, encoding):
    prompt = "テスト" if encoding == "utf-8" else "Füchslein"
    text = f"{prompt}\nSteps: 20, Sampler: DDIM, Seed: 7".encode(encoding)
    body = b"parameters\0" + (text if kind == b"tEXt" else b"\0" + zlib.compress(text))
    chunks = [(kind, body) if k == b"tEXt" else (k, b) for k, b in split(foreign_png())]
    assert decode(join(chunks)).parameters["prompt"] == prompt


def test_missing_and_unusable_values_are_named():
    found, unknown = parameters.parse("a fox\nSteps: many, Sampler: Restart, Seed: -1, CFG scale: nan, Size: 5")
    assert found["prompt"] == "a fox"
    assert found["negative_prompt"] == ""
    assert unknown[0] == "Not in the file: steps, cfg scale, seed, width."
    assert "The sampler Restart has no counterpart here." in unknown
    assert "The model is not named." in unknown


def test_prompts_of_several_lines_quotes_and_lines_after_the_settings_are_understood():
    text = 'one\ntwo: 2, three\nNegative prompt: four\nfive\nSteps: 5, Model: "a, b: c", RNG: CPU\nTemplate: {x|y}, z'
    found, unknown = parameters.parse(text)
    assert (found["prompt"], found["negative_prompt"]) == ("one\ntwo: 2, three", "four\nfive")
    assert (found["steps"], found["model"]) == (5, "a, b: c")
    assert any("Template" in sentence for sentence in unknown)
    assert not any("noise was drawn" in sentence for sentence in unknown)


def test_our_own_reading_of_the_webui_text_agrees_with_the_independent_reader():
    sampler = ParserManager().parse(io.BytesIO(foreign_png())).samplers[0]
    found, _ = parameters.parse(WEBUI)
    assert sampler.prompts[0].value == found["prompt"]
    assert sampler.parameters["seed"] == str(found["seed"])
