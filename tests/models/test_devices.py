"""Which device a start means, and what is asked of GPUs that this machine does not have: torch is told to have them."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from pipeline_utils.engine import engine
from pipeline_utils.engine.call import arguments, slerp
from pipeline_utils.engine.script import as_python
from pipeline_utils.errors import InputError
from pipeline_utils.models import devices, runtime
from pipeline_utils.models.load_errors import ran_out
from pipeline_utils.recipe.recipe import NOISE_DEVICES
from pipeline_utils.settings import Settings
from tests.making import load, recipe
from tests.running import ROOT


@pytest.fixture
def gpus(monkeypatch):
    """gpus("mps"): this machine has a GPU of these types, as far as torch is asked whether it has."""

    def have(*kinds: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in kinds)
        monkeypatch.setattr(torch.xpu, "is_available", lambda: "xpu" in kinds)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)

    have()
    return have


@pytest.fixture
def visible(monkeypatch):
    """visible("2,3"): what CUDA_VISIBLE_DEVICES says when the app starts. It is put back afterwards."""

    def say(text: str) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)

    say("")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    return say


@pytest.mark.parametrize("kind", devices.GPUS)
def test_a_gpu_that_is_asked_for_is_used_with_its_own_generator(gpus, kind):
    gpus(kind)
    assert runtime.start(Settings(device=kind, noise_device=kind)).type == kind


@pytest.mark.parametrize("kind", devices.GPUS)
def test_a_gpu_that_is_not_here_is_refused_by_its_name(gpus, kind):
    gpus(*devices.GPUS.keys() - {kind})
    with pytest.raises(
        InputError, match=f"device: '{kind}' is not accepted; PyTorch finds no such {devices.GPUS[kind]}"
    ):
        runtime.start(Settings(device=kind))


def test_the_device_is_chosen_for_nobody_but_where_it_was_tried(gpus):
    gpus("mps", "xpu")
    assert devices.choose(Settings()) == "cpu"
    gpus("cuda", "xpu")
    assert devices.choose(Settings()) == "cuda"


@pytest.mark.parametrize(("device", "noise"), [("mps", "cuda"), ("xpu", "mps"), ("cuda", "xpu"), ("cpu", "xpu")])
def test_noise_of_another_device_than_the_models_is_refused(gpus, device, noise):
    gpus(*devices.GPUS)
    with pytest.raises(InputError, match=f"noise_device: '{noise}' .* run on the {devices.GPUS[noise]} too"):
        runtime.start(Settings(device=device, noise_device=noise))


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_parts_are_moved_to_cuda_gpus_only(gpus, kind):
    gpus(*devices.GPUS)
    with pytest.raises(InputError, match="only a CUDA GPU has parts to offload"):
        runtime.start(Settings(device=kind, offload="model"))
    assert runtime.start(Settings(device="cuda:0", offload="model")).offload == "model"


@pytest.mark.parametrize(
    ("before", "device", "seen"), [(None, "cuda:1", "1"), ("2,3", "cuda:1", "3"), ("7", "cuda:0", "7")]
)
def test_a_numbered_gpu_is_the_only_one_of_the_process_when_cuda_is_first_asked(
    visible, monkeypatch, before, device, seen
):
    asked = []
    if before is not None:
        visible(before)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(os.environ["CUDA_VISIBLE_DEVICES"]) or True)
    assert runtime.start(Settings(device=device)).type == "cuda"
    assert asked
    assert set(asked) == {seen}


@pytest.mark.parametrize("before", ["", "0", "GPU-5f2c"])
def test_a_numbered_gpu_that_is_hidden_is_refused(visible, gpus, before):
    visible(before)
    gpus("cuda")
    with pytest.raises(InputError, match=rf"device: 'cuda:1' .*CUDA_VISIBLE_DEVICES={before} shows no GPU"):
        runtime.start(Settings(device="cuda:1"))


def test_no_import_asks_cuda_for_its_gpus_before_the_start_says_which_there_are():
    code = """
import torch
asked = []
for name in ("is_available", "device_count", "init", "_lazy_init", "get_device_properties"):
    setattr(torch.cuda, name, lambda *_, name=name: asked.append(name))
