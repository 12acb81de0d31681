"""One way to run and one way to stop: what hangs on a visitor's flags, and when it is heard."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from pipeline_utils.models import runtime
from pipeline_utils.page.rounds.handlers import Handlers
from pipeline_utils.page.running import Player
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.proof.replay import checking
from pipeline_utils.proof.verdict import Claim
from pipeline_utils.recipe.ask import Ask
from tests import tiny
from tests.making import made, studio

ASKED = SimpleNamespace(session_hash="a")


@pytest.mark.parametrize("what", ["round", "switch"])
def test_stop_is_heard_on_the_page_while_a_model_loads(tiny_sd_folder, tmp_path, monkeypatch, what):
    here = studio(tiny_sd_folder, tmp_path, switching="any")
    handlers, visit = Handlers(here, Player(here)), Visit(here.models.default)
    other = str(tiny.tiny_sdxl(tmp_path / "other"))
    began, go, ready = threading.Event(), threading.Event(), runtime.load

    def slow(*arguments):
        began.set()
        assert go.wait(60)
        return ready(*arguments)

    monkeypatch.setattr(runtime, "load", slow)
    if what == "round":
        running = handlers.first_round(visit, Ask("a red fox", num_inference_steps=2), ASKED)
    else:
        running = handlers.switch(visit, other, ASKED)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(str(parts.get("status")) for parts in running))
    try:
        reader.start()
        assert began.wait(30)
        answer = handlers.stop(ASKED)
        assert answer["stop"]["interactive"] is False
        assert "status" not in answer  # it may come after the round's own last words, and would stand for ever
        reader.join(10)
        assert not reader.is_alive()  # while `go` is still to come
    finally:
        go.set()
        for thread in threading.enumerate():  # models made meanwhile would have no weights
            if thread.name == "load":
                thread.join(60)
    assert "Stopped" in said[-1]
    assert ("Stopping…" in said[-2]) == (what == "round")
    assert not handlers.player.is_busy(ASKED)
    assert (visit.model, visit.rounds) == (here.models.default, [])


def test_a_round_and_a_replay_each_run_in_one_thread(tiny_sd_folder, tmp_path, monkeypatch):
    """The loading of the model apart, which cannot be broken off."""
    here = studio(tiny_sd_folder, tmp_path)
    here.models.preload()
    started: list[str] = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread.name) or start(thread))
    (picture,) = [event.picture for event in made(here.first_round(Ask("a cat", "0", num_inference_steps=1)))]
    assert started.count("round") == 1
    started.clear()
    *_, verdict = checking(here, Claim(picture.recipe, picture.image))
    assert verdict.replayed
    assert started.count("round") == 1
