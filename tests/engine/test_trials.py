"""In halves a size of calls is trusted after very many equal numbers, which are made while nobody waits."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from pipeline_utils.engine import model_thread
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.engine.trials import Trials, want
from pipeline_utils.models import shapes
from pipeline_utils.models.shapes import MIXED, Shapes
from tests.engine.test_packing import calls_of, watched
from tests.making import load, pictures, recipe
from tests.running import wait_until

ABOUT = {"dtype": "bfloat16"}


@pytest.fixture(scope="module")
def model(tiny_sd_folder):
    return load(tiny_sd_folder, dtype="bfloat16")


@pytest.fixture
def loaded(model, monkeypatch):
    monkeypatch.setattr(shapes, "ENOUGH_HALVES", 2**15)
    monkeypatch.setattr(model_thread, "REST", 0.05)
    return replace(model, shapes=Shapes(None, ABOUT))


def five(loaded) -> list:
    return [recipe(loaded, seed) for seed in range(5)]


def settled(loaded) -> dict:
    wait_until(lambda: not loaded.shapes.wanted)
    return calls_of(loaded)


def test_sizes_that_a_round_wanted_are_tried_while_nobody_waits(loaded):
    first = pictures(loaded, five(loaded))
    assert calls_of(loaded) == {}
    found = settled(loaded)
    assert found["unet"]
    if True in found["unet"].values():
        with watched(loaded) as sizes:
            assert pictures(loaded, five(loaded)) == first
        assert len(sizes) == 3


def test_a_size_with_other_bits_is_found_out_while_nobody_waits(loaded):
    pictures(loaded, five(loaded))
    (rows,) = (rows for what, (rows, _) in loaded.shapes.wanted.items() if what.startswith("unet"))

    def change(module, inputs, output):
        if len(inputs[0]) != 8:
            output[0].mul_(1.1)

    with loaded.pipe.unet.register_forward_hook(change):
        MODEL.run(lambda: [want(rows, size) for size in (5, 6, 8)])
        found = settled(loaded)
    assert found["unet"] == {"5": False, "6": False, "8": False}


def test_other_numbers_than_the_rounds_own_are_tried(loaded):
    """Where a value alone made it come out equal, that would be luck."""
    seen = []
    pictures(loaded, five(loaded))
    with loaded.pipe.unet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone())):
        settled(loaded)
    rows = torch.cat([each for each in seen if len(each) == 8])
    assert len({row.float().numpy().tobytes() for row in rows}) == len(rows)


def test_a_place_in_the_plain_call_that_matters_is_found_out(loaded):
    def change_last(module, inputs, output):
        output[0][-1] *= 1.1

    pictures(loaded, five(loaded))
    (rows,) = (rows for what, (rows, _) in loaded.shapes.wanted.items() if what.startswith("unet"))
    with loaded.pipe.unet.register_forward_hook(change_last):
        MODEL.run(lambda: want(rows, MIXED))
        assert settled(loaded)["unet"][MIXED] is False


def test_who_comes_meanwhile_waits_for_one_call_at_most(loaded, monkeypatch):
    monkeypatch.setattr(shapes, "ENOUGH_HALVES", 2**60)  # never over
    order, one = [], Trials.one

    def told(trials):
        for _ in one(trials):
            order.append("trial")
            yield

    monkeypatch.setattr(Trials, "one", told)
    pictures(loaded, five(loaded))
    with loaded.pipe.unet.register_forward_pre_hook(lambda *_: order.append("call")):
        wait_until(lambda: len(order) > 10)
        four = [recipe(loaded, seed) for seed in range(4)]
        pictures(loaded, four)
        wait_until(lambda: order[-1] == "trial")
    runs = " ".join(order).split(" trial")
    assert max(run.count("call") for run in runs) >= four[0].num_inference_steps  # no trial between a round's steps
    loaded.shapes.wanted.clear()


def test_a_trial_that_cannot_be_made_ends_the_trials_and_nothing_else(loaded, caplog):
    pictures(loaded, five(loaded))

    def fail(*_):
        raise ValueError("no trial")

    with loaded.pipe.unet.register_forward_pre_hook(fail):
        assert "unet" not in settled(loaded)
    assert "no trial" in caplog.text
    assert len(pictures(loaded, five(loaded))) == 5
    loaded.shapes.wanted.clear()


def test_trials_do_not_keep_a_model_in_memory(tiny_sd_folder, monkeypatch):
    monkeypatch.setattr(shapes, "ENOUGH_HALVES", 2**60)
    monkeypatch.setattr(model_thread, "REST", 0.05)
    loaded = replace(load(tiny_sd_folder, dtype="bfloat16"), shapes=Shapes(None, ABOUT))
    pictures(loaded, five(loaded))
    assert loaded.shapes.wanted
    unet = weakref.ref(loaded.pipe.unet)
    del loaded

    def is_gone() -> bool:
        gc.collect()
        return unet() is None

    wait_until(is_gone)


def test_on_a_lent_gpu_nothing_is_tried():
    found = Shapes(None, ABOUT, tries=False)
    assert not any(found.is_due("unet", 5) for _ in range(9))
