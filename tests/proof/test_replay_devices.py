"""Where a replay of the command line runs: on which device, with which parts moved, and what it asks CUDA before."""

import os
from dataclasses import replace

import pytest
import torch

from pipeline_utils.engine import call
from pipeline_utils.errors import InputError
from pipeline_utils.models import runtime
from pipeline_utils.picture.picture import Picture
from pipeline_utils.proof import replay as replaying
from pipeline_utils.proof.replay import replayed
from pipeline_utils.proof.verdict import Claim
from pipeline_utils.recipe.ask import Ask
from tests.making import made, studio


@pytest.fixture(scope="module")
def picture(tiny_sd_folder, tmp_path_factory) -> Picture:
    here = studio(tiny_sd_folder, tmp_path_factory.mktemp("shelf"))
    return made(here.first_round(Ask("a cat", "0", num_inference_steps=3)))[0].picture


def test_a_replay_in_a_process_of_its_own_tries_no_lanes_since_it_has_those_of_its_recipe(
    picture, tiny_sd_folder, monkeypatch
):
    """The device is called cuda, the weights stay where they are."""
    load_model, cpu = runtime.load, runtime.Device("cpu", False, "none")
    monkeypatch.setattr(runtime, "start", lambda settings: runtime.Device("cuda", False, "none"))
    monkeypatch.setattr(runtime, "load", lambda spec, settings, device: load_model(spec, settings, cpu))
    monkeypatch.setattr(call, "settled", lambda loaded: pytest.fail("lanes were tried"))
    verdict = replayed(Claim(picture.recipe), model=str(tiny_sd_folder), device="cuda")
    assert verdict.replayed_sha256 == picture.pixel_sha256


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_a_replay_runs_on_the_kind_of_gpu_that_the_picture_was_made_on_where_there_is_one(picture, monkeypatch, kind):
    chosen = []

    def start(settings):
        chosen.append(settings.device)
        raise InputError("device", settings.device, "that was all")

    monkeypatch.setattr(runtime, "start", start)
    for here in (kind, "none"):
        monkeypatch.setattr(replaying, "is_available", lambda gpu, here=here: gpu == here)
        with pytest.raises(InputError, match="that was all"):
            replayed(Claim(picture.recipe, fingerprint={"torch": "2.13.0", kind: "1"}))
    assert chosen == [kind, "cpu"]


def test_a_replay_on_a_numbered_gpu_asks_cuda_for_nothing_before_the_others_are_hidden(picture, monkeypatch):
    seen = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    with pytest.raises(InputError, match="PyTorch finds no such CUDA GPU here"):
        replayed(Claim(replace(picture.recipe, offload="model")), device="cuda:1")
    assert set(seen) == {"5"}


def test_parts_are_moved_in_a_replay_where_it_runs_on_cuda_and_nowhere_else(picture, monkeypatch):
    chosen = []

    def start(settings):
        chosen.append(settings.offload)
        raise InputError("device", settings.device, "that was all")

    monkeypatch.setattr(runtime, "start", start)
    monkeypatch.setattr(replaying, "is_available", lambda gpu: True)
    for device in ("auto", "cuda", "cuda:1", "cpu", "mps", "xpu"):
        with pytest.raises(InputError, match="that was all"):
            replayed(Claim(replace(picture.recipe, offload="model")), device=device)
    assert chosen == ["model", "model", "model", "none", "none", "none"]
