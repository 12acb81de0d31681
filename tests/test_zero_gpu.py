"""The ZeroGPU path, as far as a machine without ZeroGPU can run it: the real `spaces` package, real pictures."""

import pickle
import threading
from dataclasses import replace

import pytest

from pipeline_utils import engine, runtime, zero_gpu
from pipeline_utils.engine import Finished
from pipeline_utils.models import Models
from pipeline_utils.recipe import Recipe
from pipeline_utils.settings import Settings
from pipeline_utils.turns import Turns


@pytest.fixture(scope="module")
def models(tiny_sd_folder):
    settings = Settings(model=str(tiny_sd_folder))
    models = Models(settings, runtime.start(settings))
    models.preload()
    return models


@pytest.fixture(scope="module")
def recipes(models):
    loaded = models.in_memory()
    recipe = Recipe(
        model=loaded.spec.name,
        revision=loaded.revision,
        prompt="a red fox",
        seed=0,
        num_inference_steps=2,
        guidance_scale=5.0,
        scheduler=loaded.spec.scheduler,
        width=loaded.spec.width,
        height=loaded.spec.height,
        dtype=loaded.dtype,
        lanes=2,
    )
    return [replace(recipe, seed=seed) for seed in range(3)]


def test_a_borrowed_gpu_makes_the_same_pictures(models, recipes):
    loaded = models.in_memory()
    own = [e.image.tobytes() for e in engine.generate(loaded, recipes, Turns()) if isinstance(e, Finished)]
    borrowed = zero_gpu.lent(models)(loaded, recipes, Turns(), threading.Event())
    assert [e.image.tobytes() for e in borrowed if isinstance(e, Finished)] == own


def test_everything_that_crosses_to_the_forked_process_and_back_can_be_pickled(models, recipes):
    assert pickle.loads(pickle.dumps(recipes)) == recipes
    for event in engine.generate(models.in_memory(), recipes, Turns()):
        again = pickle.loads(pickle.dumps(event))
        if isinstance(event, Finished):
            assert again.image.tobytes() == event.image.tobytes()
        else:
            assert again == event


def test_stop_ends_a_borrowed_round(models, recipes):
    stop = threading.Event()
    events = []
    for event in zero_gpu.lent(models)(models.in_memory(), recipes, Turns(), stop):
        events.append(event)
        stop.set()
    assert len(events) == 1


def test_more_steps_reserve_more_seconds_up_to_a_limit(recipes):
    longer = [replace(recipe, num_inference_steps=50) for recipe in recipes]
    longest = [replace(recipe, num_inference_steps=500) for recipe in recipes]
    assert zero_gpu.seconds(recipes) < zero_gpu.seconds(longer) < zero_gpu.seconds(longest) == 120


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_zero_gpu_is_recognised_as_the_spaces_package_does(value, expected):
    assert zero_gpu.here({"SPACES_ZERO_GPU": value}) is expected
    assert zero_gpu.here({}) is False
