"""Speed against the documentation's script, in one process: ratios, not seconds, are what carries over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from pipeline_utils.bench.gpu.work import (
    Row,
    Work,
    bits,
    compile_denoiser,
    denoiser,
    fastest,
    numbers,
    played,
    recipes,
    said,
    tidy,
)
from pipeline_utils.models.runtime import Loaded

# Seconds for four pictures: what the arithmetic takes at 790 TFLOP/s, and what is aimed at.
LIMIT, GOAL, TIMES_FASTER = {"sd15": 0.176, "sdxl": 2.11}, {"sd15": 0.30, "sdxl": 3.2}, {"sd15": 3.0}
PICTURES = 4


def speed(work: Work, name: str) -> Iterator[Row]:
    """A row for the script, the engine, the engine with CUDA graphs, and compiled, each of four pictures."""
    loaded = work.load(name, "bfloat16" if name == "z-image" else "float16")
    asked, script_seconds, plain = recipes(loaded, PICTURES), 0.0, ""
    own_forward = denoiser(loaded).forward

    def ours() -> None:
        played(loaded, asked)

    def graphed() -> None:
        if not work.toy:
            denoiser(loaded).forward = Graphs(own_forward)

    def compiled() -> None:
        denoiser(loaded).forward = own_forward
        compile_denoiser(loaded, work.toy)

    ways: tuple[tuple[str, Callable[[], None], Callable[[], None]], ...] = (
        ("script", lambda: None, lambda: _script(loaded)),
        ("ours", lambda: None, ours),
        ("ours, CUDA graphs", graphed, ours),
        ("ours, compiled", compiled, ours),
    )
    for way, prepare, run in ways:
        row: Row = {"way": way}
        try:
            prepare()
            run()
            if not work.toy:
                torch.cuda.reset_peak_memory_stats()
            seconds = fastest(run, 1 if work.toy else 3)
            script_seconds = script_seconds or seconds
            row |= {
                "seconds": round(seconds, 3),
                "pictures/s": round(PICTURES / seconds, 2),
                "times the script": round(script_seconds / seconds, 2),
                "peak GiB": 0.0 if work.toy else round(torch.cuda.max_memory_allocated() / 2**30, 2),
            }
            if name in LIMIT and not work.toy:
                row["share of the limit"] = round(LIMIT[name] / seconds, 2)
                reached = seconds <= GOAL[name] and script_seconds / seconds >= TIMES_FASTER.get(name, 0)
                row |= {"goal reached": reached}
            if way != "script":
                row["bits"] = bits(numbers(loaded, asked))
                plain = plain or row["bits"]
                row["bits as ours"] = row["bits"] == plain
            if way == "ours, CUDA graphs":
                row["passed"] = row["bits as ours"]
        except Exception as error:  # one way may fail where the others work
            row["outcome"] = said(error)
        yield row
        tidy()


def _script(loaded: Loaded) -> None:
    """The call of the documentation: a prompt, four pictures of it, a list of generators on the device."""
    spec = loaded.spec
    generator = [torch.Generator(device=loaded.device.type).manual_seed(i) for i in range(PICTURES)]
    loaded.pipe(
        spec.examples[0],
        generator=generator,
        num_images_per_prompt=PICTURES,
        num_inference_steps=spec.num_inference_steps,
        guidance_scale=spec.guidance_scale,
        width=spec.width,
        height=spec.height,
    )


class Graphs:
    """The same kernels as `forward` launches, recorded once for each shape and replayed. Not thread-safe."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward
        self._recorded: dict[tuple, tuple[torch.cuda.CUDAGraph, list, Any]] = {}

    def __call__(self, *args, **kwargs) -> Any:
        values, structure = tree_flatten((args, kwargs))
        key = (structure, *((v.shape, v.dtype) if isinstance(v, torch.Tensor) else v for v in values))
        if key not in self._recorded:
            self._recorded[key] = self._record(values, structure)
        graph, inputs, output = self._recorded[key]
        for mine, given in zip(inputs, values, strict=True):
            if isinstance(mine, torch.Tensor):
                mine.copy_(given)
        graph.replay()
        found, shape = tree_flatten(output)
        # The next replay writes over them, and a sampler may keep them.
        return tree_unflatten([v.clone() if isinstance(v, torch.Tensor) else v for v in found], shape)

    def _record(self, values: list, structure) -> tuple[torch.cuda.CUDAGraph, list, Any]:
        inputs = [v.cuda().clone() if isinstance(v, torch.Tensor) else v for v in values]
        args, kwargs = tree_unflatten(inputs, structure)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries set themselves up in their first calls, which no graph may hold
            for _ in range(3):
                self._forward(*args, **kwargs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self._forward(*args, **kwargs)
        return graph, inputs, output


def profile(work: Work, name: str) -> Iterator[Row]:
    """Which operations take the time of one call, the longest first, and how much of it the GPU worked."""
    loaded = work.load(name, "bfloat16" if name == "z-image" else "float16")
    asked = recipes(loaded, PICTURES, num_inference_steps=4)
    numbers(loaded, asked)
    start = time.perf_counter()
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [] if work.toy else [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        numbers(loaded, asked)
    seconds = time.perf_counter() - start
    kind = "cpu" if work.toy else "device"
    found = [(getattr(each, f"self_{kind}_time_total") / 1e6, each.key) for each in profiler.key_averages()]
    total = sum(took for took, _ in found) or 1.0
    yield {"operation": "all", "share": 1.0, "busy": round(total / seconds, 2)}
    for took, key in sorted(found, reverse=True)[:15]:
        yield {"operation": key[:90], "share": round(took / total, 3)}


def visitors(work: Work) -> Iterator[Row]:
    """1, 4 and 16 visitors at once on one GPU: throughput, and pictures that differ from those made alone."""
    loaded = work.load("sd15")
    asked = [recipes(loaded, loaded.lanes, first_seed=100 * visitor) for visitor in range(16)]
    alone = [played(loaded, each) for each in asked]
    base = 0.0
    for count in (1, 4, 16):
        found: list[dict[int, str]] = [{} for _ in range(count)]

        def visit(at: int, found=found) -> None:
            found[at].update(played(loaded, asked[at]))

        threads = [threading.Thread(target=visit, args=(at,)) for at in range(count)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = count * loaded.lanes / (time.perf_counter() - start)
        base = base or rate
        differing = sum(found[at].get(n) != bit for at in range(count) for n, bit in alone[at].items())
        yield {
            "visitors": count,
            "pictures/s": round(rate, 2),
            "throughput": round(rate / base, 2),
            "differing pictures": differing,
            "passed": differing == 0,
        }
