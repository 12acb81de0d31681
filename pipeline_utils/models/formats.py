"""Which number format a CPU computes fastest in. Some have units for bfloat16, most do not."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import replace

from pipeline_utils.errors import UserError
from pipeline_utils.files import writing
from pipeline_utils.models.runtime import Device, fingerprint
from pipeline_utils.settings import Settings

FASTER = 1.2  # times as fast as float32: less is not worth other pixels than most machines make
_REPEATS = 5


def settled(settings: Settings, device: Device) -> Settings:
    """`settings` with a number format where they leave it open and the model runs on the CPU.

    It is tried out once, in some hundredths of a second, and the answer is kept in the cache folder: a start on a
    busy moment must not make other pictures than the one before.
    """
    if settings.dtype != "auto" or device.type != "cpu":
        return settings
    file, about = settings.cache / "formats.json", json.dumps(fingerprint(device), sort_keys=True)
    known = {}
    with suppress(OSError, TypeError, ValueError):
        known = dict(json.loads(file.read_text("utf-8")))
    if known.get(about) not in ("float32", "bfloat16"):
        known[about] = "bfloat16" if speed_of_bfloat16() >= FASTER else "float32"
        with suppress(OSError, UserError):  # it is tried again at the next start
            file.parent.mkdir(parents=True, exist_ok=True)
            with writing(file) as stream:
                stream.write(json.dumps(known, indent=1).encode())
    return replace(settings, dtype=known[about])


def speed_of_bfloat16() -> float:
    """How many times as fast as in float32 a convolution and a product of a denoiser's size are."""
    import torch

    found: list[float] = []

    def measure() -> None:
        seconds = {torch.float32: [], torch.bfloat16: []}
        for _ in range(_REPEATS):
            for dtype, times in seconds.items():
                rows, kernel = torch.ones(8, 128, 16, 16, dtype=dtype), torch.ones(128, 128, 3, 3, dtype=dtype)
                words, weights = torch.ones(1024, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
                began = time.perf_counter()
                torch.nn.functional.conv2d(rows, kernel, padding=1)
                torch.nn.functional.linear(words, weights)
                times.append(time.perf_counter() - began)
        found.append(min(seconds[torch.float32]) / min(seconds[torch.bfloat16]))

    # In a thread that ends: OpenMP's threads end with it, and do not stand in the way of the model's.
    thread = threading.Thread(target=measure, name="formats")
    thread.start()
    thread.join()
    return found[0]
