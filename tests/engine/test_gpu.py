"""What a GPU does behind one's back, shown on a CPU: its queue, its memory and its offloaded parts are played."""

from __future__ import annotations

import itertools
import threading
import traceback
import weakref
from dataclasses import replace

import pytest
import torch

from pipeline_utils.engine import call, engine
from pipeline_utils.engine.events import Step
from pipeline_utils.errors import CapacityError
from pipeline_utils.models import devices
from pipeline_utils.models.runtime import Device
from tests import tiny
from tests.making import is_made, load, pictures, recipe

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def loaded(tiny_sd_folder):
    return load(tiny_sd_folder)


class Queue:
    """Stands for torch.cuda.Event: `log` tells what was put into the queue and what was waited for."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def __call__(self, blocking: bool) -> Queue.Event:
        return self.Event(self.log, sum(line.startswith("asked") for line in self.log))

    class Event:
        def __init__(self, log: list[str], number: int) -> None:
            self.log, self.number = log, number

        def record(self, stream: str) -> None:
            self.log.append(f"asked {self.number} of {stream}")

        def synchronize(self) -> None:
            self.log.append(f"done {self.number}")


def test_a_gpu_is_asked_for_one_step_ahead_of_the_one_that_is_done(monkeypatch):
    queue = Queue()
    monkeypatch.setattr(devices, "_asked", {})
    monkeypatch.setattr(torch.cuda, "Event", queue)
    monkeypatch.setattr(torch.cuda, "current_stream", str)
    for _ in range(3):
        devices.keep_pace(CUDA)
    assert queue.log == ["asked 0 of cuda", "asked 1 of cuda", "done 0", "asked 2 of cuda", "done 1"]
    devices.keep_pace(CPU)  # where a call returns when the work is done
    assert len(queue.log) == 5


@pytest.mark.parametrize("family", ["sd", "unclip"])
def test_a_step_is_told_after_the_gpu_was_followed(family, tmp_path, monkeypatch):
    loaded, log = load(getattr(tiny, f"tiny_{family}")(tmp_path / family)), []
    monkeypatch.setattr(devices, "keep_pace", lambda device: log.append(str(device)))
    asked = [recipe(loaded, lanes=1)]
    engine.make(loaded, asked, threading.Event(), False, log.append)
    assert is_made(log.pop())
    steps = [at for at, entry in enumerate(log) if isinstance(entry, Step)]
    assert len(steps) == engine.steps(loaded, asked)
    assert [log[at - 1] for at in steps] == ["cpu"] * len(steps)


def test_shortages_are_those_of_the_allocator_and_a_cpu_has_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: {"num_ooms": 3} if device == CUDA else {})
    assert devices.shortages(CUDA) == 3
    assert devices.shortages(torch.device("cuda:1")) == 0  # nothing was asked of it yet
    assert devices.shortages(CPU) == 0


class Short:
    """Memory is short in the denoiser's forward passes of these numbers, counted from 0; cuDNN makes do."""

    def __init__(self, loaded, monkeypatch, *passes: int) -> None:
        self.refused, numbers = 0, itertools.count()

        def refuse(*_):
            self.refused += next(numbers) in passes

        monkeypatch.setattr(devices, "shortages", lambda device: self.refused)
        loaded.pipe.unet.register_forward_pre_hook(refuse)


def test_pictures_in_whose_call_memory_was_short_are_made_again(loaded, monkeypatch):
    wanted = [recipe(loaded, seed, lanes=1) for seed in range(2)]
    before = pictures(loaded, wanted)
    Short(loaded, monkeypatch, 1)
    events = list(engine.generate(loaded, wanted))
    assert [e.done for e in events if isinstance(e, Step)] == [1, 2, 3, 1, 2, 3, 4, 5, 6]
    assert [e.image.tobytes() for e in events if is_made(e)] == before
    assert not any("memory_was_short" in e.fingerprint for e in events if is_made(e))


def test_pictures_for_which_memory_stays_short_say_so_in_their_fingerprint(loaded, monkeypatch):
    Short(loaded, monkeypatch, 1, 4)
    wanted = [recipe(loaded, seed, lanes=1) for seed in range(2)]
    made = [e for e in engine.generate(loaded, wanted) if is_made(e)]
    assert [e.fingerprint.get("memory_was_short") for e in made] == [True, None]


def test_memory_that_was_short_for_others_between_two_steps_makes_nothing_again(loaded, monkeypatch):
    short, steps = Short(loaded, monkeypatch), []

    def others(event) -> None:
        short.refused += 1
        steps.append(event)

    engine.make(loaded, [recipe(loaded)], threading.Event(), False, others)
    assert len(steps) == 3 + 1
    assert "memory_was_short" not in steps[-1].fingerprint


def test_lanes_for_which_memory_is_short_are_not_used(loaded, monkeypatch):
    Short(loaded, monkeypatch, 1)
    found = call.settled(loaded)
    assert found.lanes == 1
    assert "memory ran out when calls of" in found.spec.note


def test_a_round_that_is_stopped_leaves_no_offloaded_part_on_the_gpu(loaded, monkeypatch):
    """The GPU is played by cpu:0, which torch tells from cpu by its name alone."""
    unet, places = loaded.pipe.unet, []
    move = type(unet).to

    def to(module, *args, **kwargs):
        places.append(str(args[0] if args else kwargs.get("device")))
        return move(module, *args, **kwargs)

    monkeypatch.setattr(type(unet), "to", to)
    loaded.pipe.enable_model_cpu_offload(device="cpu:0")
    offloaded = replace(loaded, device=Device("cpu", False, "model"))
    wanted = recipe(offloaded, num_inference_steps=8, offload="model")
    before, stop = pictures(offloaded, [wanted]), threading.Event()
    places.clear()
    for _ in engine.generate(offloaded, [wanted], stop):
        stop.set()
    assert "cpu:0" in places
    assert places[-1] == "cpu"
    assert pictures(offloaded, [wanted]) == before


def test_activations_are_gone_when_the_cache_is_emptied_after_memory_ran_out(loaded, monkeypatch):
    held, alive = [], []

    def run_out(module, inputs, output):
        held.append(weakref.ref(output))
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        except torch.OutOfMemoryError as first:  # said in other words by a library, and kept, as some do
            kept = first
            raise MemoryError from kept

    monkeypatch.setattr(devices, "empty_cache", lambda kind: alive.append([ref() is not None for ref in held]))
    with loaded.pipe.unet.conv_in.register_forward_hook(run_out), pytest.raises(CapacityError) as error:
        pictures(loaded, [recipe(loaded)])
    assert alive == [[False]]
    told = "".join(traceback.format_exception(error.value))  # as in the log
    assert "run_out" in told
    assert "call_pipe" in told
