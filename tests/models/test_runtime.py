"""Every supported class, saved and loaded and run by the app, against plain diffusers."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch

from pipeline_utils.engine import engine
from pipeline_utils.errors import InputError
from pipeline_utils.models import runtime
from pipeline_utils.models.catalog import SAMPLERS
from pipeline_utils.models.sources import resolve
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings
from tests import tiny

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(device="cpu")
DEVICE = runtime.Device("cpu", False, "none")

# The settings of the plain call, by what makes the model, written out by hand.
PLAIN = {"num_inference_steps": 2, "guidance_scale": 4.5, "width": 32, "height": 48}
CALLS = {
    "tiny_sd": PLAIN,
    "tiny_sdxl": PLAIN,
    "tiny_sd3": PLAIN,
    "tiny_flux": PLAIN,
    "tiny_unclip": {
        "prior_num_inference_steps": 2,
        "decoder_num_inference_steps": 2,
        "decoder_guidance_scale": 4.5,
    },
}
PROMPT = "a smiling cat with a red hat"


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Two threads make tiny layers slower, not faster."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """load("tiny_sd"): the model made, saved and loaded once for all tests here."""
    known = {}

    def load(kind: str) -> runtime.Loaded:
        if kind not in known:
            source = getattr(tiny, kind)(tmp_path_factory.mktemp("models") / kind)
            known[kind] = runtime.load(resolve(str(source)), SETTINGS, DEVICE)
        return known[kind]

    return load


def recipes(loaded: runtime.Loaded, seeds, **changes) -> list[Recipe]:
    height = 32 if loaded.spec.family == "UnCLIPPipeline" else 48
    values = {"num_inference_steps": 2, "guidance_scale": 4.5, "width": 32, "height": height, "lanes": 2, **changes}
    return [loaded.recipe(PROMPT, seed, **values) for seed in seeds]


def made(loaded: runtime.Loaded, asked: list[Recipe]) -> list[np.ndarray]:
    events = engine.generate(loaded, asked)
    found = {event.index: np.asarray(event.image) for event in events if isinstance(event, engine.Finished)}
    return [found[index] for index in range(len(asked))]


def plain_pipeline(folder: str, scheduler: str | None = None):
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    if scheduler:
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    return pipe


def called(pipe, seeds, **call) -> list[np.ndarray]:
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    images = pipe(prompt=[PROMPT] * len(seeds), generator=generators, **call).images
    return [np.asarray(image) for image in images]


def equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


@pytest.mark.parametrize("kind", CALLS)
def test_every_class_gives_the_pixels_of_plain_diffusers(load, kind):
    loaded = load(kind)
    ours = made(loaded, recipes(loaded, [0, 2**32 - 1, 7]))
    pipe = plain_pipeline(loaded.spec.source)
    # Two pictures ride in one call; the third rides with a copy of itself.
    theirs = called(pipe, [0, 2**32 - 1], **CALLS[kind]) + called(pipe, [7, 7], **CALLS[kind])[:1]
    assert equal(ours, theirs)
    assert not any(np.array_equal(ours[0], other) for other in ours[1:])


@pytest.mark.parametrize("kind", CALLS)
def test_every_class_reports_as_many_steps_as_it_announces(load, kind):
    loaded = load(kind)
    events = list(engine.generate(loaded, recipes(loaded, [1, 2, 3])))
    steps = [event for event in events if isinstance(event, engine.Step)]
    assert [step.done for step in steps] == list(range(1, steps[-1].total + 1))


@pytest.mark.parametrize("kind", CALLS)
def test_the_size_of_a_spec_is_the_size_the_pipeline_itself_would_take(load, kind):
    loaded = load(kind)
    pipe = loaded.pipe
    if kind == "tiny_unclip":
        side = pipe.super_res_last.config.sample_size
    elif kind == "tiny_sd":
        side = pipe.unet.config.sample_size * pipe.vae_scale_factor
    else:
        side = pipe.default_sample_size * pipe.vae_scale_factor
    assert (loaded.spec.width, loaded.spec.height) == (side, side)


@pytest.mark.parametrize("kind", ["tiny_sd", "tiny_sdxl", "tiny_sd3"])
def test_a_negative_prompt_counts_and_is_the_one_of_plain_diffusers(load, kind):
    loaded = load(kind)
    ours = made(loaded, recipes(loaded, [3, 4], negative_prompt="blue dog"))
    call = {**CALLS[kind], "negative_prompt": ["blue dog"] * 2}
    assert equal(ours, called(plain_pipeline(loaded.spec.source), [3, 4], **call))
    assert not equal(ours, made(loaded, recipes(loaded, [3, 4])))


@pytest.mark.parametrize("kind", ["tiny_flux", "tiny_unclip"])
def test_a_negative_prompt_is_refused_where_the_model_takes_none(load, kind):
    loaded = load(kind)
    with pytest.raises(InputError, match=r"negative_prompt: 'blue dog' is not accepted; \S+ takes none"):
        made(loaded, recipes(loaded, [3], negative_prompt="blue dog"))


@pytest.mark.parametrize("label", [label for label in SAMPLERS if label not in ("Flow Euler", "UnCLIP")])
def test_every_sampler_is_built_from_the_model_and_gives_the_pixels_of_plain_diffusers(load, label):
    loaded = load("tiny_sd")
    if label == "LCM":
        loaded = replace(loaded, spec=replace(loaded.spec, extra_schedulers=("LCMScheduler",)))
    scheduler = SAMPLERS[label]
    ours = made(loaded, recipes(loaded, [5, 6], scheduler=scheduler, num_inference_steps=4))
    call = {**PLAIN, "num_inference_steps": 4}
    pipe = plain_pipeline(loaded.spec.source, scheduler)
    assert pipe.scheduler.config.beta_end == 0.012
    assert equal(ours, called(pipe, [5, 6], **call))


@pytest.mark.parametrize("label", ["Euler a", "LCM", "DDIM"])
def test_a_picture_does_not_depend_on_its_neighbours_or_its_lane(load, label):
    loaded = load("tiny_sd")
    loaded = replace(loaded, spec=replace(loaded.spec, extra_schedulers=("LCMScheduler",)))

    def alone(seeds):
        return made(loaded, recipes(loaded, seeds, scheduler=SAMPLERS[label], num_inference_steps=3))

    (picture,) = alone([5])
    assert np.array_equal(picture, alone([5, 9])[0])
    assert np.array_equal(picture, alone([1, 5])[1])
    assert np.array_equal(picture, alone([1, 2, 5])[2])


def test_samplers_differ_from_each_other(load):
    loaded = load("tiny_sd")
    names = [SAMPLERS[label] for label in ("DDIM", "DPM-Solver++ 2M", "Euler", "Euler a", "UniPC", "PNDM")]
    found = {made(loaded, recipes(loaded, [5], scheduler=n, num_inference_steps=4))[0].tobytes() for n in names}
    assert len(found) >= 5  # Euler and DDIM are the same in exact arithmetic


def test_a_sampler_that_the_model_does_not_know_is_refused(load):
    loaded = load("tiny_sd3")
    with pytest.raises(InputError, match=r"sampler: 'DDIM' is not accepted; .* works with Flow Euler"):
        made(loaded, recipes(loaded, [5], scheduler="DDIMScheduler"))


def test_a_single_checkpoint_gives_the_pixels_of_the_folder_it_was_made_from(load, tmp_path):
    folder = tiny.tiny_sd(tmp_path / "same")
    file = tiny.tiny_single_file(tmp_path)
    loaded = runtime.load(resolve(str(file)), SETTINGS, DEVICE)
    assert (loaded.spec.name, loaded.spec.family, loaded.spec.width) == ("local:tiny", "StableDiffusionPipeline", 32)
    ours = made(loaded, recipes(loaded, [0, 1]))
    assert equal(ours, called(plain_pipeline(folder), [0, 1], **PLAIN))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_loaded_in_the_number_format_that_was_set(tiny_sd_folder, dtype):
    loaded = runtime.load(resolve(str(tiny_sd_folder)), replace(SETTINGS, dtype=dtype, lanes=3), DEVICE)
    assert (loaded.dtype, loaded.lanes) == (dtype, 3)
    parts = (loaded.pipe.unet, loaded.pipe.vae, loaded.pipe.text_encoder)
    assert {str(part.dtype) for part in parts} == {f"torch.{dtype}"}
    assert made(loaded, recipes(loaded, [0]))[0].std() > 5


def test_a_local_model_needs_no_download(tiny_sd_folder):
    assert runtime.is_downloaded(resolve(str(tiny_sd_folder)))
    assert not runtime.is_downloaded(resolve("nobody/has-this-model"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(("setting", "value"), [("device", "cuda"), ("noise_device", "cuda"), ("offload", "model")])
def test_settings_that_need_a_gpu_are_refused_without_one(setting, value):
    with pytest.raises(InputError, match=rf"{setting}: '{value}' is not accepted; .*GPU"):
        runtime.start(Settings(**{setting: value}))


def test_a_fingerprint_names_versions_and_hardware():
    found = runtime.fingerprint(DEVICE)
    assert found["torch"] == torch.__version__
    assert found["diffusers"] == diffusers.__version__
    assert found["threads"] == 1
    assert {"transformers", "device", "system", "cpu_capability"} <= found.keys()
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("full", [False, True])
def test_what_a_gpu_needs_for_equal_runs_is_set_at_every_start(monkeypatch, tf32, full):
    """Also without full determinism, which the proofs switch on when CUDA has long started."""
    for name in runtime.WORKSPACES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda state: None)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    asked = []  # whether CUDA was touched before, since cuBLAS reads its settings once
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append("CUBLAS_WORKSPACE_CONFIG" in os.environ))
    runtime.start(replace(SETTINGS, device="auto", full_determinism=full))
    assert set(asked) == {True}
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert os.environ["CUBLASLT_WORKSPACE_SIZE"] == "32768"
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert not torch.utils.deterministic.fill_uninitialized_memory


FULL = """
import json, sys
import torch
from pipeline_utils.models import runtime
from pipeline_utils.models.sources import resolve
from pipeline_utils.settings import Settings

