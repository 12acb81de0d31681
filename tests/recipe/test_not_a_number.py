"""Numbers that are none: they are refused in a sentence, and are never called a picture."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

from pipeline_utils.api import endpoints
from pipeline_utils.engine import engine
from pipeline_utils.engine.call import lanes_agree
from pipeline_utils.engine.events import Finished, Refused
from pipeline_utils.errors import UserError
from pipeline_utils.page.rounds.handlers import Handlers
from pipeline_utils.page.running import Player
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.picture.picture import Lineage, Picture
from pipeline_utils.proof.experiment import run
from pipeline_utils.proof.experiments import EXPERIMENTS
from pipeline_utils.proof.replay import verify
from pipeline_utils.proof.shared_model import SharedModel
from pipeline_utils.proof.verdict import Claim
from pipeline_utils.recipe.ask import Ask
from tests import tiny
from tests.making import load, pictures, recipe, studio

WORDS = r"num_inference_steps: 4 is not accepted; Euler a works with 3 or 5, as this model configures it"


@pytest.fixture(scope="module")
def unlucky(tiny_sd_folder, tmp_path_factory):
    """A model whose sampler divides by zero at four steps, and at no others."""
    pipe = StableDiffusionPipeline.from_pretrained(tiny_sd_folder)
    pipe.scheduler = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="squaredcos_cap_v2", use_lu_lambdas=True
    )
    folder = tmp_path_factory.mktemp("models") / "unlucky"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture
def here(unlucky, tmp_path):
    return studio(unlucky, tmp_path)


def spoiled(pipe, part: str, number: float, lanes: int):
    """Makes one number of the second picture of every call no number; with guidance a call has it twice."""

    def hook(_module, _inputs, output):
        found = output if torch.is_tensor(output) else output[0]
        for place in range(1, len(found), lanes):
            found[place, ..., 3] = number
        return output

    first, _, rest = part.partition(".")
    return getattr(pipe, first).get_submodule(rest).register_forward_hook(hook)


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("family", "part", "number"),
    [
        ("sd", "vae.decoder", NAN),
        ("sd", "vae.decoder", INFINITY),
        ("sd", "unet", NAN),
        ("sd", "unet", INFINITY),
        ("sdxl", "vae.decoder", INFINITY),
        ("sd3", "vae.decoder", NAN),
        ("flux", "vae.decoder", NAN),
        ("unclip", "super_res_last", NAN),
        ("unclip", "decoder", INFINITY),
    ],
)
def test_a_picture_that_is_no_number_is_refused_and_the_rest_of_the_round_goes_on(family, part, number, tmp_path):
    loaded = load(getattr(tiny, f"tiny_{family}")(tmp_path / family))
    recipes = [recipe(loaded, seed, num_inference_steps=2, lanes=3) for seed in range(3)]
    sound = pictures(loaded, recipes)
    with spoiled(loaded.pipe, part, number, 3):
        events = list(engine.generate(loaded, recipes, previews=True))
    found = {event.index: event.image.tobytes() for event in events if isinstance(event, Finished)}
    assert found == {0: sound[0], 2: sound[2]}
    (refused,) = [event for event in events if isinstance(event, Refused)]
    assert refused.index == 1
    assert "Seed 1 gives no picture with 2 steps" in refused.reason
    assert pictures(loaded, recipes) == sound


def test_a_variation_that_is_no_number_is_refused(tiny_sd_folder):
    loaded = load(tiny_sd_folder)
    recipes = [recipe(loaded, 5, variation_seed=n, variation_strength=0.3, lanes=2) for n in (7, 8)]
    sound = pictures(loaded, recipes)
    with spoiled(loaded.pipe, "vae.decoder", float("nan"), 2):
        events = list(engine.generate(loaded, recipes))
    assert [event.image.tobytes() for event in events if isinstance(event, Finished)] == sound[:1]
    assert [event.index for event in events if isinstance(event, Refused)] == [1]


def test_an_unlucky_number_of_steps_is_a_sentence_for_programs(here):
    first_round = endpoints(here)["first_round"]
    with pytest.raises(UserError, match=WORDS):
        first_round("a red fox", "0-1", num_inference_steps=4, sampler="Euler a")
    assert len(first_round("a red fox", "0-1", num_inference_steps=5, sampler="Euler a")["pictures"]) == 2


def test_programs_get_the_rest_of_a_round_and_the_reason_for_what_is_missing(tiny_sd_folder, tmp_path):
    here = studio(tiny_sd_folder, tmp_path)
    with here.models.use(here.models.default) as loaded, spoiled(loaded.pipe, "vae.decoder", float("nan"), 4):
        answer = endpoints(here)["first_round"]("a red fox", "0-3", num_inference_steps=1)
    kept = [entry for entry in answer["pictures"] if "id" in entry]
    assert [entry["seed"] for entry in kept] == [0, 2, 3]
    missing = answer["pictures"][1]
    assert "Seed 1 gives no picture" in missing["refused"]
    assert not {"id", "file", "pixel_sha256"} & set(missing)


def test_the_page_keeps_the_rest_of_the_round_and_says_why_one_is_missing(tiny_sd_folder, tmp_path):
    here = studio(tiny_sd_folder, tmp_path)
    handlers, visit, parts = Handlers(here, Player(here)), Visit(here.models.default), {}
    asked = Ask("a red fox", num_inference_steps=1, guidance_scale=5.0)
    steps = handlers.first_round(visit, asked, SimpleNamespace(session_hash="a"))
    with (
        here.models.use(here.models.default) as loaded,
        spoiled(loaded.pipe, "vae.decoder", float("nan"), 4),
        pytest.raises(UserError, match="Seed 1 gives no picture"),
    ):
        parts.update((name, part) for step in steps for name, part in step.items())
    assert "3 pictures in" in parts["status"]
    assert "1 of 4 came out as none" in parts["status"]
    assert [place.recipe.seed for place in visit.shown.round.places] == [0, 2, 3]
    assert parts["make"]["interactive"]


def test_verify_of_a_black_picture_made_of_no_numbers_says_so(here, unlucky):
    with here.models.use(here.models.default) as loaded:
        asked = recipe(loaded, num_inference_steps=4, scheduler="EulerAncestralDiscreteScheduler", lanes=1)
        made_by = engine.fingerprint(loaded.device)
    # What an earlier version saved: the black that not-a-number becomes.
    black = Picture.make(Image.new("RGB", (asked.width, asked.height)), asked, made_by, Lineage())
    with pytest.raises(UserError, match=WORDS):
        verify(here, Claim(asked, black.image, black.pixel_sha256, made_by))


def test_slots_of_a_broken_model_are_not_taken_for_slots_that_disagree(tiny_sd_folder):
    loaded = load(tiny_sd_folder)
    with torch.no_grad():
        loaded.pipe.vae.decoder.conv_out.weight.fill_(float("nan"))
    assert lanes_agree(loaded)


def test_an_experiment_on_a_broken_model_is_said_to_have_failed(tiny_sd_folder):
    loaded = load(tiny_sd_folder)
    with torch.no_grad():
        loaded.pipe.vae.decoder.conv_out.weight.fill_(float("nan"))
    wanted = [each for each in EXPERIMENTS if each.id in ("cpu-generator", "slots")]
    results = [result for _, result in run(wanted, SharedModel(loaded)) if result is not None]
    assert [result.ok for result in results] == [False, False]
    assert all("gives no picture" in result.text for result in results)
