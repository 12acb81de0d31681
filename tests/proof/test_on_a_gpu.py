"""Experiments where a GPU would tell: its switches and its memory are played on a CPU."""

import itertools

import pytest
import torch

from pipeline_utils.models import devices
from pipeline_utils.proof.experiment import run
from pipeline_utils.proof.experiments import EXPERIMENTS
from pipeline_utils.proof.shared_model import SharedModel
from tests.making import load

BY_ID = {experiment.id: experiment for experiment in EXPERIMENTS}


@pytest.fixture
def model(tiny_sd_folder) -> SharedModel:
    return SharedModel(load(tiny_sd_folder))


def test_what_all_work_on_a_gpu_is_done_with_stays_while_full_determinism_is_switched(model, tf32):
    """Off, it is what the app does without it: TF32 as it is in each library, and cuDNN deterministic all the same."""
    (cudnn, matmul), seen = tf32, set()

    def watch(*_):
        on = torch.are_deterministic_algorithms_enabled()
        seen.add((on, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32))

    with model.loaded.pipe.unet.register_forward_pre_hook(watch):
        for allowed in ((True, False), (False, True)):
            cudnn.allow_tf32, matmul.allow_tf32 = allowed
            seen.clear()
            BY_ID["full-determinism"].run(model)
            assert seen == {(False, True, *allowed), (True, True, False, False)}


def test_an_experiment_in_which_gpu_memory_was_short_says_so_and_not_that_bits_differ(model, monkeypatch):
    count = itertools.count()
    monkeypatch.setattr(devices, "shortages", lambda device: next(count))
    ((_, _), (_, result)) = run([BY_ID["cpu-generator"]], model)
    assert result.ok is None
    assert "GPU memory was short" in result.text
