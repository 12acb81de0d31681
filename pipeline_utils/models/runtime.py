"""Device, dtype, determinism, fingerprint, and loading a pipeline. The only file that decides them."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import platform
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_utils.errors import ModelError
from pipeline_utils.models import checkpoints, devices, revisions
from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.models.load_errors import INCOMPLETE, complete, loading
from pipeline_utils.models.shapes import Shapes
from pipeline_utils.models.sources import absent, describe_folder, local_variant
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.settings import Settings

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

# Both libraries warn about optional packages at import time; a visitor can do nothing with that.
logging.getLogger("transformers").setLevel(logging.ERROR)

# cuBLAS sums in another order with other workspaces, and the defaults depend on the card. These are the larger
# that it promises equal runs with, 8 of 4096 KiB, and as much for cuBLASLt, in KiB.
WORKSPACES = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "CUBLASLT_WORKSPACE_SIZE": "32768"}


@dataclass(frozen=True)
class Device:
    """Where models run and how. Decided once, at start."""

    type: str  # cpu, or one of devices.GPUS
    full_determinism: bool
    offload: str


@dataclass(frozen=True)
class Loaded:
    """A pipeline ready to be cloned by the engine, and what recipes must say to use it."""

    spec: ModelSpec
    revision: str
    pipe: DiffusionPipeline
    device: Device
    dtype: str
    lanes: int
    shapes: Shapes = field(default_factory=Shapes, compare=False)

    def recipe(self, prompt: str, seed: int, **values) -> Recipe:
        """A recipe for this pipeline. What `values` (fields of Recipe) leaves out or None is the model's own."""
        own = {"model": self.spec.name, "revision": self.revision, "dtype": self.dtype, "lanes": self.lanes}
        own |= self.spec.defaults | {"full_determinism": self.device.full_determinism, "offload": self.device.offload}
        own |= {name: value for name, value in values.items() if value is not None}
        return Recipe(prompt=prompt, seed=seed, **own)

    def adopt(self, recipe: Recipe) -> Recipe:
        """`recipe`, made with these weights, under the name and revision that they have here."""
        return replace(recipe, model=self.spec.name, revision=self.revision)


def start(settings: Settings) -> Device:
    """Applies the settings of the whole process. Call it before anything touches CUDA.

    Raises InputError for a device, noise_device or offload that this machine does not have.
    """
    import diffusers
    import torch
    import transformers

    # Read when the first handle is made, so they come before any CUDA call, and for everybody: the proofs switch
    # full determinism on and off later.
    os.environ.update(WORKSPACES)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    # Reading local weights takes seconds; downloads keep their own bars.
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.disable_progress_bar()
    device = devices.choose(settings)
    torch.backends.cudnn.benchmark = False  # measured choices differ from run to run
    torch.backends.cudnn.deterministic = True  # some of its kernels add up in the order in which threads finish
    torch.utils.deterministic.fill_uninitialized_memory = False  # writes NaN into all new memory, which nothing reads
    if settings.full_determinism:
        torch.use_deterministic_algorithms(True)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return Device(device, settings.full_determinism, settings.offload)


