"""OpenMP's threads spin while the cores are free, and sleep beside a busy neighbour."""

import hashlib
import sys
import threading

import pytest
import torch

from pipeline_utils.engine import spinning
from pipeline_utils.engine.spinning import Spinning

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP on Linux only")


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found = Spinning()
    yield found
    if found.asleep:
        found._second_set.set()


def test_threads_that_have_all_their_cores_spin(cores):
    for _ in range(100):
        cores.saw(0.1, 0.2)
    assert not cores.asleep


def test_threads_whose_cores_others_take_sleep_after_a_moment(cores):
    cores.saw(spinning.WINDOW / 2, spinning.WINDOW / 2 * 1.5)
    assert not cores.asleep  # too short to tell
    cores.saw(spinning.WINDOW, spinning.WINDOW * 1.5)
    assert cores.asleep


def test_spinning_is_tried_again_and_stays_where_the_neighbour_is_gone(cores):
    cores.saw(1, 1.5)
    cores.saw(2.9, 3)
    assert cores.asleep
    cores.saw(0.2, 0.2)
    assert not cores.asleep
    cores.saw(1, 2)
    assert not cores.asleep


def test_beside_a_neighbour_that_stays_it_is_tried_less_and_less_often(cores):
    asleep = []
    for _ in range(6):
        cores.saw(1, 1.5)
        seconds = 0.0
        while cores.asleep:
            cores.saw(0.5, 0.5)
            seconds += 0.5
        asleep.append(seconds)
    assert asleep == sorted(asleep)
    assert asleep[0] < 10 < asleep[-1] <= 61


def test_neither_way_changes_a_bit(cores):
    def computed() -> str:
        draw = torch.Generator().manual_seed(0)
        rows, weights = torch.randn(256, 512, generator=draw), torch.randn(512, 512, generator=draw)
        return hashlib.sha256((rows @ weights).softmax(-1).numpy().tobytes()).hexdigest()

    before = computed()
    cores.saw(1, 1.0)
    assert cores.asleep
    assert computed() == before
    assert "asleep" in {thread.name for thread in threading.enumerate()}
