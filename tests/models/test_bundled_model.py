"""The model that comes with the project, as people will use it."""

import json
import re

import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline

from pipeline_utils.models.catalog import BUNDLED as NAME
from pipeline_utils.models.catalog import SAMPLERS
from pipeline_utils.models.sources import resolve
from tests.running import BUNDLED


def painted(pipe, prompt="a burger", **call) -> bytes:
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(0)
    return pipe(prompt, generator=generator, num_inference_steps=2, **call).images[0].tobytes()


def test_it_is_a_genuine_pipeline_that_loads_without_any_option():
    plain = DiffusionPipeline.from_pretrained(BUNDLED)
    assert type(plain) is StableDiffusionPipeline
    named = DiffusionPipeline.from_pretrained(BUNDLED, dtype=torch.float32, use_safetensors=True)
    assert painted(plain) == painted(named)
    assert painted(plain) != painted(plain, "a penguin")


def test_it_is_small_and_in_safetensors_only():
    files = [file for file in BUNDLED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 64 * 2**20
    assert not [file.name for file in files if file.suffix in (".bin", ".ckpt", ".pt", ".pth", ".pkl")]


def test_its_own_values_are_those_the_app_starts_with():
    own, spec = json.loads((BUNDLED / "second_round.json").read_text()), resolve(NAME)
    assert own["num_inference_steps"] == spec.num_inference_steps
    assert own["guidance_scale"] == spec.guidance_scale
    assert SAMPLERS[own["sampler"]] == spec.scheduler
    assert tuple(own["default_suffixes"]) == spec.suffixes
    assert tuple(own["example_prompts"]) == spec.examples
    assert set(own) == {
        *("num_inference_steps", "guidance_scale", "sampler", "width", "height"),
        *("default_suffixes", "example_prompts"),
    }


def test_its_card_names_every_set_that_its_licence_names():
    card, licence = ((BUNDLED / name).read_text("utf-8") for name in ("README.md", "LICENSE"))
    named = re.findall(r"^- .*?([@\w/-]+) (\d+\.\d+\.\d+), ", licence, re.MULTILINE)
    assert len(named) >= 6
    for package, version in named:
        assert f"{package} {version}" in card
