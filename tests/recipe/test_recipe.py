"""Recipes: frozen, validated, one text for each."""

import dataclasses
import json

import pytest

from pipeline_utils.errors import InputError
from pipeline_utils.recipe.recipe import Recipe

VALUES = {
    "model": "emoji-sd",
    "revision": "sha256:0123456789abcdef",
    "prompt": "a fox",
    "negative_prompt": "",
    "seed": 0,
    "variation_seed": None,
    "variation_strength": 0.0,
    "noise_device": "cpu",
    "num_inference_steps": 20,
    "guidance_scale": 7.5,
    "scheduler": "DDIMScheduler",
    "width": 64,
    "height": 64,
    "dtype": "float32",
    "lanes": 4,
    "full_determinism": False,
    "offload": "none",
}
RECIPE = Recipe(**VALUES)


def changed(**changes) -> Recipe:
    return Recipe(**{**VALUES, **changes})


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPE.seed = 1


def test_seed_zero_is_a_seed_and_so_is_the_largest():
    assert changed(seed=0).seed == 0
    assert changed(seed=2**32 - 1).seed == 2**32 - 1
    assert json.loads(changed(seed=2**32 - 1).to_json())["seed"] == 2**32 - 1


def test_the_json_is_canonical_and_comes_back_equal():
    assert RECIPE.to_json() == (
        '{"dtype":"float32","full_determinism":false,"guidance_scale":7.5,"height":64,"lanes":4,"model":"emoji-sd",'
        '"negative_prompt":"","noise_device":"cpu","num_inference_steps":20,"offload":"none","prompt":"a fox",'
        '"revision":"sha256:0123456789abcdef","scheduler":"DDIMScheduler","seed":0,"variation_seed":null,"variation_strength":0.0,'
        '"width":64}'
    )
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE
    assert Recipe.from_dict(dict(reversed(RECIPE.to_dict().items()))).to_json() == RECIPE.to_json()


def test_text_of_any_script_is_kept_as_it_is():
    recipe = changed(prompt="狐 🦊 e\u0301\n\ta")
    assert "狐 🦊" in recipe.to_json()
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_the_id_stays_the_same_for_ever():
    assert RECIPE.id == "d7fffbd86be1"


@pytest.mark.parametrize("field", [name for name in VALUES if not name.startswith("variation")])
def test_every_field_counts_in_the_id(field):
    other = {
        "model": "owner/name",
        "revision": "0" * 40,
        "noise_device": "cuda",
        "scheduler": "EulerDiscreteScheduler",
        "dtype": "bfloat16",
        "offload": "model",
        "full_determinism": True,
    }
    value = VALUES[field]
    new = other.get(field, value + "x" if isinstance(value, str) else value + 1)
    assert changed(**{field: new}).id != RECIPE.id


def test_a_variation_counts_in_the_id_by_its_seed_and_its_strength():
    variations = [changed(variation_seed=s, variation_strength=t) for s in (1, 2) for t in (0.2, 0.3)]
    assert len({recipe.id for recipe in [RECIPE, *variations]}) == 5
    assert Recipe.from_json(variations[0].to_json()) == variations[0]


@pytest.mark.parametrize(
    ("seed", "strength", "message"),
    [
        (None, 0.2, "variation_strength: 0.2 is not accepted; 0 where there is no variation_seed"),
        (1, 0.0, "variation_strength: 0.0 is not accepted; above 0 and below 1"),
        (1, 1, "variation_strength: 1.0 is not accepted; above 0 and below 1"),
        (1, 1.1, "variation_strength: 1.1 is not accepted; a number from 0 to 1"),
        (1, -0.1, "variation_strength: -0.1 is not accepted; a number from 0 to 1"),
        (1, float("nan"), "variation_strength: nan is not accepted"),
        (1, "0.2", "variation_strength: '0.2' is not accepted"),
        (1, True, "variation_strength: True is not accepted"),
        (None, None, "variation_strength: None is not accepted"),
        (0, 0.2, "variation_seed: 0 is not accepted; another seed than the first"),
        (-1, 0.2, "variation_seed: -1 is not accepted; a whole number from 0 to 4294967295"),
        (2**32, 0.2, "variation_seed: 4294967296 is not accepted"),
        ("1", 0.2, "variation_seed: '1' is not accepted"),
        (True, 0.2, "variation_seed: True is not accepted"),
        (1.0, 0.2, "variation_seed: 1.0 is not accepted"),
    ],
)
def test_a_second_seed_and_a_strength_are_valid_together_only(seed, strength, message):
    with pytest.raises(InputError) as caught:
        changed(variation_seed=seed, variation_strength=strength)
    assert str(caught.value).startswith(message)