settings = Settings(device="cpu", threads=1, full_determinism=True)
device = runtime.start(settings)
sizes = []
for folder in sys.argv[1:]:
    loaded = runtime.load(resolve(folder), settings, device)
    size = {} if loaded.spec.family == "UnCLIPPipeline" else {"num_inference_steps": 1, "width": 32, "height": 32}
    sizes.append(loaded.pipe("a cat", generator=torch.Generator().manual_seed(0), **size).images[0].size)
print(json.dumps({
    "algorithms": torch.are_deterministic_algorithms_enabled(),
    "cudnn": torch.backends.cudnn.deterministic,
    "benchmark": torch.backends.cudnn.benchmark,
    "tf32": [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32],
    "threads": torch.get_num_threads(),
    "recorded": device.full_determinism,
    "sizes": sizes,
}))
"""


def test_full_determinism_sets_every_switch_and_every_class_runs_under_it(load):
    folders = [load(kind).spec.source for kind in CALLS]
    process = subprocess.run(
        [sys.executable, "-c", FULL, *folders], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert json.loads(process.stdout.splitlines()[-1]) == {
        "algorithms": True,
        "cudnn": True,
        "benchmark": False,
        "tf32": [False, False],
        "threads": 1,
        "recorded": True,
        "sizes": [[32, 32]] * 5,
    }
