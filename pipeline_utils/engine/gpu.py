"""What a CUDA GPU does behind one's back: it works later than it was asked to, and with less memory in another way."""

from __future__ import annotations

import traceback

import torch

from pipeline_utils.models.devices import empty_cache

_asked: dict[torch.device, torch.cuda.Event] = {}  # the end of the step before; looked at by who has the turn


def keep_pace(device: torch.device) -> None:
    """Called after a denoising step: waits until the GPU is done with the step before, whoever asked for it.

    A call returns when its kernels are queued, not when they have run. One step ahead of the GPU is enough to keep
    it busy; further ahead, a stop or another visitor's turn would wait for all that is queued.
    """
    if device.type == "cuda":
        event = torch.cuda.Event(blocking=True)  # asleep while it waits, since other threads serve the page
        event.record(torch.cuda.current_stream(device))
        before, _asked[device] = _asked.get(device), event
        if before is not None:
            before.synchronize()


def shortages(device: torch.device) -> int:
    """How often this process was refused GPU memory until now. cuDNN then takes another algorithm, silently."""
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
