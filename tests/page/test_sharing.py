"""Links: what is written is read again, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_utils.page.share.layout import query, read_link
from pipeline_utils.recipe.recipe import Recipe

RECIPE = Recipe(
    model="emoji-sd",
    revision="sha256:" + "0" * 16,
    prompt="a red fox, neon & more",
    seed=0,
    num_inference_steps=12,
    guidance_scale=4.0,
    scheduler="DDIMScheduler",
    width=64,
    height=64,
    dtype="float32",
    lanes=4,
)


def read(text: str):
    return read_link(parse_qsl(text, keep_blank_values=True))


def test_a_link_holds_the_recipe_and_the_suffixes():
    found = read(query(RECIPE, [", artsy", " & 100 % flat?"]))
    assert found.problems == []
    assert found.suffixes == [", artsy", " & 100 % flat?"]
    assert found.values == {
        "prompt": "a red fox, neon & more",
        "seeds": "0",
        "num_inference_steps": 12,
        "guidance_scale": 4.0,
        "width": 64,
        "height": 64,
        "sampler": "DDIM",
        "model": "emoji-sd",
    }


def test_a_link_says_which_revision_of_the_model_is_meant():
    assert read(query(RECIPE, [])).revision == RECIPE.revision
    assert read("prompt=a+fox").revision == ""


def test_a_link_to_a_variation_holds_its_second_seed_and_strength():
    varied = replace(RECIPE, negative_prompt="blurry", variation_seed=7, variation_strength=1 / 3)
    values = read(query(varied, [])).values
    assert (values["variation_seed"], values["variation_strength"]) == (7, 1 / 3)
    assert values["negative_prompt"] == "blurry"


BAD = [
    ("revision", "main", "a hub commit or sha256:"),
    ("prompt", " ", "at least one word"),
    ("prompt", "x" * 2001, "at most 2000 characters"),
    ("negative_prompt", "a\x00", "control characters"),
    ("seeds", "9-3", "a range goes upwards"),
    ("seeds", "4294967296", "at most 4294967295"),
    ("num_inference_steps", "501", "a whole number from 1 to 500"),
    ("num_inference_steps", "2.5", "a whole number from 1 to 500"),
    ("num_inference_steps", "٣", "a whole number from 1 to 500"),
    ("num_inference_steps", "9" * 5000, "a whole number from 1 to 500"),
    ("guidance_scale", "nan", "a number from 0 to 50"),
    ("guidance_scale", "-1", "a number from 0 to 50"),
    ("guidance_scale", "inf", "a number from 0 to 50"),
    ("width", "8", "a whole number from 16 to 4096"),
    ("height", "x", "a whole number from 16 to 4096"),
    ("sampler", "Magic", "sampler"),
    ("model", "../../etc/passwd", "model"),
    ("model", "/etc/passwd", "model"),
    ("variation_seed", "-1", "a whole number from 0 to 4294967295"),
    ("variation_strength", "1.5", "a number from 0 to 1"),
    ("suffix", " ,", "at least one word"),
    ("suffix", "y" * 201, "at most 200 characters"),
]


@pytest.mark.parametrize(("name", "value", "limit"), BAD)
def test_a_bad_value_is_told_with_its_limit_and_the_rest_is_used(name, value, limit):
    found = read_link([("prompt", "a cup"), ("seeds", "3"), ("suffix", ", flat"), (name, value), ("utm_source", "x")])
    assert len(found.problems) == 1
    assert limit in found.problems[0]
    assert "is not accepted" in found.problems[0]
    assert found.values == {"prompt": "a cup", "seeds": "3"}
    assert found.suffixes == [", flat"]


def test_a_link_takes_as_many_suffixes_as_a_round():
    found = read_link([("suffix", f", style {n}") for n in range(20)])
    assert len(found.suffixes) == 16
    assert len(found.problems) == 4
    assert "a round takes at most 16" in found.problems[0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([name for name, _, _ in BAD]), st.text(max_size=30)), max_size=8))
def test_no_address_breaks_the_reading(pairs):
    found = read_link(pairs)
    assert set(found.values) <= {name for name, _ in pairs}
