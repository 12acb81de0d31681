"""One thread runs all tensors, everybody's calls in turn."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from pipeline_utils.engine import engine
from pipeline_utils.engine.events import Step
from pipeline_utils.engine.model_thread import MODEL, ModelThread
from pipeline_utils.engine.stops import Stopped
from tests.making import load, pictures, recipe
from tests.running import wait_until


@pytest.fixture(scope="module")
def loaded(tiny_sd_folder):
    return load(tiny_sd_folder)


def test_everything_of_a_round_is_computed_in_one_thread(loaded):
    threads = set()

    def watch(*_):
        threads.add(threading.current_thread().name)

    parts = (loaded.pipe.unet, loaded.pipe.text_encoder, loaded.pipe.vae.decoder)
    handles = [part.register_forward_pre_hook(watch) for part in parts]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda seed: pictures(loaded, [recipe(loaded, seed)]), range(3)))
    for handle in handles:
        handle.remove()
    assert threads == {"model"}


def test_work_answers_or_raises_to_who_gave_it():
    assert MODEL.run(lambda: 7) == 7
    assert MODEL.run(lambda: MODEL.run(lambda: 8)) == 8  # from within it goes on at once
    with pytest.raises(ValueError, match="broke"):
        MODEL.run(lambda: (_ for _ in ()).throw(ValueError("broke")))
    with pytest.raises(TimeoutError, match="the hub did not answer"):
        MODEL.run(lambda: (_ for _ in ()).throw(TimeoutError("the hub did not answer")))
    assert MODEL.under_way == 0


def test_no_gradients_are_kept_whoever_leaves_a_block_that_forbids_them(loaded):
    long = threading.Thread(target=pictures, args=(loaded, [recipe(loaded, num_inference_steps=40)]))
    long.start()
    for seed in range(5):
        pictures(loaded, [recipe(loaded, seed, num_inference_steps=1)])
        assert not MODEL.run(torch.is_grad_enabled)
    long.join(60)


def test_visitors_alternate_step_by_step(loaded):
    order, ready = [], threading.Barrier(3)

    def visit(steps: int) -> None:
        ready.wait(20)
        for event in engine.generate(loaded, [recipe(loaded, num_inference_steps=steps, guidance_scale=float(steps))]):
            if isinstance(event, Step):
                order.append(steps)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(visit, (19, 20, 21)))
    middle = order[12:48]
    assert all(12 - 3 <= middle.count(visitor) <= 12 + 3 for visitor in (19, 20, 21))


def test_a_short_round_does_not_wait_for_a_long_one(loaded):
    stop = threading.Event()
    long = engine.generate(loaded, [recipe(loaded, num_inference_steps=500)], stop)
    next(long)
    assert len(list(engine.generate(loaded, [recipe(loaded)]))) == 4
    stop.set()
    assert max([0, *(event.done for event in long if isinstance(event, Step))]) < 500


def test_work_that_is_stopped_before_it_is_begun_never_begins(loaded):
    held, go, stop, begun = threading.Event(), threading.Event(), threading.Event(), []
    first = threading.Thread(target=MODEL.run, args=(lambda: (held.set(), go.wait(30)),))
    first.start()
    held.wait(20)
    raised = []

    def wait():
        try:
            MODEL.run(lambda: begun.append(1), stop)
        except Stopped:
            raised.append(1)

    second = threading.Thread(target=wait)
    second.start()
    wait_until(lambda: MODEL.under_way == 2)
    stop.set()
    second.join(5)  # while the first is at work still
    assert raised == [1]
    go.set()
    first.join(20)
    MODEL.run(lambda: None)
    assert begun == []


def test_work_that_is_to_be_alone_is_not_interrupted(loaded):
    order = []

    def work(name: str, alone: bool) -> None:
        def watched():
            for _ in range(5):
                list_of = loaded.pipe.text_encoder(torch.ones(4, 77, dtype=torch.long))
                assert list_of is not None
                order.append(name)

        MODEL.run(watched, alone=alone)

    threads = [threading.Thread(target=pictures, args=(loaded, [recipe(loaded, num_inference_steps=30)]))]
    threads += [threading.Thread(target=work, args=("alone", True))]
    with loaded.pipe.unet.register_forward_pre_hook(lambda *_: order.append("visitor")):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    first = order.index("alone")
    assert order[first : first + 5] == ["alone"] * 5


def test_a_thread_count_that_was_set_before_the_work_holds_for_it():
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert MODEL.run(torch.get_num_threads) == count
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_model_thread_of_its_own():
    """ZeroGPU forks the process in which the model was loaded."""
    MODEL.run(lambda: None)
    child = os.fork()
    if child == 0:
        os._exit(MODEL.run(lambda: 7) if MODEL.under_way == 0 else 1)
    end = time.monotonic() + 30
    while (found := os.waitpid(child, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < end, "the child hangs"
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(found[1]) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_rounds_leave_no_threads_behind(loaded):
    pictures(loaded, [recipe(loaded)])
    before = len(os.listdir("/proc/self/task"))
    for seed in range(5):
        pictures(loaded, [recipe(loaded, seed)])
    wait_until(lambda: len(os.listdir("/proc/self/task")) <= before)


def test_a_second_model_thread_can_stand_beside_it():
    assert ModelThread().run(lambda: threading.current_thread().name) == "model"
