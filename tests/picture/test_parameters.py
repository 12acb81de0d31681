"""The `parameters` text: ours for others, and that of others for us."""

import io
import re
from dataclasses import replace

import pytest
from fuzz_picture import WEBUI, foreign_png, sample_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from sd_parsers import ParserManager

from pipeline_utils.picture import parameters
from pipeline_utils.picture.picture import decode
from pipeline_utils.recipe import recipe


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


def test_a_hub_commit_is_not_passed_off_as_a_hash_of_weights():
    text = parameters.write(sample_picture(revision="c" * 40, model="local:my model").recipe)
    assert "Model: my model, Model revision: " + "c" * 40 in text
    assert "Model hash" not in text


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
        "just a prompt",
        "a: 1, b: 2",
        "\n\n",
        ",,,",
    ],
)
def test_text_in_another_form_is_not_guessed_at(text):
    found, unknown = parameters.parse(text)
    assert set(found.values()) == {None}
    assert unknown == ["The parameters are not in the form of stable-diffusion-webui, so nothing in them is used."]


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
