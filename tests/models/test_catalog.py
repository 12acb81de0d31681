"""The catalog, and what names, folders and files stand for."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.models.catalog import ALIASES, FAMILIES, HUB, SAMPLERS, ModelSpec, sampler_class, sampler_label
from pipeline_utils.models.sources import resolve
from pipeline_utils.recipe.recipe import Recipe
from tests.tiny import tiny_single_file


def recipe(spec: ModelSpec, **changes) -> Recipe:
    own = {"model": spec.name, "revision": "0" * 40, "lanes": spec.lanes, **spec.defaults}
    return Recipe(**{"prompt": "x", "seed": 0, "dtype": "float32", **own, **changes})


@pytest.fixture
def folder(tiny_sd_folder, tmp_path) -> Path:
    return shutil.copytree(tiny_sd_folder, tmp_path / "mine")


@pytest.mark.parametrize("spec", HUB, ids=lambda spec: spec.name)
def test_every_entry_accepts_its_own_defaults(spec):
    spec.check(recipe(spec))
    assert spec.scheduler in spec.schedulers
    assert set(spec.schedulers) <= set(SAMPLERS.values())
    assert spec.family in FAMILIES
    assert spec.examples
    assert 1 <= len(spec.suffixes) <= 16
    assert resolve(spec.name) == spec


def test_the_models_of_the_seed_documents_are_in_the_catalog():
    assert {spec.name for spec in HUB} == {
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "stabilityai/sdxl-turbo",
        "stabilityai/stable-diffusion-3.5-medium",
        "black-forest-labs/FLUX.1-schnell",
        "black-forest-labs/FLUX.1-dev",
        "kakaobrain/karlo-v1-alpha",
    }


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_stands_for_its_entry(alias):
    assert resolve(f" {alias} ").name == ALIASES[alias]


def test_the_removed_name_of_stable_diffusion_resolves_with_a_note():
    spec = resolve("runwayml/stable-diffusion-v1-5")
    assert spec.source == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert spec.note.startswith("runwayml/stable-diffusion-v1-5 was removed from the hub; these are the same weights.")
    assert "removed" not in resolve("sd15").note


def test_any_hub_id_is_a_model_whose_family_is_known_once_it_is_loaded():
    spec = resolve("someone/some-model_1.0")
    assert (spec.name, spec.source, spec.title, spec.family) == ("someone/some-model_1.0",) * 3 + ("",)
    assert not spec.is_local


@pytest.mark.parametrize(
    "name",
    [
        *("", "  ", None, 7, "word", "a/b/c", "/no/such/folder", "../x", "a/../b", "a/b c", "~nobody-here/x"),
        *("x" * 5000, "a\0b", "owner/näme", "https://hub.example/owner/name", "owner/", "/name", "-owner/name"),
    ],
)
def test_what_is_no_name_and_no_path_is_refused(name):
    with pytest.raises(ModelError, match=r"^model: ") as caught:
        resolve(name)
    assert len(str(caught.value)) < 260


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("my model", "local:my model"),
        ("v1.5_ema", "local:v1.5_ema"),
        ("_hidden", "local:hidden-7a1f9c09"),
        ("a..b", "local:a.b-f62b4241"),
        ("アニメ", "local:model-77affb05"),
        ("写真", "local:model-9c3250ff"),
        ("ünder", "local:nder-700af071"),
        ("x" * 200, "local:" + "x" * 87 + "-aa20c23e"),
        ("...", "local:model-ab5df625"),
    ],
)
def test_a_folder_is_named_without_its_path_and_as_recipes_allow(tiny_sd_folder, tmp_path, name, label):
    folder = shutil.copytree(tiny_sd_folder, tmp_path / name)
    spec = resolve(str(folder))
    assert spec.name == label
    assert spec.source == str(folder.resolve())
    assert spec.is_local
    spec.check(recipe(spec))


def test_a_folder_is_found_by_a_relative_path_too(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert resolve("mine") == resolve(str(folder))


def test_a_name_from_a_visitor_is_never_looked_up_as_a_path(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for name in ("mine", str(folder), str(folder / "model_index.json"), str(folder / "no.safetensors")):
        with pytest.raises(ModelError, match="is no catalog name"):
            resolve(name, paths=False)
    assert resolve("sdxl", paths=False).title == "SDXL 1.0"
    assert resolve("owner/name", paths=False).source == "owner/name"


def test_a_folder_says_its_own_defaults(folder):
    own = {
        "num_inference_steps": 12,
        "guidance_scale": 3,
        "width": 48,
        "height": 64,
        "sampler": "Euler a",
        "example_prompts": ["a fox", "a cat"],
        "default_suffixes": [", pixel art"],
        "anything else": {"is": "a note"},
    }
    (folder / "second_round.json").write_text(json.dumps(own))
    spec = resolve(str(folder))
    assert (spec.num_inference_steps, spec.guidance_scale, spec.width, spec.height) == (12, 3, 48, 64)
    assert spec.scheduler == "EulerAncestralDiscreteScheduler"
    assert spec.schedulers[0] == spec.scheduler
    assert (spec.examples, spec.suffixes) == (("a fox", "a cat"), (", pixel art",))


@pytest.mark.parametrize(
    "own",
    [
        {"num_inference_steps": "30"},
        {"num_inference_steps": 0},
        {"num_inference_steps": 10**9},
        {"guidance_scale": None},
        {"guidance_scale": -1},
        {"guidance_scale": float("nan")},
        {"width": 33},
        {"width": 32.0},
        {"width": 4096, "height": 4096},
        {"height": [32]},
        {"sampler": "Magic"},
        {"sampler": ["Euler"]},
        {"sampler": "Flow Euler"},
        {"example_prompts": "a fox"},
        {"example_prompts": []},
        {"example_prompts": [""]},
        {"example_prompts": [1]},
        {"default_suffixes": {"a": 1}},
        {"default_suffixes": [None]},
        {"default_suffixes": ["x" * 10_000]},
    ],
    ids=str,
)
def test_wrong_defaults_of_a_folder_are_refused(folder, own):
    (folder / "second_round.json").write_text(json.dumps(own))
    with pytest.raises(ModelError, match=r"^mine: second_round\.json is wrong: \w+"):
        resolve(str(folder))


@pytest.mark.parametrize("text", ["[]", "null", "{", "\0"])
def test_defaults_that_are_no_json_object_are_refused(folder, text):
    (folder / "second_round.json").write_text(text)
    with pytest.raises(ModelError, match=r"mine/second_round\.json"):
        resolve(str(folder))


@pytest.mark.parametrize("size", ["big", 10**9, 3.5, -8, {"a": 1}, [8], True])
def test_a_senseless_size_in_a_folder_is_refused(folder, size):
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": size}))
    with pytest.raises(ModelError, match=r"^mine: its configuration is wrong: "):
        resolve(str(folder))


def test_a_size_may_be_two_numbers_and_falls_back_to_that_of_the_family(folder):
    config = folder / "unet" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "sample_size": [8, 12]}))
    assert (resolve(str(folder)).height, resolve(str(folder)).width) == (32, 48)
    config.write_text(json.dumps({**values, "sample_size": None}))
    assert (resolve(str(folder)).height, resolve(str(folder)).width) == (256, 256)


def weighing(file: Path, size: int) -> None:
    """`file` with `size` bytes, without writing them."""
    with file.open("ab") as stream:
        stream.truncate(size)


@pytest.mark.parametrize(("gigabytes", "lanes"), [(5.9, 4), (6.1, 1)])
def test_a_model_of_many_weights_makes_one_picture_at_a_time(folder, gigabytes, lanes):
    weighing(folder / "unet" / "diffusion_pytorch_model.safetensors", int(gigabytes * 1e9))
    weighing(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors", int(gigabytes * 5e8))  # not loaded as well
    assert resolve(str(folder)).lanes == lanes


def test_the_shards_of_all_parts_count(folder):
    for part in ("unet", "text_encoder"):
        for shard in (1, 2):
            weighing(folder / part / f"model-0000{shard}-of-00002.safetensors", 1_600_000_000)
    assert resolve(str(folder)).lanes == 1


@pytest.mark.parametrize(("side", "lanes"), [(768, 4), (776, 1), (1024, 1)])
def test_a_model_of_large_pictures_makes_one_at_a_time(folder, side, lanes):
    config = folder / "unet" / "config.json"
    scale = 32 // json.loads(config.read_text())["sample_size"]
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": side // scale}))
    assert (resolve(str(folder)).width, resolve(str(folder)).lanes) == (side, lanes)


def test_a_checkpoint_of_many_weights_makes_one_picture_at_a_time(tmp_path):
    file = tiny_single_file(tmp_path)
    assert resolve(str(file)).lanes == 4
    weighing(file, 6_100_000_000)
    assert resolve(str(file)).lanes == 1


def test_a_sampler_that_is_not_in_the_list_is_the_models_own_all_the_same(folder):
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "_class_name": "KDPM2DiscreteScheduler"}))
    assert resolve(str(folder)).scheduler == "KDPM2DiscreteScheduler"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("sd15", {"width": 513}, "width: 513 is not accepted; a multiple of 8, such as 512 or 520."),
        ("sd15", {"height": 100}, "height: 100 is not accepted; a multiple of 8, such as 96 or 104."),
        ("sd35-medium", {"width": 1032}, "width: 1032 is not accepted; a multiple of 16, such as 1024 or 1040."),
        ("flux-dev", {"height": 1000}, "height: 1000 is not accepted; a multiple of 16, such as 992 or 1008."),
        ("karlo", {"width": 512}, "width: 512 is not accepted; Karlo UnCLIP makes 256x256 pictures only."),
        (
            "sd15",
            {"width": 2048, "height": 1024},
            "width x height: '2048x1024' is not accepted; at most 1048576 pixels for Stable Diffusion 1.5, "
            "such as 1024x1024.",
        ),
        (
            "flux-schnell",
            {"negative_prompt": "blurry"},
            "negative_prompt: 'blurry' is not accepted; FLUX.1 schnell takes none.",
        ),
        (
            "sd35-medium",
            {"scheduler": "PNDMScheduler"},
            "sampler: 'PNDM' is not accepted; SD 3.5 Medium works with Flow Euler.",
        ),
        (
            "sd15",
            {"scheduler": "PNDMScheduler", "num_inference_steps": 3},
            "num_inference_steps: 3 is not accepted; PNDM takes 4 or more.",
        ),
    ],
)
def test_a_value_that_a_model_cannot_take_is_refused_by_name_value_and_limit(name, changes, message):
    spec = resolve(name)
    with pytest.raises(InputError) as caught:
        spec.check(recipe(spec, **changes))
    assert str(caught.value) == message


def test_a_limit_of_guidance_belongs_to_the_model():
    spec = replace(resolve("sd15"), max_guidance=10.0)
    with pytest.raises(InputError, match=r"guidance_scale: 10\.5 is not accepted; a number from 0 to 10"):
        spec.check(recipe(spec, guidance_scale=10.5))


def test_lcm_is_offered_where_the_model_allows():
    assert "LCMScheduler" in resolve("sdxl-turbo").schedulers
    assert "LCMScheduler" not in resolve("sdxl").schedulers


def test_samplers_have_labels_for_people_and_classes_for_recipes():
    for label, name in SAMPLERS.items():
        assert sampler_class(label) == sampler_class(name) == name
        assert sampler_label(name) == label
    assert sampler_class("KDPM2DiscreteScheduler") == "KDPM2DiscreteScheduler"  # some model has it as its own
    for wrong in ("ddim", "", None, 3, ["DDIM"], "os.system", "DDPM"):
        with pytest.raises(InputError, match=r"^sampler: "):
            sampler_class(wrong)
