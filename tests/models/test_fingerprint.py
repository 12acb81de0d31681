"""What a fingerprint says of a GPU, with a card and its driver played on a CPU."""

import ctypes
import platform
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline_utils.models import runtime
from pipeline_utils.picture.picture import check_fingerprint

CUDA = runtime.Device("cuda", False, "none")


class Nvml:
    """The driver's own library, as ctypes shows it."""

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlSystemGetDriverVersion(self, buffer, length: int) -> int:
        assert length == 80
        buffer.value = b"572.16"
        return 0


@pytest.fixture
def card(monkeypatch):
    """A GPU as far as a fingerprint looks at it."""
    found = SimpleNamespace(multi_processor_count=84, total_memory=16_908_484_608)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA Test")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: found)
    monkeypatch.setattr(runtime, "Path", lambda place: Path("no-such-folder") / place.lstrip("/"))
    runtime._driver.cache_clear()
    yield found
    runtime._driver.cache_clear()


@pytest.mark.parametrize(
    ("system", "library"), [("Windows", "nvml.dll"), ("Linux", "libnvidia-ml.so.1")], ids=["windows", "wsl"]
)
def test_where_the_system_does_not_tell_the_driver_the_drivers_library_does(card, monkeypatch, system, library):
    asked = []
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: asked.append(name) or Nvml())
    for _ in range(2):
        assert runtime.fingerprint(CUDA)["driver"] == "572.16"
    assert asked == [library]  # once for all pictures


def test_a_driver_that_cannot_be_asked_is_unknown(card, monkeypatch):
    def no_library(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    assert runtime.fingerprint(CUDA)["driver"] == "unknown"


def test_a_fingerprint_of_a_gpu_names_what_chooses_its_kernels(card, tf32, monkeypatch):
    tf32[0].allow_tf32, tf32[1].allow_tf32 = False, True
    monkeypatch.setattr(torch.version, "hip", "6.4")
    monkeypatch.setattr(torch.backends.cuda, "flash_sdp_enabled", lambda: False)
    found = runtime.fingerprint(CUDA)
    assert found["device"] == "NVIDIA Test"
    assert (found["hip"], found["cuda"]) == ("6.4", torch.version.cuda or "none")
    assert (found["multiprocessors"], found["memory_mib"]) == (84, 16125)
    assert (found["cudnn_tf32"], found["matmul_tf32"]) == (False, True)
    assert found["sdpa"] == "mem_efficient math cudnn"
    assert found["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    check_fingerprint(found)
