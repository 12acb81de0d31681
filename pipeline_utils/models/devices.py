"""The device that models run on: the CPU, a CUDA GPU, Apple's (MPS) or Intel's (XPU), and what is asked of it.

torch takes seconds to import, and the page is there before it, so each function imports it.
"""

from __future__ import annotations

import os
import platform
import traceback
from typing import TYPE_CHECKING

from pipeline_utils.errors import InputError
from pipeline_utils.settings import Settings

if TYPE_CHECKING:
    import torch

GPUS = {"cuda": "CUDA GPU", "mps": "Apple GPU", "xpu": "Intel GPU"}  # what torch calls them, and what people do
_asked: dict[torch.device, torch.cuda.Event] = {}  # the end of the step before; looked at by who has the turn


def choose(settings: Settings) -> str:
    """The type of the device that the settings mean: cpu, or one of GPUS.

    `cuda:N` makes the Nth GPU the only one of this process, and of those it starts. Call it before anything
    touches CUDA. Raises InputError for a device, noise_device or offload that this machine does not have.
    """
    kind, _, number = settings.device.partition(":")
    if number:
        _hide_other_gpus(settings.device, int(number))
    if kind == "auto":
        kind = "cuda" if is_available("cuda") else "cpu"
    if kind != "cpu" and not is_available(kind):
        raise InputError("device", settings.device, f"PyTorch finds no such {GPUS[kind]} here; use auto or cpu")
    if settings.noise_device not in ("cpu", kind):
        needed = f"the model has to run on the {GPUS[settings.noise_device]} too; use cpu"
        raise InputError("noise_device", settings.noise_device, needed)
    if settings.offload != "none" and kind != "cuda":
        raise InputError("offload", settings.offload, "only a CUDA GPU has parts to offload; use none")
    return kind


def is_available(kind: str) -> bool:
    """Does torch find a GPU of this type here? kind: one of GPUS."""
    import torch

    return torch.backends.mps.is_available() if kind == "mps" else getattr(torch, kind).is_available()


def describe(kind: str) -> dict[str, str]:
    """The lines of a fingerprint that name Apple's or Intel's GPU and its driver. kind: mps or xpu."""
    import torch

    if kind == "mps":  # Apple's driver is part of the system
        return {"device": torch.backends.mps.get_name(), "mps": platform.mac_ver()[0]}
    about = torch.xpu.get_device_properties()
    return {"device": about.name, "xpu": torch.version.xpu or "none", "driver": about.driver_version}


def empty_cache(kind: str) -> None:
    """Gives memory that torch keeps for later back to the device; there is none of it on a CPU."""
    if kind != "cpu":
        import torch

        getattr(torch, kind).empty_cache()


def free_memory(kind: str) -> int | None:
    """Bytes of the GPU that another process could have now; None on a CPU, whose memory can be swapped."""
    if kind == "cpu":
        return None
    import torch

    empty_cache(kind)
    if kind == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return getattr(torch, kind).mem_get_info()[0]


def keep_pace(device: torch.device) -> None:
    """Called after a denoising step: waits until the GPU is done with the step before, whoever asked for it.

    A call returns when its kernels are queued, not when they have run. One step ahead of the GPU is enough to keep
    it busy; further ahead, a stop or another visitor's turn would wait for all that is queued.
    """
    if device.type == "cuda":
        import torch

        event = torch.cuda.Event(blocking=True)  # asleep while it waits, since other threads serve the page
        event.record(torch.cuda.current_stream(device))
        before, _asked[device] = _asked.get(device), event
        if before is not None:
            before.synchronize()


def shortages(device: torch.device) -> int:
    """How often this process was refused GPU memory until now. cuDNN then takes another algorithm, silently."""
    import torch

    return torch.cuda.memory_stats(device).get("num_ooms", 0) if device.type == "cuda" else 0


def let_go(error: BaseException, kind: str) -> None:
    """Frees the activations, which the traceback of `error` keeps alive. kind: of device, cpu or one of GPUS."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        place = link.__traceback__
        link.add_note("".join(traceback.format_tb(place)))  # for the log
        traceback.clear_frames(place)  # a frame and an error in it may hold each other
        while place:  # a frame that was cleared still has its function's closure, in which torch keeps results
            place.tb_next, place = None, place.tb_next
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    empty_cache(kind)


def _hide_other_gpus(asked: str, number: int) -> None:
    """Threads start on GPU 0 whatever another thread chose, so the one that is meant becomes GPU 0."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = [str(number)] if visible is None else visible.split(",")[number : number + 1]
    if chosen in ([], [""]):
        raise InputError("device", asked, f"CUDA_VISIBLE_DEVICES={visible} shows no GPU of this number")
    os.environ["CUDA_VISIBLE_DEVICES"] = chosen[0]
