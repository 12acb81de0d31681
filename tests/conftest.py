"""Fixtures that every test may use. No test reaches a hub, and none touches the user's own folder."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait do not eat a busy machine

import signal
from pathlib import Path

import pytest

# A shell's background jobs start without it, and what tests start would not hear Ctrl+C either.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.browser"]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """What one run of the tests learns about this machine is not known to the next."""
    from pipeline_utils import settings

    folder = tmp_path_factory.mktemp("cache")
    settings.user_cache_path = lambda *_, **__: folder


@pytest.fixture
def tf32():
    """(cudnn, matmul): whose switches for TF32 are as they were before when the test is over."""
    from torch.backends import cuda, cudnn

    libraries = cudnn, cuda.matmul
    before = [library.allow_tf32 for library in libraries]
    yield libraries
    for library, allowed in zip(libraries, before, strict=True):
        library.allow_tf32 = allowed


@pytest.fixture(scope="session")
def tiny_sd_folder(tmp_path_factory) -> Path:
    """A genuine StableDiffusionPipeline of a few thousand weights, saved as a folder."""
    from tests.tiny import tiny_sd

    return tiny_sd(tmp_path_factory.mktemp("models") / "tiny-sd")
