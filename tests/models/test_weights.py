"""Weights as people store them, and parts that do not fit together."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.script import as_python
from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.models import runtime
from pipeline_utils.models.sources import resolve, tidied
from pipeline_utils.models.tokens import cut_words, meters
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings
from tests import tiny
from tests.making import load, pictures, recipe
from tests.tiny_parts import unet, vae

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tiny_sd_folder, tmp_path) -> Path:
    return shutil.copytree(tiny_sd_folder, tmp_path / "my-model")


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    return tiny.tiny_single_file(tmp_path)


def rename_weights(folder: Path, variant: str) -> None:
    for file in list(folder.rglob("*.safetensors")):
        file.rename(file.with_suffix(f".{variant}.safetensors"))


def rewrite(checkpoint: Path, change) -> None:
    save_file({name: w for old, weight in load_file(checkpoint).items() for name, w in change(old, weight)}, checkpoint)


def spoil(folder: Path, part: str, made: torch.nn.Module) -> None:
    shutil.rmtree(folder / part)
    made.save_pretrained(folder / part)


def one(loaded) -> list[bytes]:
    return pictures(loaded, [recipe(loaded)])


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        runtime.load(resolve(str(path)), Settings(device="cpu"), runtime.Device("cpu", False, "none"))
    return str(caught.value)


@pytest.mark.parametrize("variant", ["fp16", "non_ema", "ema"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_of_another_kind_alone_are_loaded_whatever_the_format(folder, variant, dtype):
    before = one(load(folder, dtype=dtype)) if dtype == "float32" else None
    rename_weights(folder, variant)
    loaded = load(folder, dtype=dtype)
    assert before in (None, one(loaded))
    assert f'variant="{variant}"' in as_python([recipe(loaded)], loaded.spec, {})


def test_full_weights_are_taken_where_both_are_there(folder):
    whole = one(load(folder))
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    other = {name: weight + 1 for name, weight in load_file(file).items()}
    save_file(other, file.with_suffix(".non_ema.safetensors"), metadata={"format": "pt"})
    assert one(load(folder)) == whole


def test_parts_of_different_kinds_are_told(folder):
    for part, variant in (("unet", "fp16"), ("vae", "ema"), ("text_encoder", "fp16")):
        rename_weights(folder / part, variant)
    assert "has no safetensors weights of the same kind as the others in" in refused(folder)


def test_an_sd3_without_its_t5_says_what_its_two_encoders_read(tmp_path):
    folder = tiny.tiny_sd3(tmp_path / "sd3")
    index = json.loads((folder / "model_index.json").read_text())
    index["text_encoder_3"] = [None, None]
    (folder / "model_index.json").write_text(json.dumps(index))
    shutil.rmtree(folder / "text_encoder_3")
    loaded = load(folder)
    assert [meter.encoder for meter in meters(loaded.pipe, "a cat")] == ["CLIP-L", "CLIP-G"]
    assert cut_words(loaded.pipe, "cat " * 100)[1] == 77
    assert len(one(loaded)) == 1
    script = as_python([recipe(loaded)], loaded.spec, {})
    assert "use_safetensors=True, text_encoder_3=None)" in script


def test_a_file_whose_ending_is_in_capitals_is_the_same_model(checkpoint):
    whole = one(load(checkpoint))
    loud = checkpoint.rename(checkpoint.with_suffix(".SAFETENSORS"))
    assert one(load(loud)) == whole
    assert resolve(str(loud)).title == "tiny"


def test_novelais_shorter_names_are_read(checkpoint):
    whole = one(load(checkpoint))
    rewrite(checkpoint, lambda name, weight: [(name.replace("transformer.text_model.", "transformer."), weight)])
    loaded = load(checkpoint)
    assert one(loaded) == whole
    with pytest.raises(ModelError, match="no script"):
        as_python([recipe(loaded)], loaded.spec, {})


def marked(checkpoint: Path, *names: str) -> None:
    rewrite(checkpoint, lambda name, weight: [(name, weight), *((each, torch.zeros(0)) for each in names)])


def test_the_markers_of_a_v_prediction_file_are_obeyed(checkpoint):
    config = checkpoint.with_suffix("") / "scheduler/scheduler_config.json"
    written = json.loads(config.read_text())
    for name in ("prediction_type", "rescale_betas_zero_snr"):
        written.pop(name, None)
    config.write_text(json.dumps(written))
    plain = load(checkpoint)
    before = one(plain)
    marked(checkpoint, "v_pred", "ztsnr")
    loaded = load(checkpoint)
    assert loaded.pipe.scheduler.config.prediction_type == "v_prediction"
    assert loaded.pipe.scheduler.config.rescale_betas_zero_snr is True
    assert one(loaded) != before
    script = as_python([recipe(loaded)], loaded.spec, {}, source=str(checkpoint))
    lines = script[script.index("config = {") : script.index("prompts =")]
    here = {"pipe": StableDiffusionPipeline.from_single_file(str(checkpoint), config=str(checkpoint.with_suffix("")))}
    exec(lines, here)
    assert dict(here["pipe"].scheduler.config) == dict(loaded.pipe.scheduler.config)


def test_a_marker_that_the_configuration_contradicts_is_refused(checkpoint):
    marked(checkpoint, "v_pred")
    assert "its weights say prediction_type v_prediction, the configuration beside it says epsilon" in refused(
        checkpoint
    )


@pytest.mark.parametrize(("channels", "purpose"), [(9, "inpainting"), (8, "an instruction"), (5, "depth")])
def test_a_unet_for_something_else_is_refused_when_it_is_loaded(folder, channels, purpose):
    spoil(folder, "unet", unet(sample_size=8, in_channels=channels))
    text = refused(folder)
    assert text.startswith(f"my-model: its unet takes {channels} channels and its vae has 4")
    assert purpose in text


def test_a_unet_of_another_text_width_is_refused_when_it_is_loaded(folder):
    spoil(folder, "unet", unet(sample_size=8, cross_attention_dim=24))
    assert "reads texts of width 24 (cross_attention_dim) and its text encoders give 16" in refused(folder)


def test_a_transformer_of_another_vae_is_refused_when_it_is_loaded(tmp_path):
    folder = tiny.tiny_flux(tmp_path / "flux")
    config = json.loads((folder / "vae/config.json").read_text())
    config.pop("_class_name")
    spoil(folder, "vae", type(vae()).from_config({**config, "latent_channels": 8}))
    assert "its transformer takes 16 channels and its vae has 32" in refused(folder)


def test_sizes_are_multiples_of_what_the_decoder_enlarges(folder):
    config = folder / "vae/config.json"
    written = json.loads(config.read_text())
    config.write_text(json.dumps({**written, "block_out_channels": [8] * 5}))
    spec = resolve(str(folder))
    assert spec.size_step == 16
    values = spec.defaults | {"width": 24}
    asked = Recipe(model="x", revision=COMMIT, prompt="x", seed=0, dtype="float32", lanes=1, **values)
    with pytest.raises(InputError, match="width: 24 is not accepted; a multiple of 16, such as 16 or 32"):
        spec.check(asked)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("https://huggingface.co/owner/name", "owner/name"),
        ("https://huggingface.co/owner/name/", "owner/name"),
        ("http://hf.co/owner/name/tree/main", "owner/name"),
        (f"https://huggingface.co/owner/name/tree/{COMMIT}", f"owner/name@{COMMIT}"),
        (f"https://huggingface.co/owner/name/commit/{COMMIT}?x=1", f"owner/name@{COMMIT}"),
        ("https://huggingface.co/owner/name?library=diffusers", "owner/name"),
        ('"owner/name"', "owner/name"),
        ("' /a b/c '", "/a b/c"),
        ("https://example.org/owner/name", "https://example.org/owner/name"),
        ('"', '"'),
    ],
)
def test_quotes_and_a_hub_pages_address_are_understood(typed, meant):
    assert tidied(typed) == meant


def test_a_quoted_path_and_an_address_name_models(folder):
    assert resolve(f'"{folder}"') == resolve(str(folder))
    assert resolve(f"https://huggingface.co/owner/name/tree/{COMMIT}").revision == COMMIT
    models = Models(Settings(model=str(folder), switching="any"), runtime.Device("cpu", False, "none"))
    assert models.open(f"'{folder}'").source == str(folder)
    assert models.open("https://huggingface.co/owner/name").name == "owner/name"
