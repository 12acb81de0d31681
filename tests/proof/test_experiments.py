"""The experiments of the proof page, and what they leave behind."""

import contextlib
import subprocess
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline

from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.engine.stops import Stopped
from pipeline_utils.errors import CapacityError, PictureError, UserError
from pipeline_utils.models.runtime import Device
from pipeline_utils.proof import experiments
from pipeline_utils.proof.experiment import Experiment, Result, run
from pipeline_utils.proof.experiments import CIFAR_FOLDER, EXPERIMENTS, cifar, measure_ddim
from pipeline_utils.proof.shared_model import SharedModel, determinism, seeded
from tests.making import load, pictures, recipe
from tests.tiny import tiny_ddim, tiny_sd3, tiny_unclip

BY_ID = {experiment.id: experiment for experiment in EXPERIMENTS}
IN_THIS_PROCESS = [name for name in BY_ID if name not in ("device-generator", "restart", "threads", "cifar")]


@pytest.fixture(scope="module")
def loaded(tiny_sd_folder):
    return load(tiny_sd_folder)


@pytest.fixture
def model(loaded) -> SharedModel:
    return SharedModel(loaded)


@pytest.mark.parametrize("name", IN_THIS_PROCESS)
def test_an_experiment_comes_out_as_the_documentation_says(model, name):
    result = BY_ID[name].run(model)
    assert result.ok is True, result.text
    assert result.numbers


def test_every_experiment_has_words_code_and_a_name_of_its_own():
    assert len(BY_ID) == len(EXPERIMENTS) == 15
    for experiment in EXPERIMENTS:
        assert experiment.title
        assert experiment.statement.endswith(".")
        assert experiment.code


def test_a_generator_of_the_device_is_not_available_on_a_cpu(model):
    result = BY_ID["device-generator"].run(model)
    assert result.ok is None
    assert "runs on the CPU" in result.text


def test_a_new_process_makes_the_same_bits(model):
    result = BY_ID["restart"].run(model)
    assert result.ok is True, result.text
    assert result.numbers == {"differing pixels": 0}


def test_a_new_process_is_not_begun_where_the_gpu_has_no_room_for_a_second_copy(loaded, monkeypatch):
    weights = sum(part.num_parameters() for part in (loaded.pipe.unet, loaded.pipe.vae, loaded.pipe.text_encoder)) * 4
    model = SharedModel(replace(loaded, device=Device("cuda", False, "none")))
    monkeypatch.setattr(model, "make", lambda recipes: [np.zeros((32, 32, 3))])
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (weights - 1, 10**9))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("no process may be started"))
    (_, _), (_, result) = run([BY_ID["restart"]], model)
    assert result.ok is None
    assert result.text.startswith("Not available here: A second copy of tiny-sd needs 0.0 GB of the GPU's memory")


def test_a_model_that_is_moved_in_parts_needs_room_for_its_largest_part_only(loaded, monkeypatch):
    largest = max(part.num_parameters() for part in (loaded.pipe.unet, loaded.pipe.vae, loaded.pipe.text_encoder)) * 4
    begun = []
    for room in (largest - 1, largest + 10_000):  # its buffers are a few numbers
        model = SharedModel(replace(loaded, device=Device("cuda", False, "model")))
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda room=room: (room, 10**9))
        monkeypatch.setattr(
            subprocess, "Popen", lambda command, room=room, **_: begun.append((room, command)) or _ended("")
        )
        with pytest.raises((CapacityError, PictureError)):  # the process that ends at once leaves no picture
            model.make_in_new_process(1)
    assert [room for room, _ in begun] == [largest + 10_000]
    assert begun[0][1][-4:-2] == ["--device", "cuda"]


def _ended(said: str, code: int = 0) -> SimpleNamespace:
    """A process that said something and is gone."""
    stderr = SimpleNamespace(read=lambda: said, close=lambda: None)
    return SimpleNamespace(poll=lambda: code, returncode=code, stderr=stderr, kill=lambda: None, wait=lambda: code)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("pipeline_utils replay: tiny-sd does not fit into memory. Choose a smaller model.", 2),
        ("pipeline_utils replay: Memory ran out at 32x32 with 4 pictures at a time.", 2),
        ("", -9),  # the system stopped it
    ],
)
def test_a_new_process_that_memory_is_missing_for_is_not_available_and_no_fault(model, monkeypatch, said, code):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: _ended(said, code))
    (_, _), (_, result) = run([BY_ID["restart"]], model)
    assert result.ok is None
    assert result.text == "Not available here: Memory ran out when a second copy of tiny-sd was loaded."


def test_a_new_process_that_fails_otherwise_is_red(model, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: _ended("Traceback, engine/memory.py: a fault of ours", 1))
    (_, _), (_, result) = run([BY_ID["restart"]], model)
    assert result.ok is False
    assert "a fault of ours" in result.text


def test_another_number_of_threads_is_tried_in_a_process_of_its_own(model, monkeypatch):
    asked = []

    def replay(model, threads):
        asked.append(threads)
        picture = model.make([model.recipe(0)])[0].copy()
        picture[0, 0, 0] ^= 1
        return picture

    monkeypatch.setattr(SharedModel, "make_in_new_process", replay)
    before = torch.get_num_threads()
    result = BY_ID["threads"].run(model)
    assert asked == [2 if before == 1 else 1]
    assert torch.get_num_threads() == before
    assert result.ok is True
    assert "1 of 1024 pixels differ" in result.text


