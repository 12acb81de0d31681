"""The remaining time, told from made-up clocks."""

import pytest

from pipeline_utils.page.rounds.pace import Pace, Shares


def run(plan, steps, seconds, decode, begin=0.0, known=None, first=0.0):
    """A round as events on a clock of its own: (time, steps done, what was foreseen) and the time of its end.

    seconds: of a step, given the number of the step in the round.
    """
    pace, now, done, told = Pace(plan, steps, known), 100.0 + first, 0, []
    for places, count in zip(plan, steps, strict=True):
        now += begin
        for _ in range(count):
            now += seconds(done)
            done += 1
            pace.step(now, done, sum(steps), places)
            told.append((now, done, pace.left(now)))
        now += decode
        for place in places:
            pace.made(now, place)
        told.append((now, done, pace.left(now)))
    return told, now, pace


FOUR_CALLS = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13]]


def test_nothing_is_foreseen_before_two_steps():
    told, _, _ = run([[0]], [12], lambda _: 1.0, 1.0)
    assert told[0][2] is None
    assert told[1][2] is not None


@pytest.mark.parametrize(("decode", "begin"), [(0.0, 0.0), (0.5, 0.0), (3.0, 0.0), (2.0, 1.5)])
def test_once_a_call_was_seen_the_time_that_is_left_is_right(decode, begin):
    told, end, _ = run(FOUR_CALLS, [12] * 4, lambda _: 0.5, decode, begin, first=7.0)
    seen = [(now, left) for now, done, left in told if done > 12]
    assert len(seen) > 36
    for now, left in seen:
        assert left == pytest.approx(end - now, abs=0.01)


def test_a_second_round_knows_from_the_first_how_long_decoding_takes():
    told, end, pace = run([[0, 1, 2, 3]], [12], lambda _: 0.5, 4.0)
    assert told[5][2] < end - told[5][0] - 3  # the first one could not know
    told, end, _ = run([[0, 1, 2, 3]], [12], lambda _: 0.5, 4.0, known=pace.shares)
    for now, done, left in told:
        assert done == 1 or left == pytest.approx(end - now, abs=0.01)


def test_uneven_steps_shake_it_little():
    told, end, _ = run(FOUR_CALLS, [12] * 4, lambda n: 0.4 if n % 2 else 0.6, 1.0)
    for now, done, left in told:
        if done > 14:
            assert left == pytest.approx(end - now, abs=2.5)


def test_it_notices_within_some_steps_that_another_visitor_takes_turns():
    told, end, _ = run([[0, 1, 2, 3]], [100], lambda n: 0.5 if n < 30 else 1.0, 0.5)
    at = {done: (now, left) for now, done, left in told}
    now, left = at[60]
    assert left == pytest.approx(end - now, rel=0.1)


def test_it_never_says_less_than_nothing_and_counts_down_between_events():
    pace = Pace([[0]], [4], Shares(decode=0.0))
    for done in (1, 2, 3):
        pace.step(float(done), done, 4, [0])
    assert pace.left(3.0) == pytest.approx(1.0)
    assert pace.left(3.6) == pytest.approx(0.4)
    assert pace.left(9.0) == 0.0


def test_calls_of_one_step_are_told_from_picture_to_picture():
    told, end, _ = run([[0], [1], [2], [3]], [1] * 4, lambda _: 0.2, 1.8)
    assert told[0][2] is None
    for now, done, left in told:
        if done > 2:
            assert left == pytest.approx(end - now, abs=2.0)


def test_calls_of_different_length_are_counted_by_their_steps():
    told, end, _ = run([[0], [1]], [10, 40], lambda _: 0.5, 1.0)
    for now, done, left in told:
        assert done <= 10 or left == pytest.approx(end - now, abs=0.01)
