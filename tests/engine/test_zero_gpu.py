"""The ZeroGPU path, as far as a machine without ZeroGPU can run it: the real `spaces` package, real pictures."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import spaces

from pipeline_utils.engine import engine, zero_gpu
from pipeline_utils.engine.events import Finished, Step
from pipeline_utils.engine.memory import gpu_is_lent
from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.stops import Stop, Stopped
from pipeline_utils.errors import CapacityError, InputError, ModelError
from pipeline_utils.models import runtime
from pipeline_utils.proof.replay import verify
from pipeline_utils.proof.verdict import Claim
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.studio import Studio
from tests.making import made


@pytest.fixture(scope="module")
def models(tiny_sd_folder):
    settings = Settings(model=str(tiny_sd_folder))
    models = Models(settings, runtime.start(settings))
    models.preload()
    return models


@pytest.fixture(scope="module")
def recipes(models):
    loaded = models.in_memory()
    return [loaded.recipe("a red fox", seed, num_inference_steps=2, guidance_scale=5.0, lanes=2) for seed in range(3)]


@pytest.fixture
def loans(monkeypatch):
    """What the `spaces` package is asked for: one entry a loan, its seconds."""
    asked = []

    def gpu(duration):
        def decorator(task):
            def borrowed(*args):
                asked.append(duration(*args))
                for value in task(*args):
                    yield pickle.loads(pickle.dumps(value))

            return borrowed

        return decorator

    monkeypatch.setattr(spaces, "GPU", gpu)
    return asked


def played(make, models, recipes, stop=None) -> list:
    events = []
    make(models.in_memory(), recipes, stop or Stop(), False, events.append)
    return events


def test_a_borrowed_gpu_makes_the_same_pictures(models, recipes):
    own = [e.image.tobytes() for e in engine.generate(models.in_memory(), recipes) if isinstance(e, Finished)]
    borrowed = played(zero_gpu.lent(models), models, recipes)
    assert [e.image.tobytes() for e in borrowed if isinstance(e, Finished)] == own


def test_the_gpu_is_borrowed_once_for_each_pipeline_call_of_a_round(models, recipes, loans):
    make = zero_gpu.lent(models)
    played(make, models, recipes)
    assert len(loans) == len(engine.calls(models.in_memory(), recipes, most=1))
    loans.clear()
    many = [replace(recipes[0], seed=seed, lanes=2) for seed in range(50)]
    events = played(make, models, many)
    assert loans == [zero_gpu.seconds(many[:2])] * 25  # what is asked for does not grow with the round
    assert [e.index for e in events if isinstance(e, Finished)] == list(range(50))
    assert [(e.done, e.total) for e in events if isinstance(e, Step)] == [(n, 50) for n in range(1, 51)]
    alone = engine.generate(models.in_memory(), many)
    shown = [(e.index, e.image.tobytes()) for e in alone if isinstance(e, Finished)]
    assert [(e.index, e.image.tobytes()) for e in events if isinstance(e, Finished)] == shown


def test_a_call_that_takes_longer_than_a_gpu_is_lent_for_is_refused_before_any_loan(models, recipes, loans):
    with pytest.raises(InputError, match=r"num_inference_steps: 500 .* 120 seconds, enough for 214"):
        played(zero_gpu.lent(models), models, [replace(recipes[0], num_inference_steps=500)])
    assert loans == []


def test_lanes_are_tried_out_once_inside_the_first_loan(models, recipes, loans, monkeypatch):
    tried = []
    monkeypatch.setattr(zero_gpu, "why_one_lane", lambda loaded: tried.append(loaded.lanes) or "")
    make = zero_gpu.lent(models)
    for _ in range(2):
        played(make, models, recipes)
    assert tried == [4]
    assert len(loans) == 2 * len(engine.calls(models.in_memory(), recipes, most=1))
    assert loans[0] > max(loans[1:])  # only the first asks for the time that trying takes


def test_where_lanes_disagree_the_round_is_built_again_with_one(tiny_sd_folder, tmp_path, loans, monkeypatch):
    monkeypatch.setattr(zero_gpu, "why_one_lane", lambda loaded: "One at a time here.")
    settings = Settings(model=str(tiny_sd_folder), data=tmp_path, threads=1)
    device = runtime.start(settings)
    models = Models(settings, device)
    models.preload()
    here = Studio(settings, models, Shelf(tmp_path / "pictures"), zero_gpu.lent(models))
    pictures = [event.picture for event in made(here.first_round(Ask("a cat", "0-1", num_inference_steps=1)))]
    assert [picture.recipe.lanes for picture in pictures] == [1, 1]
    assert models.in_memory().spec.note.startswith("One at a time here.")
    assert len(loans) == 1 + 2  # the one that showed it, and one for each picture alone
    # A picture of four lanes is still followed as its recipe says.
    again = Studio(settings, models, Shelf(tmp_path / "pictures"), zero_gpu.lent(models))
    verdict = verify(again, Claim(replace(pictures[0].recipe, lanes=4)))
    assert verdict.replayed


def test_a_space_with_a_lent_gpu_serves_one_model_only(tiny_sd_folder):
    settings = zero_gpu.limited(Settings(model=str(tiny_sd_folder), switching="any"))
    assert settings.visitors_choose == "one"
    with pytest.raises(ModelError, match="only"):
        Models(settings, runtime.start(settings)).spec("stabilityai/sdxl-turbo")


@pytest.mark.parametrize(
    "error", [InputError("prompt", "x" * 99, "shorter"), CapacityError("Memory ran out."), ModelError("It is broken.")]
)
def test_an_error_in_the_forked_process_is_its_own_sentence_here(models, recipes, loans, monkeypatch, error):
    def failing(*_args, **_more):
        raise error

    monkeypatch.setattr(engine, "generate", failing)
    with pytest.raises(type(error)) as told:
        played(zero_gpu.lent(models), models, recipes)
    assert str(told.value) == str(error)


def test_everything_that_crosses_to_the_forked_process_and_back_can_be_pickled(models, recipes):
    assert pickle.loads(pickle.dumps(recipes)) == recipes
    for event in engine.generate(models.in_memory(), recipes):
        again = pickle.loads(pickle.dumps(event))
        if isinstance(event, Finished):
            assert again.image.tobytes() == event.image.tobytes()
        else:
            assert again == event


def test_stop_ends_a_borrowed_round(models, recipes):
    stop, events = Stop(), []

    def emit(event):
        events.append(event)
        stop.set()

    with pytest.raises(Stopped):
        zero_gpu.lent(models)(models.in_memory(), recipes, stop, False, emit)
    assert len(events) <= 2  # one was on its way when the stop came


def test_stop_is_heard_while_a_gpu_is_waited_for_and_what_comes_late_is_given_back(models, recipes, monkeypatch):
    waiting, lent, closed = threading.Event(), threading.Event(), threading.Event()

    def gpu(duration):
        def decorator(task):
            def borrowed(*args):
                waiting.set()
                assert lent.wait(30)
                try:
                    yield from task(*args)
                finally:
                    closed.set()

            return borrowed

        return decorator

    monkeypatch.setattr(spaces, "GPU", gpu)
    make, stop = zero_gpu.lent(models), Stop()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(played, make, models, recipes, stop)
        assert waiting.wait(10)
        stop.set()
        with pytest.raises(Stopped):
            asked.result(10)
    lent.set()
    assert closed.wait(10)


def test_more_steps_reserve_more_seconds(recipes):
    longer = [replace(recipe, num_inference_steps=50) for recipe in recipes]
    assert zero_gpu.seconds(recipes) < zero_gpu.seconds(longer) < zero_gpu.seconds(longer, False, 4)


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_zero_gpu_is_recognised_as_the_spaces_package_does(value, expected):
    assert gpu_is_lent({"SPACES_ZERO_GPU": value}) is expected
    assert gpu_is_lent({}) is False
