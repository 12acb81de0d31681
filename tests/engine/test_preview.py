"""Pictures while they are made: what they show, and that they change nothing."""

import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline_utils.engine import engine, preview, zero_gpu
from pipeline_utils.engine.events import Finished, Step
from pipeline_utils.engine.pool import Models
from pipeline_utils.models.catalog import FAMILIES
from pipeline_utils.models.runtime import start
from pipeline_utils.settings import Settings
from tests import tiny
from tests.making import load, pictures, recipe
from tests.running import BUNDLED

SAMPLERS = (*FAMILIES["StableDiffusionPipeline"].schedulers, "LCMScheduler")

# Those that can take a model's word for the finished latents, which is what the bundled one predicts.
OFFERED = ("DDIMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler")


@pytest.fixture(scope="module")
def loaded(tiny_sd_folder):
    found = load(tiny_sd_folder)
    return replace(found, spec=replace(found.spec, extra_schedulers=("LCMScheduler",)))


@pytest.fixture(autouse=True)
def every_step(monkeypatch):
    """Previews of all steps, however quickly these follow each other."""
    monkeypatch.setattr(preview, "EVERY", 0.0)
    monkeypatch.setattr(preview, "DEAR", 0)


def watched(loaded, recipes, **more) -> tuple[list[bytes], list[Step]]:
    events = list(engine.generate(loaded, recipes, previews=True, **more))
    made = {event.index: event.image.tobytes() for event in events if isinstance(event, Finished)}
    return [made[index] for index in sorted(made)], [event for event in events if isinstance(event, Step)]


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of the values of two pictures; the first is brought to the size of the second."""
    resized = np.asarray(Image.fromarray(one).resize(other.shape[1::-1], Image.BILINEAR))
    return float(np.corrcoef(resized.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_previews_change_no_bit_whatever_the_sampler(loaded, sampler):
    recipes = [recipe(loaded, seed, scheduler=sampler, num_inference_steps=5) for seed in range(5)]
    unwatched = pictures(loaded, recipes)
    seen, steps = watched(loaded, recipes)
    assert seen == unwatched
    assert steps[-1].previews.shape == (5, 32, 32, 3)
    assert all(len(step.previews) == len(step.pictures) for step in steps)
    assert [(step.done, step.total) for step in steps] == [(n + 1, len(steps)) for n in range(len(steps))]
    assert pictures(loaded, recipes) == unwatched


@pytest.mark.parametrize("family", ["sdxl", "sd3", "flux", "unclip"])
def test_previews_change_no_bit_and_show_something_whatever_the_family(family, tmp_path):
    loaded = load(getattr(tiny, f"tiny_{family}")(tmp_path / family))
    recipes = [recipe(loaded, seed, num_inference_steps=3, lanes=2) for seed in range(3)]
    seen, steps = watched(loaded, recipes)
    assert seen == pictures(loaded, recipes)
    shown = [step.previews for step in steps if step.previews is not None]
    assert len(shown) >= len(steps) - 2 * recipes[0].num_inference_steps  # nothing to see in the prior of an UnCLIP
    for picture in shown:
        assert picture.dtype == np.uint8
        assert len(picture) <= len(recipes)
        assert picture.shape[1] == picture.shape[2] <= 128
        assert picture.std() > 0


@pytest.mark.parametrize("sampler", OFFERED)
def test_the_last_preview_resembles_its_own_picture_more_than_its_neighbours(sampler):
    loaded = load(BUNDLED)
    assert loaded.spec.offered == OFFERED
    recipes = [recipe(loaded, 3, prompt=p, scheduler=sampler, num_inference_steps=8) for p in ("a rocket", "a burger")]
    events = list(engine.generate(loaded, recipes, previews=True))
    made = {event.index: np.asarray(event.image) for event in events if isinstance(event, Finished)}
    steps = [event for event in events if isinstance(event, Step)]
    alike = [[likeness(one, made[index]) for index in range(2)] for one in steps[-1].previews]
    assert alike[0][0] > 0.8 > alike[0][1]
    assert alike[1][1] > 0.8 > alike[1][0]
    # The clean picture is foreseen long before the noise is gone.
    assert likeness(steps[len(steps) // 2].previews[0], made[0]) > 0.6


def test_a_watched_round_that_is_stopped_leaves_the_next_one_exact(loaded):
    recipes = [recipe(loaded, seed, lanes=1) for seed in range(4)]
    whole, stop, kept, after = pictures(loaded, recipes), threading.Event(), [], 0
    for event in engine.generate(loaded, [replace(r, num_inference_steps=3) for r in recipes], stop, True):
        if isinstance(event, Finished):
            kept.append(event.image.tobytes())
            stop.set()
        after += stop.is_set() and isinstance(event, Step)
    assert kept == whole[:1]
    assert after <= 1
    assert pictures(loaded, recipes) == watched(loaded, recipes)[0] == whole


def test_a_decoder_that_no_linear_map_follows_is_asked_itself_for_a_small_part_of_the_time(monkeypatch):
    loaded = load(BUNDLED)
    assert preview.fit(loaded.pipe.vae) is None
    monkeypatch.setattr(preview, "DEAR", 20)
    many = recipe(loaded, 3, prompt="a rocket", num_inference_steps=30, lanes=1)
    now = [0.0]

    def decoded(vae, latents, real=preview._decoded):
        now[0] += 1  # a decoder that takes a second, where nothing else takes time
        return real(vae, latents)

    monkeypatch.setattr(preview, "_decoded", decoded)
    monkeypatch.setattr(preview.Watcher.__init__, "__defaults__", (lambda: now[0],))
    preview._takes.pop(loaded.pipe.vae, None)
    seen = []
    for event in engine.generate(loaded, [many], previews=True):
        if isinstance(event, Step):
            seen.append(event.previews is not None)
        now[0] += 1
    assert seen[0]
    assert seen.count(True) == 2


def test_nobody_pays_for_previews_that_were_not_asked_for(loaded, monkeypatch):
    monkeypatch.setattr(preview, "fit", lambda vae: pytest.fail("fitted"))
    events = list(engine.generate(loaded, [recipe(loaded)]))
    assert all(event.previews is None for event in events if isinstance(event, Step))


def test_previews_are_no_more_frequent_than_a_page_shows_them(loaded, monkeypatch):
    monkeypatch.setattr(preview, "EVERY", 3600.0)
    _, steps = watched(loaded, [recipe(loaded, num_inference_steps=9)])
    assert [step.previews is not None for step in steps] == [True] + [False] * 8


def test_the_fit_neither_reads_nor_moves_global_random_state_and_leaves_the_decoder_as_it_is(
    tiny_sd_folder, monkeypatch
):
    monkeypatch.setattr(preview, "_FOLLOWS", 0.0)  # an untrained decoder is like no linear map
    vae = load(tiny_sd_folder).pipe.vae.to(torch.bfloat16)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    torch.manual_seed(1)
    first = preview._fit(vae)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)
    torch.manual_seed(2)
    assert torch.equal(preview._fit(vae), first)
    assert all(
        value.dtype == torch.bfloat16 and torch.equal(value, before[name]) for name, value in vae.state_dict().items()
    )


def test_large_latents_give_no_larger_previews(loaded, monkeypatch):
    monkeypatch.setattr(preview, "_FOLLOWS", 0.0)
    weights = preview._fit(loaded.pipe.vae)
    channels = loaded.pipe.vae.config.latent_channels
    for side, expected in ((8, 32), (16, 64), (32, 64), (64, 64), (128, 128), (200, 100)):
        latents = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(0))
        assert preview._as_bytes(preview.projected(latents, weights)).shape == (1, expected, expected, 3)
    # One pixel a latent is the mean of that latent's patch.
    latents = torch.randn(1, channels, 64, 64, generator=torch.Generator().manual_seed(0))
    small = preview.projected(latents, weights)
    part = preview.projected(latents[..., :16, :16], weights)
    means = torch.nn.functional.avg_pool2d(part, 4)
    assert torch.allclose(small[..., :15, :15], means[..., :15, :15], atol=1e-4)


def test_previews_come_back_from_a_borrowed_gpu(tiny_sd_folder):
    settings = Settings(model=str(tiny_sd_folder))
    models = Models(settings, start(settings))
    models.preload()
    asked = [recipe(models.in_memory())]
    events = []
    zero_gpu.lent(models)(models.in_memory(), asked, threading.Event(), True, events.append)
    steps = [event for event in events if isinstance(event, Step)]
    again = pickle.loads(pickle.dumps(steps[0]))
    assert np.array_equal(again.previews, steps[0].previews)
