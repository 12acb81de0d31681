"""Visitors take turns one denoising step at a time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline_utils.engine import engine
from pipeline_utils.engine.stops import Stopped, Turns
from tests.making import load, pictures, recipe


def never() -> threading.Event:
    return threading.Event()


def wait_until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen in 20 seconds"
        time.sleep(0.002)


def test_the_first_in_line_is_served_first():
    turns, served = Turns(), []
    threads = []

    def visit(name):
        with turns.turn(never()):
            served.append(name)

    with turns.turn(never()):
        for place in range(6):
            threads.append(threading.Thread(target=visit, args=(place,)))
            threads[-1].start()
            wait_until(lambda place=place: turns.waiting == place + 1)
    for thread in threads:
        thread.join(20)
    assert served == list(range(6))


def test_one_visitor_at_a_time_holds_the_turn():
    turns, inside, most = Turns(), [], []

    def visit(name):
        with turns.turn(never()) as turn:
            for _ in range(30):
                inside.append(name)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.remove(name)
                turn.pass_on()

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(visit, range(5)))
    assert max(most) == 1


def test_visitors_take_turns_step_by_step():
    turns, steps, ready = Turns(), [], threading.Barrier(3)

    def visit(name):
        with turns.turn(never()) as turn:
            if not steps:  # the first waits until the others stand in line
                wait_until(lambda: turns.waiting == 2)
            for _ in range(10):
                steps.append(name)
                turn.pass_on()

    def arrive(name):
        ready.wait(20)
        visit(name)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(arrive, range(3)))
    order = steps[:3]
    assert sorted(order) == [0, 1, 2]
    assert steps == order * 10


def test_a_visitor_alone_keeps_the_turn_without_waiting():
    turns = Turns()
    with turns.turn(never()) as turn:
        start = time.monotonic()
        for _ in range(1000):
            turn.pass_on()
        assert time.monotonic() - start < 1


def test_stopping_while_waiting_leaves_the_line():
    turns, stop, raised = Turns(), never(), threading.Event()

    def wait():
        with pytest.raises(Stopped), turns.turn(stop):
            raise AssertionError("the turn never came")
        raised.set()

    with turns.turn(never()):
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: turns.waiting == 1)
        stop.set()
        assert raised.wait(5)
        assert turns.waiting == 0
    with turns.turn(never()):  # the line is not blocked by the one who left
        pass
    thread.join(5)


def test_stopping_while_others_work_ends_a_round_between_its_steps():
    turns, stop = Turns(), never()
    with turns.turn(stop) as turn:
        turn.pass_on()
        stop.set()
        with pytest.raises(Stopped):
            turn.pass_on()
    assert turns.waiting == 0


def test_an_error_hands_the_turn_on():
    turns = Turns()
    with pytest.raises(ValueError, match="broke"), turns.turn(never()):
        raise ValueError("broke")
    with turns.turn(never()):
        pass


def test_an_error_after_the_turn_was_lost_to_a_stop_breaks_nothing():
    turns, stop = Turns(), never()
    with turns.turn(never()) as other:
        thread_error = []

        def visit():
            try:
                with turns.turn(stop):
                    pass
            except Stopped:
                thread_error.append("stopped")

        thread = threading.Thread(target=visit)
        thread.start()
        wait_until(lambda: turns.waiting == 1)
        stop.set()
        thread.join(5)
        other.pass_on()
    assert thread_error == ["stopped"]
    assert turns.waiting == 0


def test_four_rounds_at_once_each_equal_the_same_round_alone(tiny_sd_folder):
    loaded = load(tiny_sd_folder)
    samplers = ["DDIMScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "DDIMScheduler"]
    rounds = [
        [
            recipe(loaded, 10 * n + i, scheduler=sampler, num_inference_steps=4 + n, guidance_scale=3.0 + n, lanes=2)
            for i in range(3)
        ]
        for n, sampler in enumerate(samplers)
    ]
    alone = [pictures(loaded, recipes) for recipes in rounds]
    turns = Turns()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda recipes: pictures(loaded, recipes, turns), rounds))
    assert together == alone


def test_a_short_round_does_not_wait_for_a_long_one(tiny_sd_folder):
    loaded, turns, stop = load(tiny_sd_folder), Turns(), never()
    long = engine.generate(loaded, [recipe(loaded, num_inference_steps=500)], turns, stop)
    next(long)
    short = [engine.Step if isinstance(e, engine.Step) else e for e in engine.generate(loaded, [recipe(loaded)], turns)]
    assert len(short) == 4
    done = max(event.done for event in _so_far(long, stop))
    assert done < 500


def _so_far(events, stop):
    stop.set()
    return list(events) or [engine.Step(0, 500, ())]