def fingerprint(device: Device) -> dict[str, str | int | bool]:
    """What, besides the recipe, decides the bits: versions, hardware and thread count.

    Two machines with equal fingerprints make equal pixels from equal recipes.
    """
    import diffusers
    import torch
    import transformers

    found: dict[str, str | int | bool] = {
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else _cpu_name(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if device.type in ("mps", "xpu"):
        return found | devices.describe(device.type)
    found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()  # of a GPU's pictures too: their noise
    if device.type != "cuda":
        return found | {"threads": torch.get_num_threads()}
    card, backends = torch.cuda.get_device_properties(device.type), torch.backends.cuda
    attention = ("flash", "mem_efficient", "math", "cudnn")
    return found | {
        "cuda": torch.version.cuda or "none",
        "hip": torch.version.hip or "none",
        "cudnn": torch.backends.cudnn.version() or 0,
        "driver": _driver(),
        "multiprocessors": card.multi_processor_count,
        "memory_mib": card.total_memory >> 20,
        "matmul_tf32": backends.matmul.allow_tf32,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "sdpa": " ".join(name for name in attention if getattr(backends, f"{name}_sdp_enabled")()),
    }


def load(spec: ModelSpec, settings: Settings, device: Device) -> Loaded:
    """Loads a catalog entry, hub id, folder or .safetensors file.

    Only safetensors weights are read, and code that comes with a model is never run.
    Raises ModelError or CapacityError in one sentence that names the model.
    """
    import diffusers
    import torch
    from diffusers import DiffusionPipeline
    from diffusers.pipelines.deprecated import unclip

    # Published UnCLIP models name this module by the place it had before it was deprecated.
    diffusers.pipelines.unclip = unclip
    dtype = number_format(spec, settings, device)
    options = {"dtype": getattr(torch, dtype), "local_files_only": True}
    with loading(spec), complete(spec):
        source = Path(spec.source)
        if spec.is_local and source.is_file():
            spec, pipe = checkpoints.load(spec, options)
            revision = revisions.content_hash(source)
        elif spec.is_local:
            variant = local_variant(source)
            options |= dict.fromkeys(absent(source))
            pipe = DiffusionPipeline.from_pretrained(source, use_safetensors=True, variant=variant, **options)
            revision = revisions.content_hash(source)
        else:
            folder, variant = _snapshot(spec, dtype)
            revision = folder.name
            # A catalog entry was chosen with care; a folder completes only what is unknown.
            spec = replace(spec if spec.family else describe_folder(spec, folder), revision=revision)
            options |= dict.fromkeys(absent(folder))
            pipe = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, variant=variant, **options)
        if type(pipe).__name__ != spec.family:
            raise ModelError(f"{spec.title} loaded as {type(pipe).__name__}, which is not supported.")
        modules = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
        if any(weight.is_meta for module in modules for weight in module.parameters()):
            raise ModelError(spec.title + INCOMPLETE)
        from pipeline_utils.models import fits, samplers

        if wrong := fits.misfit(pipe):
            raise ModelError(f"{spec.title}: {wrong}.")
        if own := getattr(pipe, "scheduler", None):
            offered = samplers.offered(own, spec.schedulers)
            spec = replace(spec, own_scheduler=type(own).__name__, offered=offered)
        pipe.set_progress_bar_config(disable=True)
        if device.offload == "model":
            pipe.enable_model_cpu_offload()
        else:
            pipe.to(device.type)
    return Loaded(spec, revision, pipe, device, dtype, settings.lanes or spec.lanes)


def fetch(spec: ModelSpec, settings: Settings, device: Device) -> ModelSpec:
    """`spec` of a model that `load` finds here: a hub model is downloaded, and pinned to the commit that came.

    Raises as `load` does.
    """
    if spec.is_local:
        return spec
    with loading(spec):
        folder, _ = _snapshot(spec, number_format(spec, settings, device))
    return replace(spec, revision=folder.name)


def is_downloaded(spec: ModelSpec, dtype: str = "float32") -> bool:
    """True when loading `spec` in this number format needs no network: all its files are here, at its revision."""
    return spec.is_local or revisions.cached(spec.source, spec.revision, dtype) is not None


def number_format(spec: ModelSpec, settings: Settings, device: Device) -> str:
    """The number format that the weights of `spec` are loaded in, unless a recipe asks for another."""
    if settings.dtype != "auto":
        return settings.dtype
    return "float32" if device.type == "cpu" else spec.gpu_dtype


def _snapshot(spec: ModelSpec, dtype: str) -> tuple[Path, str | None]:
    """The folder of a hub model, named by its commit, and the variant of the weights in it.

    A commit that is here needs no network; without one, the hub is asked for the newest.
    """
    if spec.revision and (here := revisions.cached(spec.source, spec.revision, dtype)):
        return here
    first: Exception | None = None
    odd: Exception | None = None
    for variant in revisions.variants(dtype):
        try:
            return revisions.download(spec.source, spec.revision, variant), variant
        except ValueError as error:  # diffusers knows no such variant, or it is code that is asked to be run
            odd = error
        except OSError as error:
            if "Could not find the necessary" not in str(error):
                raise
            first = first or error
    raise first or odd


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@functools.cache
def _driver() -> str:
    """Version of the NVIDIA driver, which brings part of the kernels' compiler with it."""
    with suppress(OSError):
        return Path("/sys/module/nvidia/version").read_text().strip()
    with suppress(OSError, AttributeError):  # Windows, and Linux inside it, have only the driver's own library
        nvml = ctypes.CDLL("nvml.dll" if platform.system() == "Windows" else "libnvidia-ml.so.1")
        version = ctypes.create_string_buffer(80)  # bytes, as NVML's header says
        if nvml.nvmlInit_v2() == 0 and nvml.nvmlSystemGetDriverVersion(version, len(version)) == 0:
            return version.value.decode()
    return "unknown"
