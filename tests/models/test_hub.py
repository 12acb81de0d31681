"""Models by hub id, through the real hub library: a local server answers as the hub does."""

import json
import shutil

import pytest
from safetensors.torch import load_file

from tests.hub import COMMIT, hub
from tests.models.hub_visits import load, visit

REFUSED = (
    "gated/model",
    "absent/model",
    "private/model",
    "broken/model",
    "silent/model",
    "someone/pickles",
    "someone/code",
    "someone/sound",
    "someone/nothing",
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory, tiny_sd_folder) -> dict:
    """One process loads every model below from a hub on this machine."""
    import torch

    repos = tmp_path_factory.mktemp("hub")
    for name in ("tiny", "pickles", "code", "sound", "nothing"):
        shutil.copytree(tiny_sd_folder, repos / "someone" / name)
    for weights in (repos / "someone" / "pickles").rglob("*.safetensors"):
        stem = "pytorch_model" if weights.parent.name == "text_encoder" else "diffusion_pytorch_model"
        torch.save(load_file(weights), weights.with_name(f"{stem}.bin"))
        weights.unlink()
    index = json.loads((tiny_sd_folder / "model_index.json").read_text())
    code = repos / "someone" / "code"
    canary = f"open({str(repos / 'canary')!r}, 'w')\n"
    (code / "pipeline.py").write_text(canary + "class Mine: pass\n")
    (code / "model_index.json").write_text(json.dumps({**index, "_class_name": ["pipeline", "Mine"]}))
    (repos / "someone" / "sound" / "model_index.json").write_text(
        json.dumps({**index, "_class_name": "StableAudioPipeline"})
    )
    shutil.rmtree(repos / "someone" / "nothing")
    (repos / "someone" / "nothing").mkdir()
    (repos / "someone" / "nothing" / "README.md").write_text("no pipeline")
    home = tmp_path_factory.mktemp("home")
    with hub(repos) as endpoint:
        found = visit(load, home, "someone/tiny", *REFUSED, HF_ENDPOINT=endpoint)
    found["canary"] = (repos / "canary").exists()
    # The server is gone now: what was downloaded still loads, and nothing else does.
    found["later"] = visit(load, home, "someone/tiny", "someone/else", HF_ENDPOINT=endpoint)
    return found


def test_a_hub_model_is_described_by_its_files_and_its_revision_is_the_commit(answers):
    assert answers["someone/tiny"] == ["someone/tiny", COMMIT, "StableDiffusionPipeline", 32, False, True]


def test_a_downloaded_model_loads_when_the_hub_is_gone(answers):
    assert answers["later"]["someone/tiny"] == ["someone/tiny", COMMIT, "StableDiffusionPipeline", 32, True, True]


def test_a_hub_that_cannot_be_reached_is_said(answers):
    for answer in (answers["later"]["someone/else"], answers["silent/model"], answers["broken/model"]):
        assert "the model hub cannot be reached and there is no copy here" in answer


def test_a_gated_model_is_said_with_what_to_do(answers):
    assert answers["gated/model"].startswith("ModelError: gated/model is gated: accept its licence on the hub")


@pytest.mark.parametrize("name", ["absent/model", "private/model"])
def test_an_unknown_hub_id_is_said(answers, name):
    assert answers[name].startswith(f"ModelError: {name}: the hub knows no model of this name")


def test_a_hub_model_of_pickles_alone_is_refused(answers):
    assert "someone/pickles has no safetensors weights" in answers["someone/pickles"]


def test_code_of_a_hub_model_is_never_run(answers):
    assert answers["someone/code"] == "ModelError: someone/code brings its own code, which is not run here."
    assert answers["canary"] is False


def test_a_hub_model_that_makes_no_pictures_is_refused(answers):
    assert "'StableAudioPipeline', which makes no pictures" in answers["someone/sound"]


def test_a_hub_repository_without_a_pipeline_is_refused(answers):
    assert answers["someone/nothing"].startswith("ModelError: someone/nothing is no diffusers pipeline")


@pytest.mark.parametrize("name", REFUSED)
def test_every_refusal_is_one_short_line_without_paths(answers, name):
    assert answers[name].startswith(f"ModelError: {name}")
    assert "\n" not in answers[name]
    assert "/tmp" not in answers[name]
    assert "Traceback" not in answers[name]
    assert len(answers[name]) < 320


def test_a_snapshot_in_the_cache_needs_no_network(tmp_path, tiny_sd_folder):
    repo = tmp_path / "hub" / "models--owner--name"
    shutil.copytree(tiny_sd_folder, repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    found = visit(load, tmp_path, "owner/name", "owner/other", HF_HUB_OFFLINE="1")
    assert found["owner/name"] == ["owner/name", COMMIT, "StableDiffusionPipeline", 32, True, True]
    assert "cannot be reached" in found["owner/other"]