@pytest.mark.parametrize("make", [tiny_sd3, tiny_unclip])
def test_models_without_ddim_are_shown_on_their_own_sampler(make, tmp_path):
    model = SharedModel(load(make(tmp_path / "model"), lanes=2))
    for name in ("cpu-generator", "one-times-four", "styles", "slots"):
        result = BY_ID[name].run(model)
        assert result.ok is True, (name, result.text)
    twice = BY_ID["ddim-twice"].run(model)
    assert twice.ok is True
    assert "its own sampler" in twice.text


def test_an_experiment_that_finds_otherwise_is_not_green(model):
    """As on a device where the last slot of a batch comes out otherwise."""

    def change_last(module, inputs, output):
        output[0][-1] += 0.05
        return output

    with model.loaded.pipe.unet.register_forward_hook(change_last):
        for name in ("one-times-four", "slots"):
            result = BY_ID[name].run(model)
            assert result.ok is False, (name, result.text)


def test_the_documentations_model_is_not_available_without_hub_or_folder(model, monkeypatch):
    monkeypatch.delenv(CIFAR_FOLDER, raising=False)
    result = cifar(model)
    assert result.ok is None
    assert result.text.startswith("Not available here")


def test_the_documentations_experiment_runs_on_a_ddim_pipeline_from_a_folder(model, tmp_path, monkeypatch):
    folder = tiny_ddim(tmp_path / "ddim")
    ddim = DDIMPipeline.from_pretrained(folder, use_safetensors=True)
    expected = float(np.abs(ddim(num_inference_steps=2, output_type="np", generator=seeded([0])[0]).images).sum())
    assert measure_ddim(ddim, model, expected).ok is True
    assert measure_ddim(ddim, model, expected + 1).ok is False
    monkeypatch.setenv(CIFAR_FOLDER, str(folder))
    result = cifar(model)
    assert result.ok is False  # other weights, another number
    assert result.numbers["sum"] == expected
    assert result.numbers["expected"] == 1491.1711
    monkeypatch.setattr(experiments, "EXPECTED", expected)
    assert cifar(model).ok is True


def test_determinism_is_put_back_as_it_was_even_after_an_error():
    def switches():
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        return (
            torch.are_deterministic_algorithms_enabled(),
            cudnn.deterministic,
            cudnn.allow_tf32,
            matmul.allow_tf32,
        )

    before = switches()
    for state in (True, False):
        with contextlib.suppress(ValueError), determinism(state):
            assert torch.are_deterministic_algorithms_enabled() is state
            raise ValueError
        assert switches() == before


def test_an_operation_without_a_deterministic_kernel_is_named(model):
    def refuse(*_):
        if torch.are_deterministic_algorithms_enabled():
            raise RuntimeError("upsample_bicubic2d_backward does not have a deterministic implementation.\nHint")

    with model.loaded.pipe.unet.register_forward_pre_hook(refuse):
        result = BY_ID["full-determinism"].run(model)
    assert result.ok is False
    assert result.text == (
        "An operation of this model has no deterministic kernel: "
        "upsample_bicubic2d_backward does not have a deterministic implementation."
    )
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_switch_of_the_whole_process_waits_for_others_and_they_for_it(loaded):
    """While determinism is switched on, no step of anybody else runs."""
    states = []
    model = SharedModel(loaded)

    def watch(_, inputs):
        if len(inputs[0]) == 8:  # the visitor's calls are of 4 lanes, the experiment's of one picture
            states.append(torch.are_deterministic_algorithms_enabled())

    wanted = [recipe(loaded, seed, num_inference_steps=30) for seed in range(4)]
    alone = pictures(loaded, wanted)
    with loaded.pipe.unet.register_forward_pre_hook(watch):
        made: list[list[bytes]] = []
        thread = threading.Thread(target=lambda: made.append(pictures(loaded, wanted)))
        thread.start()
        BY_ID["full-determinism"].run(model)
        thread.join(60)
    assert made == [alone]
    assert states == [False] * 30


def test_experiments_share_the_model_with_visitors(loaded):
    model = SharedModel(loaded)
    wanted = recipe(loaded, num_inference_steps=20)
    alone, made = pictures(loaded, [wanted]), []
    thread = threading.Thread(target=lambda: made.append(pictures(loaded, [wanted])))
    thread.start()
    assert BY_ID["cpu-generator"].run(model).ok
    thread.join(60)
    assert made == [alone]


def test_an_experiment_can_be_stopped_and_leaves_the_model_free(loaded):
    model = SharedModel(loaded)
    model.stop.set()
    for name in ("no-generator", "full-determinism", "slots", "under-load"):
        with pytest.raises(Stopped):
            BY_ID[name].run(model)
    assert MODEL.under_way == 0
    assert len(pictures(loaded, [recipe(loaded)])) == 1


def test_all_experiments_are_told_one_by_one_and_a_failure_stops_none(model):
    def fail(error):
        def failing(model):
            raise error

        return failing

    def experiment(name, function):
        return Experiment(name, name, "It is so.", "code", function)

    plan = [
        experiment("a", lambda model: Result(True, "fine")),
        experiment("b", fail(UserError("Memory ran out."))),
        experiment("c", fail(ValueError("odd"))),
        experiment("d", lambda model: Result(None, "not here")),
    ]
    told = [(e.id, result and (result.ok, result.text)) for e, result in run(plan, model)]
    assert told == [
        ("a", None),
        ("a", (True, "fine")),
        ("b", None),
        ("b", (False, "Memory ran out.")),
        ("c", None),
        ("c", (False, "It failed: ValueError: odd")),
        ("d", None),
        ("d", (None, "not here")),
    ]