import pipeline_utils.page.page, pipeline_utils.proof.replay, pipeline_utils.engine.zero_gpu
print("asked", asked)
"""
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "asked []"


def test_a_fingerprint_names_apples_gpu_and_its_system(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "get_name", lambda: "Apple M9")
    monkeypatch.setattr(devices.platform, "mac_ver", lambda: ("31.2", ("", "", ""), "arm64"))
    found = runtime.fingerprint(runtime.Device("mps", False, "none"))
    assert found["device"] == "Apple M9"
    assert found["mps"] == "31.2"
    assert not {"cuda", "threads"} & found.keys()


def test_a_fingerprint_names_intels_gpu_and_its_driver(monkeypatch):
    about = SimpleNamespace(name="Intel Arc B999", driver_version="1.6.3")
    monkeypatch.setattr(torch.xpu, "get_device_properties", lambda: about)
    monkeypatch.setattr(torch.version, "xpu", "20260101")
    found = runtime.fingerprint(runtime.Device("xpu", False, "none"))
    assert (found["device"], found["xpu"], found["driver"]) == ("Intel Arc B999", "20260101", "1.6.3")
    assert not {"cuda", "threads"} & found.keys()


@pytest.mark.parametrize("kind", devices.GPUS)
def test_memory_is_given_back_to_the_device_that_it_is_of(monkeypatch, kind):
    given = []
    for other in devices.GPUS:
        monkeypatch.setattr(getattr(torch, other), "empty_cache", lambda other=other: given.append(other))
    devices.empty_cache(kind)
    devices.empty_cache("cpu")
    assert given == [kind]


def test_free_memory_is_what_others_could_have_once_the_cache_is_empty(monkeypatch):
    free = {"cuda": 1}
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: free.update(cuda=5))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free["cuda"], 8))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 7)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 3)
    assert devices.free_memory("cuda") == 5
    assert devices.free_memory("mps") == 4
    assert devices.free_memory("cpu") is None


def test_apples_way_of_running_out_of_memory_is_known():
    assert ran_out(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))


class OnApple(torch.Tensor):
    """A tensor that refuses float64 as MPS does, until it is brought to the CPU."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        if function is torch.Tensor.to and not isinstance(args[0], OnApple):
            return torch.Tensor.to(args[0], torch.float32).as_subclass(OnApple)
        result = super().__torch_function__(function, types, args, kwargs or {})
        if isinstance(result, OnApple) and result.dtype == torch.float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return result


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_noise_is_blended_without_float64_on_the_device(share):
    one, other = (torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    mixed = slerp(one.as_subclass(OnApple), other.as_subclass(OnApple), share)
    assert isinstance(mixed, OnApple)
    assert torch.equal(mixed.as_subclass(torch.Tensor), slerp(one, other, share))
    same = slerp(one.as_subclass(OnApple), one.as_subclass(OnApple), share)  # the straight line
    assert isinstance(same, OnApple)


@pytest.fixture(scope="module")
def loaded(tiny_sd_folder):
    return load(tiny_sd_folder)


@pytest.mark.parametrize("kind", devices.GPUS)
def test_each_picture_of_a_recipe_has_a_generator_of_the_gpu_that_it_names(loaded, monkeypatch, kind):
    made, generator = [], torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device: made.append(device) or generator("cpu"))
    call = arguments([recipe(loaded, seed, noise_device=kind) for seed in (1, 2)], loaded.spec.family)
    assert made == [kind, kind]
    assert [one.initial_seed() for one in call["generator"]] == [1, 2]


@pytest.mark.parametrize("kind", devices.GPUS)
def test_a_recipe_with_noise_of_a_gpu_that_is_not_here_is_refused(loaded, kind):
    with pytest.raises(
        InputError, match=f"noise_device: '{kind}' is not accepted; there is no {devices.GPUS[kind]} here"
    ):
        engine.generate(loaded, [recipe(loaded, noise_device=kind)])


@pytest.mark.parametrize("kind", devices.GPUS)
def test_a_script_runs_on_the_gpu_that_the_pictures_were_made_on(loaded, kind):
    script = as_python([recipe(loaded, noise_device=kind)], loaded.spec, {kind: "1"})
    assert script.count("pipe.to(") == 1
    assert f'pipe.to("{kind}")' in script
    assert f'torch.Generator("{kind}")' in script


def test_what_a_recipe_may_say_is_what_there_are_devices_for():
    assert ("cpu", *devices.GPUS) == NOISE_DEVICES
