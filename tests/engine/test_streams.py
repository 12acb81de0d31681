"""Work that reports by callback, as an iterator."""

import contextvars
import threading
import time

import pytest

from pipeline_utils.engine.stops import Stopped, streamed

visitor = contextvars.ContextVar("visitor", default="nobody")


def test_what_is_emitted_is_yielded_in_order():
    assert list(streamed(lambda emit, stop: [emit(n) for n in range(100)])) == list(range(100))


def test_events_arrive_while_the_work_goes_on():
    go = threading.Event()

    def work(emit, stop):
        emit("first")
        assert go.wait(10)
        emit("second")

    events = streamed(work)
    assert next(events) == "first"
    go.set()
    assert next(events) == "second"


def test_an_error_is_raised_where_the_events_are_read_after_those_before_it():
    def work(emit, stop):
        emit(1)
        raise ValueError("it broke")

    events = streamed(work)
    assert next(events) == 1
    with pytest.raises(ValueError, match="it broke"):
        next(events)


def test_being_stopped_ends_the_iteration_quietly():
    def work(emit, stop):
        emit(1)
        raise Stopped

    assert list(streamed(work)) == [1]


def test_closing_sets_stop_and_does_not_wait():
    ended = threading.Event()

    def work(emit, stop):
        emit(1)
        assert stop.wait(10)
        time.sleep(0.3)
        ended.set()

    events = streamed(work)
    next(events)
    start = time.monotonic()
    events.close()
    assert time.monotonic() - start < 0.2
    assert ended.wait(10)


def test_a_reader_that_is_forgotten_stops_the_work():
    stopped = threading.Event()

    def work(emit, stop):
        emit(1)
        assert stop.wait(10)
        stopped.set()

    events = streamed(work)
    next(events)
    del events
    assert stopped.wait(10)


def test_a_stop_given_from_outside_reaches_the_work():
    stop = threading.Event()

    def work(emit, stop):
        emit(1)
        assert stop.wait(10)
        emit(2)

    events = streamed(work, stop)
    next(events)
    stop.set()
    assert list(events) == [2]


def test_context_variables_travel_to_the_work():
    visitor.set("ada")
    assert list(streamed(lambda emit, stop: emit(visitor.get()))) == ["ada"]


def test_nothing_runs_before_the_first_event_is_asked_for():
    ran = threading.Event()
    events = streamed(lambda emit, stop: ran.set())
    assert not ran.wait(0.05)
    assert list(events) == []
    assert ran.is_set()


def test_a_stop_from_outside_is_left_alone_when_the_work_ends_by_itself():
    stop = threading.Event()
    assert list(streamed(lambda emit, stop: emit(1), stop)) == [1]
    assert not stop.is_set()  # the caller may go on to the next piece of work with it
