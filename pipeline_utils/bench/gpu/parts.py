"""Every part by name, in the order of what is wanted first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pipeline_utils.bench.gpu import first, promise, speed
from pipeline_utils.bench.gpu.work import Row, Work

PARTS: dict[str, Callable[[Work], Iterator[Row]]] = {
    "first-slots": first.slots,
    "first-repeats": first.repeats,
    "first-memory": first.memory,
    "first-full-determinism": first.full_determinism,
    "first-second-round": first.second_round,
    "first-visitors-and-stop": first.visitors_and_stop,
    "first-offload": first.offload,
    "speed-sd15": partial(speed.speed, name="sd15"),
    "speed-sdxl": partial(speed.speed, name="sdxl"),
    "visitors": speed.visitors,
    "promise-ddim": promise.ddim,
}
AGAIN = "-again"  # the part of this name without it, in another process
for mode in promise.MODES:
    for name in promise.MODELS:
        for dtype in promise.DTYPES:
            for again in (False, True):
                PARTS[f"promise-{name}-{dtype}-{mode}{AGAIN * again}"] = partial(
                    promise.promise, name=name, dtype=dtype, mode=mode, again=again
                )
PARTS["speed-z-image"] = partial(speed.speed, name="z-image")
for name in ("sd15", "sdxl", "z-image"):
    PARTS[f"profile-{name}"] = partial(speed.profile, name=name)