def test_zero_has_one_sign_so_that_equal_recipes_have_one_id():
    assert changed(variation_strength=-0.0).id == changed(variation_strength=0).id == RECIPE.id
    assert changed(guidance_scale=-0.0).id == changed(guidance_scale=0).id


def test_whole_guidance_and_its_decimal_are_one_recipe():
    assert changed(guidance_scale=7) == changed(guidance_scale=7.0)
    assert changed(guidance_scale=7).id == changed(guidance_scale=7.0).id


@pytest.mark.parametrize(
    "model", ["emoji-sd", "owner/name", "local:my model", "local:v1.5_ema", "stabilityai/sdxl-turbo"]
)
def test_a_model_is_a_catalog_name_a_hub_id_or_a_local_name(model):
    assert changed(model=model).model == model


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("model", "", "a catalog name"),
        ("model", None, "a catalog name"),
        ("model", "/home/someone/model", "a catalog name"),
        ("model", "C:\\models\\x", "a catalog name"),
        ("model", "a/b/c", "a catalog name"),
        ("model", "a..b", "a path is never part"),
        ("model", "local:../x", "a catalog name"),
        ("model", "x" * 500, "a catalog name"),
        ("revision", "main", "a hub commit"),
        ("revision", "0" * 39, "a hub commit"),
        ("revision", "sha256:xyz", "a hub commit"),
        ("revision", 7, "a hub commit"),
        ("prompt", "", "at least one word"),
        ("prompt", " \n", "at least one word"),
        ("prompt", "a" * 2001, "at most 2000 characters"),
        ("prompt", None, "text is needed"),
        ("prompt", ["a"], "text is needed"),
        ("prompt", "a\x00", "control characters"),
        ("prompt", "\ud83d", "a lone surrogate"),
        ("negative_prompt", None, "text is needed"),
        ("negative_prompt", "a" * 2001, "at most 2000 characters"),
        ("seed", -1, "from 0 to 4294967295"),
        ("seed", 2**32, "from 0 to 4294967295"),
        pytest.param("seed", 10**5000, "from 0 to 4294967295", id="seed of 5000 digits"),
        ("seed", 1.0, "a whole number"),
        ("seed", "1", "a whole number"),
        ("seed", True, "a whole number"),
        ("seed", None, "a whole number"),
        ("noise_device", "gpu", "one of cpu, cuda, mps, xpu"),
        ("noise_device", None, "one of cpu, cuda, mps, xpu"),
        ("num_inference_steps", 0, "from 1 to 500"),
        ("num_inference_steps", -5, "from 1 to 500"),
        ("num_inference_steps", 501, "from 1 to 500"),
        ("num_inference_steps", float("nan"), "from 1 to 500"),
        ("guidance_scale", float("nan"), "from 0 to 50"),
        ("guidance_scale", float("inf"), "from 0 to 50"),
        ("guidance_scale", -0.1, "from 0 to 50"),
        ("guidance_scale", 51, "from 0 to 50"),
        ("guidance_scale", "7", "from 0 to 50"),
        ("guidance_scale", True, "from 0 to 50"),
        ("scheduler", "DDIM Scheduler", "the class name"),
        ("scheduler", "os.system", "the class name"),
        ("width", 0, "from 16 to 4096"),
        ("width", 4097, "from 16 to 4096"),
        ("width", 64.0, "from 16 to 4096"),
        ("height", -64, "from 16 to 4096"),
        ("height", 10**9, "from 16 to 4096"),
        ("dtype", "int8", "one of float32, bfloat16, float16"),
        ("lanes", 0, "from 1 to 16"),
        ("lanes", 17, "from 1 to 16"),
        ("full_determinism", 1, "true or false"),
        ("full_determinism", "yes", "true or false"),
        ("offload", "disk", "one of none, model"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_field_value_and_limit(field, value, limit):
    with pytest.raises(InputError) as caught:
        changed(**{field: value})
    assert caught.value.field == field
    assert limit in caught.value.limit
    assert str(caught.value).startswith(f"{field}: ")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("field", VALUES)
def test_every_field_must_be_there(field):
    values = {name: value for name, value in VALUES.items() if name != field}
    with pytest.raises(InputError, match=rf"the field {field} is missing"):
        Recipe.from_dict(values)


def test_an_unknown_field_is_refused():
    with pytest.raises(InputError, match=r"'clip_skip' is not accepted; a field this version does not know"):
        Recipe.from_dict({**VALUES, "clip_skip": 2})


@pytest.mark.parametrize("value", [None, [], "text", 7])
def test_what_is_no_object_is_refused(value):
    with pytest.raises(InputError, match=r"a JSON object"):
        Recipe.from_dict(value)


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a":1,"a":2}', "[" * 100_000, '{"seed":Infinity}', "\ud800"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(InputError, match=r"it must be valid JSON"):
        Recipe.from_json(text)
