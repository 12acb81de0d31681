"""The revision of a local model: a hash of all that decides its pixels, and of nothing else."""

import hashlib
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from pipeline_utils.models import revisions
from tests import tiny


def test_a_revision_does_not_change_with_the_name_or_place_of_a_folder(tiny_sd_folder, tmp_path):
    moved = shutil.copytree(tiny_sd_folder, tmp_path / "elsewhere" / "renamed")
    assert revisions.content_hash(moved) == revisions.content_hash(tiny_sd_folder)


@pytest.mark.parametrize("notes", ["README.md", "second_round.json", "preview.json", "LICENSE.txt", "samples/a.json"])
def test_a_revision_does_not_change_with_notes_beside_the_model(tiny_sd_folder, tmp_path, notes):
    copy = shutil.copytree(tiny_sd_folder, tmp_path / "copy")
    (copy / notes).parent.mkdir(exist_ok=True)
    (copy / notes).write_text("{}")
    assert revisions.content_hash(copy) == revisions.content_hash(tiny_sd_folder)


@pytest.mark.parametrize(
    "part",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
        "model_index.json",
    ],
)
def test_a_revision_changes_with_one_byte_of_weights_or_configuration(tiny_sd_folder, tmp_path, part):
    copy = shutil.copytree(tiny_sd_folder, tmp_path / "copy")
    before = revisions.content_hash(copy)
    data = (copy / part).read_bytes()
    weights = part.endswith(".safetensors")
    (copy / part).write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if weights else data + b" ")
    assert revisions.content_hash(copy) != before == revisions.content_hash(tiny_sd_folder)


def test_the_revision_of_a_checkpoint_covers_its_weights_and_its_configuration(tmp_path):
    file = tiny.tiny_single_file(tmp_path)
    first = revisions.content_hash(file)
    assert first.startswith("sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()[:32])
    renamed = shutil.copy(file, tmp_path / "other.safetensors")
    shutil.copytree(tmp_path / "tiny", tmp_path / "other")
    assert revisions.content_hash(Path(renamed)) == first
    weights = load_file(renamed)
    weights["model.diffusion_model.out.2.bias"] += 1
    save_file(weights, renamed)
    assert revisions.content_hash(Path(renamed)) != first
    config = tmp_path / "tiny" / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert revisions.content_hash(file) != first
