"""Samplers made from a model's own: what they mean, which are offered, and which step counts work."""

import json
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from diffusers import SchedulerMixin, StableDiffusionPipeline

from pipeline_utils.engine.call import clone
from pipeline_utils.engine.script import as_python
from pipeline_utils.errors import InputError
from pipeline_utils.models import samplers
from pipeline_utils.models.catalog import SAMPLERS
from pipeline_utils.models.sources import resolve
from tests import tiny
from tests.making import load, pictures, recipe

STEPS = (1, 2, 3, 4, 5, 8, 20, 31, 50)
# What a class needs said, where its defaults are not enough to make one.
NEEDED = {
    "AmusedScheduler": {"mask_token_id": 3},
    "VQDiffusionScheduler": {"num_vec_classes": 4},
}


def _classes() -> list[str]:
    found = [name for name in dir(diffusers) if name.endswith("Scheduler") and not name.startswith("Flax")]
    found.remove("RFD4ProteinaScheduler")  # makes proteins
    return [name for name in found if not getattr(getattr(diffusers, name), "_backends", None)]


def with_scheduler(folder, kind: str, **config):
    """`folder` with a scheduler's configuration as a person writes it: what is left out is the class's default."""
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps({"_class_name": kind, **config}))
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", kind]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def numbers(loaded, asked) -> np.ndarray:
    return np.frombuffer(pictures(loaded, [asked])[0], np.uint8).astype(int)


@pytest.mark.parametrize("kind", _classes())
def test_every_sampler_offered_for_every_own_one_ends_in_numbers_or_is_refused_before_work(kind):
    """The second table: gone through as StableDiffusionPipeline does, with a few numbers for latents."""
    own = getattr(diffusers, kind)(**NEEDED.get(kind, {}))
    if not isinstance(own, SchedulerMixin) or not hasattr(own, "config"):
        return  # no part of a pipeline
    offered = samplers.offered(own, SAMPLERS.values())
    assert offered[0] == kind
    for name in offered[1:]:
        worked = 0
        for count in STEPS:
            scheduler = samplers.build(own, name)
            if not samplers.steps(own, name, count):
                continue
            worked += 1
            draw = torch.Generator().manual_seed(1)
            scheduler.set_timesteps(count)
            latents = torch.randn(1, 4, 4, 4, generator=draw)
            if not name.startswith("Flow"):
                latents *= scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                given = latents if name.startswith("Flow") else scheduler.scale_model_input(latents, t)
                latents = scheduler.step(0.5 * given, t, latents).prev_sample
            assert latents.isfinite().all(), (name, count)
        assert worked >= len(STEPS) - 3, name


@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize("kind", ["DEISMultistepScheduler", "HeunDiscreteScheduler", "TCDScheduler"])
def test_the_table_is_that_of_whole_pictures(tiny_sd_folder, kind, count):
    loaded = load(tiny_sd_folder)
    loaded.pipe.scheduler = samplers.build(loaded.pipe.scheduler, kind)
    offered = samplers.offered(loaded.pipe.scheduler, loaded.spec.schedulers)
    loaded = replace(loaded, spec=replace(loaded.spec, scheduler=kind, own_scheduler=kind, offered=offered))
    for name in offered:
        asked = recipe(loaded, scheduler=name, num_inference_steps=count, lanes=1)
        if not samplers.steps(loaded.pipe.scheduler, name, count) or (name == "PNDMScheduler" and count < 4):
            with pytest.raises(InputError, match="num_inference_steps"):
                pictures(loaded, [asked])
        else:
            assert numbers(loaded, asked).std() > 5


def test_ddim_from_eulers_configuration_clips_nothing(tmp_path):
    folder = with_scheduler(tiny.tiny_sd(tmp_path / "m"), "EulerDiscreteScheduler", beta_schedule="scaled_linear")
    loaded = load(folder)
    euler, ddim = (
        numbers(loaded, recipe(loaded, scheduler=name, num_inference_steps=50))
        for name in ("EulerDiscreteScheduler", "DDIMScheduler")
    )
    assert clone(loaded.pipe, "DDIMScheduler").scheduler.config.clip_sample is False
    assert abs(euler - ddim).max() <= 3


@pytest.mark.parametrize("kind", ["PNDMScheduler", "DDIMScheduler", "KDPM2DiscreteScheduler", "DDPMScheduler"])
@pytest.mark.parametrize("other", list(SAMPLERS.values())[:7])
def test_a_default_of_the_models_own_class_is_kept_by_another(kind, other):
    """Clipping, spacing, betas, prediction type: what the configuration file leaves to its class."""
    own = getattr(diffusers, kind).from_config({"prediction_type": "v_prediction"})
    built = samplers.build(own, other)
    for name in ("timestep_spacing", "beta_start", "beta_end", "prediction_type", "clip_sample", "steps_offset"):
        if name in built.config:
            assert built.config[name] == own.config.get(name, samplers.SILENT.get(name)), name


