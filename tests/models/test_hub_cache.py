"""What of a hub model is in the cache, and whether it is whole; no hub is asked."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from pipeline_utils.models import revisions, runtime
from pipeline_utils.models.sources import resolve

HERE, OTHER = "a" * 40, "b" * 40
MODEL = resolve("owner/name")


@pytest.fixture
def snapshots(tmp_path, tiny_sd_folder, monkeypatch) -> Path:
    """The hub's cache, with a whole model at HERE, the newest that the cache knows of."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--owner--name"
    shutil.copytree(tiny_sd_folder, repo / "snapshots" / HERE)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(HERE)
    return repo / "snapshots"


def is_here(revision: str = "", dtype: str = "float32") -> bool:
    return runtime.is_downloaded(replace(MODEL, revision=revision), dtype)


def sharded(file: Path, variant: str = "") -> list[Path]:
    """`file` in two shards and their index instead."""
    weights = load_file(file)
    file.unlink()
    names = [f"{file.stem.split('.')[0]}{variant}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    place = {key: names[at % 2] for at, key in enumerate(weights)}
    for name in names:
        save_file({key: weights[key] for key in weights if place[key] == name}, file.with_name(name))
    index = file.with_name(f"{file.stem.split('.')[0]}.safetensors.index{variant}.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": place}))
    return [file.with_name(name) for name in names]


def halved(snapshot: Path, keep: bool) -> list[Path]:
    """The weights of a snapshot as an fp16 variant, beside the full ones or instead of them."""
    made = []
    for file in snapshot.rglob("*.safetensors"):
        made.append(file.with_name(f"{file.stem}.fp16.safetensors"))
        save_file({key: value.half() for key, value in load_file(file).items()}, made[-1])
        if not keep:
            file.unlink()
    return made


def test_a_whole_model_is_here_at_its_revision_and_no_other(snapshots):
    assert is_here()
    assert is_here(HERE)
    assert not is_here(OTHER)


def test_a_model_index_alone_is_no_model(snapshots):
    for path in (snapshots / HERE).iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    assert (snapshots / HERE / "model_index.json").is_file()
    assert not is_here()


@pytest.mark.parametrize(
    "name",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/config.json",
        "tokenizer/tokenizer.json",
        "scheduler/scheduler_config.json",
        "model_index.json",
    ],
)
def test_a_model_that_lacks_one_file_is_not_here(snapshots, name):
    (snapshots / HERE / name).unlink()
    assert not is_here()
    assert not is_here(HERE)


def test_a_link_to_a_file_that_is_gone_is_no_file(snapshots):
    weights = snapshots / HERE / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.symlink_to("../../../../blobs/gone")
    assert not is_here()


@pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"])
def test_every_shard_counts(snapshots, part):
    first, second = sharded(snapshots / HERE / part)
    assert is_here()
    second.unlink()
    assert not is_here()
    shutil.copy(first, second)
    next(first.parent.glob("*.index.json")).unlink()
    assert not is_here()


def test_weights_that_are_there_in_halves_alone_serve_every_number_format(snapshots):
    halves = halved(snapshots / HERE, keep=False)
    formats = ("float16", "float32", "bfloat16")
    assert all(is_here(dtype=dtype) for dtype in formats)
    halves[0].unlink()
    assert not any(is_here(dtype=dtype) for dtype in formats)


def test_full_weights_serve_where_halves_are_wanted(snapshots):
    assert is_here(dtype="float16")
    halved(snapshots / HERE, keep=True)
    assert is_here(dtype="float16")
    assert is_here(dtype="float32")


def test_shards_of_a_variant_count(snapshots):
    halved(snapshots / HERE, keep=False)
    _, second = sharded(snapshots / HERE / "unet" / "diffusion_pytorch_model.fp16.safetensors", ".fp16")
    assert is_here(dtype="float16")
    second.unlink()
    assert not is_here(dtype="float16")


@pytest.mark.parametrize("damage", ["", "[]", "{", "null", '{"unet": 5}'])
def test_a_damaged_model_index_is_no_model(snapshots, damage):
    (snapshots / HERE / "model_index.json").write_text(damage)
    assert not is_here()


def test_commits_are_the_same_model_where_only_files_that_decide_no_pixels_differ(snapshots):
    copy = shutil.copytree(snapshots / HERE, snapshots / OTHER)
    (copy / "README.md").write_text("another card")
    (copy / "samples").mkdir()
    (copy / "samples" / "one.json").write_text("{}")
    assert revisions.same("owner/name", HERE, OTHER, "float32")
    halved(copy, keep=True)  # of the weights, those that are loaded count
    assert revisions.same("owner/name", HERE, OTHER, "float32")


@pytest.mark.parametrize(
    "name", ["unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json"]
)
def test_commits_are_two_models_where_weights_or_configuration_differ(snapshots, name):
    copy = shutil.copytree(snapshots / HERE, snapshots / OTHER)
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if name.endswith("safetensors") else data + b" ")
    assert not revisions.same("owner/name", HERE, OTHER, "float32")


def test_a_commit_that_is_not_here_is_not_taken_for_another(snapshots):
    assert not revisions.same("owner/name", HERE, OTHER, "float32")
    assert revisions.same("owner/name", OTHER, OTHER, "float32")
