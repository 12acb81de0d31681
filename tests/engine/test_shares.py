"""The model's time is shared by visitor, and what one of them may ask for at once has bounds where strangers come."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from pipeline_utils.engine.engine import generate
from pipeline_utils.engine.events import Step
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.engine.shares import Bounds, Pace, Shares, address
from pipeline_utils.engine.stops import Stop, Stops
from pipeline_utils.errors import UserError
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.settings import Settings
from tests.making import load, recipe, studio
from tests.running import running, wait_until


def call(visitor: str, pictures: int = 4) -> SimpleNamespace:
    return SimpleNamespace(visitor=visitor, company=SimpleNamespace(pictures=pictures))


def test_a_visitor_with_many_rounds_has_one_place_in_front_of_each_other_visitor():
    waiting = [call("a"), call("a"), call("a"), call("b"), call("c"), call("b")]
    order = Shares().order(waiting)
    assert [each.visitor for each in order] == ["a", "b", "c", "a", "b", "a"]
    assert [each for each in order if each.visitor == "a"] == waiting[:3]  # of one visitor, in their order


def test_who_had_less_of_the_models_time_comes_first():
    shares = Shares()
    slow, quick = call("slow"), call("quick")
    shares.order([slow, quick])
    shares.spent([slow], 3.0)
    turns = []
    for _ in range(8):
        first = shares.order([slow, quick])[0]
        turns.append(first.visitor)
        shares.spent([first], 1.0 if first is quick else 3.0)
    assert turns == ["quick"] * 3 + ["slow", "quick", "quick", "quick", "slow"]


def test_what_was_made_together_is_paid_for_by_pictures():
    shares = Shares()
    big, small = call("big", 6), call("small", 2)
    shares.order([big, small])
    shares.spent([big, small], 8.0)
    third = call("third")
    assert [each.visitor for each in shares.order([big, small, third])] == ["small", "third", "big"]


def test_neither_rest_nor_a_new_name_is_credit():
    """Who comes again after an hour is not served alone until all others had as much."""
    shares = Shares()
    busy, idle = call("busy"), call("idle")
    shares.order([busy, idle])
    for _ in range(100):
        shares.order([busy])
        shares.spent([busy], 1.0)
    turns = []
    for _ in range(6):
        first = shares.order([busy, idle])[0]
        turns.append(first.visitor)
        shares.spent([first], 1.0)
    assert sorted(turns) == ["busy"] * 3 + ["idle"] * 3


def test_a_newcomer_has_half_of_the_model_beside_six_rounds_of_64_pictures(tiny_sd_folder):
    loaded = load(tiny_sd_folder, lanes=1)  # no two calls go together
    stop, order, running_ = Stop(visitor="crowd"), [], threading.Barrier(7)

    def visit(steps: int) -> None:
        running_.wait(20)
        asked = [recipe(loaded, seed, num_inference_steps=steps) for seed in range(64)]
        for event in generate(loaded, asked, stop):
            if isinstance(event, Step):
                order.append("crowd")

    with ThreadPoolExecutor(6) as pool:
        for steps in range(20, 26):
            pool.submit(visit, steps)
        running_.wait(20)
        wait_until(lambda: len(order) > 30)
        for event in generate(loaded, [recipe(loaded, 7, num_inference_steps=30)], Stop(visitor="newcomer")):
            if isinstance(event, Step):
                order.append("newcomer")
        stop.set()
    first = order.index("newcomer")
    last = len(order) - order[::-1].index("newcomer")
    assert order.count("newcomer") == 30
    assert order[first:last].count("crowd") <= 30 + 6  # each of the six may tell of a step a little later


def test_more_pictures_a_minute_than_are_allowed_are_refused_with_the_time_to_wait():
    now = [100.0]
    pace = Pace(10, lambda: now[0])
    pace.take("ada", 6)
    now[0] += 20
    pace.take("ada", 4)
    with pytest.raises(UserError, match=r"10 pictures a minute .* asked for 10 .* this round has 4: .* in 40 s\."):
        pace.take("ada", 4)
    pace.take("ben", 4)  # another's are not counted
    now[0] += 40
    pace.take("ada", 4)  # and those that were refused are not either


def test_a_round_larger_than_a_minutes_pictures_has_its_turn_after_a_minute_of_rest():
    now = [0.0]
    pace = Pace(10, lambda: now[0])
    pace.take("ada", 64)
    with pytest.raises(UserError, match="in 60 s"):
        pace.take("ada", 64)
    now[0] += 60
    pace.take("ada", 64)


def test_at_ones_own_machine_nothing_is_bounded_and_where_strangers_come_everything_is():
    names = ("visitor_rounds", "address_rounds", "visitor_pictures")
    assert [Settings().bound(name) for name in names] == [0, 0, 0]
    assert all(Settings(host="0.0.0.0").bound(name) for name in names)
    assert Settings(host="0.0.0.0", visitor_rounds=3).bound("visitor_rounds") == 3
    assert Settings(visitor_rounds=3).bound("visitor_rounds") == 3
    pace = Pace(0)
    for _ in range(100):
        pace.take("", 64)


def test_all_tabs_of_a_visitor_count_together_and_what_ended_counts_no_more():
    stops = Stops(Bounds(visitor=2))
    for session in ("tab1", "tab2", "tab3"):
        stops.know(session, "ada")
    first = stops.begin("tab1", "round")
    stops.begin("tab2", "verify")
    with pytest.raises(UserError, match="You have 2 rounds or checks under way, in all of your tabs; 2 are the most"):
        stops.begin("tab3", "round")
    assert stops.begin("other", "round").visitor != first.visitor
    stops.end("tab1", first)
    assert stops.begin("tab3", "round").visitor == "ada"


def test_all_visitors_of_an_address_count_together():
    stops = Stops(Bounds(visitor=2, address=3))
    for n in range(3):
        stops.know(f"tab{n}", f"visitor {n}")
        stops.begin(f"tab{n}", "round", address="8.8.8.8")
    stops.know("tab9", "visitor 9")
    with pytest.raises(UserError, match="3 rounds or checks are under way from your network address; 3 are the most"):
        stops.begin("tab9", "round", address="8.8.8.8")
    stops.begin("tab9", "round", address="1.1.1.1")
    stops.begin("tab9", "round")  # where no address is known, none is counted


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("8.8.8.8", "", "8.8.8.8"),
        ("8.8.8.8", "1.1.1.1", "8.8.8.8"),  # anybody may write the header
        ("10.0.0.7", "9.9.9.9, 1.1.1.1, 10.0.0.3", "1.1.1.1"),
        ("127.0.0.1", "", ""),
        ("192.168.1.4", "nonsense, , 10.0.0.1", ""),
        ("2001:4860:4860::8888", "", "2001:4860:4860::8888"),
        ("", "", ""),
    ],
)
def test_the_address_is_that_of_the_visitor_behind_the_proxies_of_the_host(peer, forwarded, found):
    assert address(peer, forwarded) == found


def test_programs_are_told_of_each_bound_in_a_sentence_and_served_again_afterwards(tiny_sd_folder, tmp_path):
    bounds = {"SECOND_ROUND_VISITOR_ROUNDS": "1", "SECOND_ROUND_VISITOR_PICTURES": "9"}
    with running(tiny_sd_folder, tmp_path, **bounds) as app:
        ada, ben = Client(app.url, verbose=False), Client(app.url, verbose=False)
        how = {"api_name": "/first_round", "num_inference_steps": 2}
        long = ada.submit("a red fox", seeds="0-63", **how | {"num_inference_steps": 100})
        wait_until(lambda: long.status().code.name == "PROCESSING")
        with pytest.raises(AppError, match="You have 1 rounds or checks under way"):
            ada.predict("a red fox", seeds="0", **how)
        assert len(ben.predict("a red fox", seeds="0-3", **how)["pictures"]) == 4
        with pytest.raises(AppError, match=r"9 pictures a minute are .* You asked for 4"):
            ben.predict("a red fox", seeds="0-7", **how)
        assert len(ben.predict("a red fox", seeds="4", **how)["pictures"]) == 1
        long.cancel()


def test_who_waits_is_told_how_many_visitors_share_the_model_and_own_tabs_are_none_of_them(tiny_sd_folder, tmp_path):
    here = studio(tiny_sd_folder, tmp_path)
    here.models.preload()
    held, go = threading.Event(), threading.Event()
    holder = threading.Thread(target=MODEL.run, args=(lambda: (held.set(), go.wait(60)),))
    holder.start()
    held.wait(20)
    for session, visitor in (("tab1", "ada"), ("tab2", "ada"), ("tab3", "ben"), ("tab4", "eve")):
        here.stops.know(session, visitor)

    def told(session: str) -> str:
        with here.stops.during(session, "round") as stop:
            events = here.first_round(Ask("a red fox", "0", num_inference_steps=1), stop=stop)
            reason = next(events).reason
            stop.set()
            events.close()
            return reason

    with here.stops.during("tab1", "round"):
        assert told("tab2") == "Other rounds share the model with this one…"
        assert told("tab3") == "1 visitor shares the model with you…"
        with here.stops.during("tab4", "round"):
            assert told("tab3") == "2 visitors share the model with you…"
    go.set()
    holder.join(20)