def test_what_a_pipeline_sets_on_its_own_sampler_stays_set(tmp_path):
    """StableDiffusionPipeline switches the clipping off that a bare DDIM configuration has by default."""
    folder = with_scheduler(tiny.tiny_sd(tmp_path / "m"), "DDIMScheduler")
    loaded = load(folder)
    assert clone(loaded.pipe, "DDIMScheduler").scheduler.config.clip_sample is False
    plain = StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    plain.set_progress_bar_config(disable=True)
    asked = recipe(loaded, num_inference_steps=4)
    draw = [torch.Generator().manual_seed(asked.seed)]
    size = {"width": asked.width, "height": asked.height, "guidance_scale": asked.guidance_scale}
    image = plain([asked.prompt], generator=draw, num_inference_steps=4, **size).images[0]
    assert pictures(loaded, [replace(asked, lanes=1)]) == [image.tobytes()]


OWN = ["KDPM2DiscreteScheduler", "DEISMultistepScheduler", "HeunDiscreteScheduler", "SASolverScheduler", "TCDScheduler"]


@pytest.mark.parametrize("kind", OWN)
def test_a_sampler_that_is_not_in_the_list_is_kept_and_offered_by_name(tmp_path, kind):
    folder = with_scheduler(tiny.tiny_sd(tmp_path / "m"), kind, beta_schedule="scaled_linear")
    assert resolve(str(folder)).scheduler == kind
    loaded = load(folder)
    assert loaded.spec.schedulers[0] == recipe(loaded).scheduler == kind
    assert {"DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"} < set(loaded.spec.schedulers)
    assert numbers(loaded, recipe(loaded)).std() > 5


def test_a_setting_of_the_model_that_a_sampler_does_not_know_keeps_it_from_being_offered():
    zero_snr = diffusers.DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    offered = samplers.offered(zero_snr, SAMPLERS.values())
    assert "PNDMScheduler" not in offered
    assert "EulerDiscreteScheduler" in offered


@pytest.mark.parametrize(
    ("kind", "config", "sampler", "count", "said"),
    [
        ("LCMScheduler", {}, "LCMScheduler", 51, "LCM takes at most 50"),
        ("DDIMScheduler", {}, "PNDMScheduler", 3, "PNDM takes 4 or more"),
        (
            "DPMSolverMultistepScheduler",
            {"beta_schedule": "squaredcos_cap_v2", "use_karras_sigmas": True},
            "DPMSolverMultistepScheduler",
            20,
            r"DPM-Solver\+\+ 2M takes at most",
        ),
    ],
)
def test_a_step_count_that_would_fail_is_refused_in_a_sentence_before_work(
    tmp_path, kind, config, sampler, count, said
):
    loaded = load(with_scheduler(tiny.tiny_sd(tmp_path / "m"), kind, **config))
    with pytest.raises(InputError, match=f"num_inference_steps: {count} is not accepted; {said}"):
        pictures(loaded, [recipe(loaded, scheduler=sampler, num_inference_steps=count)])


def test_an_unclip_of_one_step_is_refused_before_work(tmp_path):
    loaded = load(tiny.tiny_unclip(tmp_path / "m"))
    with pytest.raises(InputError, match="num_inference_steps: 1 is not accepted; UnCLIP takes 2 or more"):
        pictures(loaded, [recipe(loaded, num_inference_steps=1)])


def test_the_script_builds_the_same_sampler(tmp_path):
    folder = with_scheduler(tiny.tiny_sd(tmp_path / "m"), "DEISMultistepScheduler", beta_schedule="scaled_linear")
    loaded = load(folder)
    pipe = StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    for name in loaded.spec.schedulers[1:]:
        script = as_python([recipe(loaded, scheduler=name)], loaded.spec, {})
        lines = script[script.index("config = {") : script.index("prompts =")]
        here = {"pipe": StableDiffusionPipeline(**pipe.components, requires_safety_checker=False)}
        exec(lines, {name: getattr(diffusers, name)}, here)
        theirs, ours = (dict(each.config) for each in (here["pipe"].scheduler, samplers.build(pipe.scheduler, name)))
        assert {key: theirs[key] for key in ours if key != "_use_default_values"} == {
            key: value for key, value in ours.items() if key != "_use_default_values"
        }
    assert "from_config" not in as_python([recipe(loaded)], loaded.spec, {})
