"""Models on this machine that cannot be used: each is refused in one sentence that names it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline_utils.errors import CapacityError, ModelError, UserError
from pipeline_utils.models import runtime
from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.models.load_errors import loading
from pipeline_utils.models.sources import resolve
from pipeline_utils.settings import Settings
from tests import tiny

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


@pytest.fixture
def folder(tiny_sd_folder, tmp_path) -> Path:
    """A copy of the tiny model, to be spoiled."""
    return shutil.copytree(tiny_sd_folder, tmp_path / "my-model")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return tiny.tiny_single_file(tmp_path_factory.mktemp("checkpoint"))


def refusal(path: Path) -> str:
    """What a person reads when the model at `path` is asked for."""
    with pytest.raises(ModelError) as caught:
        runtime.load(resolve(str(path)), Settings(device="cpu"), runtime.Device("cpu", False, "none"))
    text = str(caught.value)
    assert path.stem in text
    assert "\n" not in text
    assert str(path.parent) not in text
    assert len(text) < 320
    return text


def rewrite(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path):
    assert "holds no model_index.json, so it is no diffusers pipeline" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "", '{"a": ' * 5000, "\udcff"])
def test_a_model_index_that_is_no_json_object_is_refused(folder, text):
    (folder / "model_index.json").write_bytes(text.encode(errors="surrogateescape"))
    assert "model_index.json" in refusal(folder)


def test_a_folder_of_pickles_is_refused(folder):
    for weights in folder.rglob("*.safetensors"):
        torch.save(load_file(weights), weights.with_suffix(".bin"))
        weights.unlink()
    assert refusal(folder) == (
        "my-model has no safetensors weights in text_encoder, which holds config.json, model.bin; "
        "pickled weights can run code and are not loaded."
    )


@pytest.mark.parametrize("part", [UNET, TEXT])
def test_one_part_without_weights_is_refused(folder, part):
    (folder / part).unlink()
    name = part.split("/")[0]
    assert refusal(folder) == f"my-model has no safetensors weights in {name}, which holds config.json."


@pytest.mark.parametrize("part", [UNET, TEXT])
@pytest.mark.parametrize("kept", [0, 5, 1000, -10])
def test_a_truncated_weights_file_in_a_folder_is_refused(folder, part, kept):
    data = (folder / part).read_bytes()
    (folder / part).write_bytes(data[:kept])
    assert "damaged or was cut short; copy or download it again" in refusal(folder)


@pytest.mark.parametrize("part", [UNET, TEXT])
def test_missing_weights_are_refused_and_never_made_up(folder, part):
    weights = load_file(folder / part)
    weights.pop(next(name for name in sorted(weights) if name.endswith("weight")))
    save_file(weights, folder / part, metadata={"format": "pt"})
    assert refusal(folder) == "my-model lacks some of its weights; copy or download it again."


def test_weights_of_another_shape_are_refused(folder):
    rewrite(folder / "unet" / "config.json", cross_attention_dim=24)
    assert "my-model cannot be loaded: Cannot load" in refusal(folder)


@pytest.mark.parametrize("part", ["unet", "tokenizer", "text_encoder", "scheduler", "vae"])
def test_a_folder_without_one_of_its_parts_is_refused(folder, part):
    shutil.rmtree(folder / part)
    assert refusal(folder) == f"my-model is incomplete: its {part} is missing."


def test_a_tokenizer_without_a_vocabulary_is_refused(folder):
    for file in (folder / "tokenizer").glob("*"):
        if file.name != "tokenizer_config.json":
            file.unlink()
    assert refusal(folder) == "my-model is incomplete: its tokenizer is missing."


def test_a_pipeline_that_makes_pictures_from_no_prompt_is_refused(tmp_path):
    text = refusal(tiny.tiny_ddim(tmp_path / "ddim"))
    assert "ddim is 'DDIMPipeline', which makes no pictures from prompts here; supported are" in text


@pytest.mark.parametrize("kind", ["StableAudioPipeline", "AnimateDiffPipeline", "NoSuchPipeline", 7, None])
def test_a_pipeline_of_another_kind_is_refused(folder, kind):
    rewrite(folder / "model_index.json", _class_name=kind)
    assert "makes no pictures from prompts here" in refusal(folder)


@pytest.mark.parametrize("spoil", ["pipeline", "part", "standard library"])
def test_code_in_a_folder_is_never_run(folder, tmp_path, spoil):
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'w')\nclass Mine: pass\n"
    index = folder / "model_index.json"
    if spoil == "pipeline":
        (folder / "pipeline.py").write_text(code)
        rewrite(index, _class_name=["pipeline", "Mine"])
    elif spoil == "part":
        (folder / "unet" / "mine.py").write_text(code)
        rewrite(index, unet=["mine", "Mine"])
    else:
        rewrite(index, unet=["os", "system"])
    assert refusal(folder) == "my-model brings its own code, which is not run here."
    assert not canary.exists()


@pytest.mark.parametrize("kept", [0, 5, 5000, -10])
def test_a_truncated_checkpoint_is_refused(checkpoint, tmp_path, kept):
    shutil.copytree(checkpoint.with_suffix(""), tmp_path / "cut")
    (tmp_path / "cut.safetensors").write_bytes(checkpoint.read_bytes()[:kept])
    assert "damaged or was cut short" in refusal(tmp_path / "cut.safetensors")


def test_a_checkpoint_that_lacks_weights_is_refused(checkpoint, tmp_path):
    shutil.copytree(checkpoint.with_suffix(""), tmp_path / "part")
    weights = load_file(checkpoint)
    weights.pop("model.diffusion_model.out.2.weight")
    save_file(weights, tmp_path / "part.safetensors")
    assert "lacks some of its weights" in refusal(tmp_path / "part.safetensors")


def test_an_adapter_is_no_checkpoint(tmp_path):
    save_file({"lora_unet.up.weight": torch.zeros(2, 2)}, tmp_path / "style.safetensors")
    assert "style holds no whole Stable Diffusion model" in refusal(tmp_path / "style.safetensors")


def test_a_checkpoint_without_configuration_says_where_to_put_it(checkpoint, tmp_path):
    shutil.copy(checkpoint, tmp_path / "alone.safetensors")
    assert "put the configuration beside the file as a folder named alone" in refusal(tmp_path / "alone.safetensors")


@pytest.mark.parametrize("name", ["model.ckpt", "model.bin", "model.gguf", "picture.png"])
def test_a_file_of_another_type_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert "is no folder and no .safetensors file; other formats are not loaded" in refusal(tmp_path / name)


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path):
    assert refusal(tmp_path / "gone.safetensors") == "model: there is no file gone.safetensors."


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), CapacityError, "start with --offload model"),
        (MemoryError(), CapacityError, "does not fit into memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), CapacityError, "does not fit"),
        (OSError(28, "No space left on device"), CapacityError, "The disk is full"),
        (ConnectionError("reset"), ModelError, "the model hub cannot be reached"),
        (TimeoutError("slow"), ModelError, "the model hub cannot be reached"),
        (ValueError("bad value in /srv/someone/models/x.json\nTraceback"), ModelError, "bad value in x.json"),
        (ValueError(), ModelError, "big-model cannot be loaded: ValueError"),
    ],
)
def test_other_failures_are_said_in_one_sentence(error, kind, words):
    with pytest.raises(UserError) as caught, loading(ModelSpec("big-model", "big-model", "someone/big-model")):
        raise error
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert "big-model" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "/srv" not in str(caught.value)
    assert caught.value.__cause__ is error
