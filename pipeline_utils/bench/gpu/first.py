"""What is looked at first on a new GPU: what would break a promise or a round."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from pipeline_utils.bench.gpu.work import Row, Work, denoiser, numbers, played, recipes, said, tidy
from pipeline_utils.bench.gpu.work import bits as bits_of
from pipeline_utils.engine import engine
from pipeline_utils.engine.call import lanes_agree
from pipeline_utils.engine.events import Finished, Step
from pipeline_utils.engine.stops import Stop
from pipeline_utils.errors import CapacityError
from pipeline_utils.models import runtime
from pipeline_utils.models.runtime import Loaded
from pipeline_utils.models.sources import resolve
from pipeline_utils.settings import Settings


def slots(work: Work) -> Iterator[Row]:
    """Slots and neighbours at 4 lanes, with and without guidance, at two sizes."""
    for name in ("emoji-sd", "sd15")[: 1 if work.toy else 2]:  # at toy size the two are one
        loaded = work.load(name)
        for guidance in (1.0, loaded.spec.guidance_scale):
            for height in (loaded.spec.height, loaded.spec.height * 3 // 2):
                spec = replace(loaded.spec, guidance_scale=guidance, height=height, max_pixels=2**24)
                agree = lanes_agree(replace(loaded, spec=spec))
                yield {
                    "model": name,
                    "size": f"{spec.width}x{height}",
                    "guidance": guidance,
                    "slots agree": agree,
                    "passed": agree,
                }


def repeats(work: Work) -> Iterator[Row]:
    """The same recipe again and again, with cuDNN's deterministic kernels only and with any."""
    loaded = work.load("sd15")
    asked, times = recipes(loaded, loaded.lanes), work.times(20)
    for deterministic in (True, False):
        torch.backends.cudnn.deterministic = deterministic
        found = {bits_of(numbers(loaded, asked)) for _ in range(times)}
        row = {"cudnn.deterministic": deterministic, "runs": times, "different results": len(found)}
        yield row | ({"passed": len(found) == 1} if deterministic else {})


def memory(work: Work) -> Iterator[Row]:
    """A round that runs out of memory, then another."""
    loaded = work.load("sd15")
    asked = recipes(loaded, loaded.lanes)
    before = played(loaded, asked)
    with _no_memory(work, loaded):
        try:
            played(loaded, asked)
            outcome = "it fitted"
        except CapacityError as error:
            outcome = said(error)
    after = played(loaded, asked)
    yield {
        "round without memory": outcome,
        "next round equals the first": after == before,
        "passed": outcome.startswith("CapacityError") and after == before,
    }


@contextmanager
def _no_memory(work: Work, loaded: Loaded) -> Iterator[None]:
    """All memory of the GPU but some MiB is taken. In a rehearsal the denoiser says that it is."""
    if not work.toy:
        tidy()
        ballast = torch.empty(torch.cuda.mem_get_info()[0] - 64 * 2**20, dtype=torch.uint8, device="cuda")
        try:
            yield
        finally:
            del ballast
            tidy()
        return

    def run_out(*_) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = denoiser(loaded).register_forward_pre_hook(run_out)
    try:
        yield
    finally:
        hook.remove()


def full_determinism(work: Work) -> Iterator[Row]:
    """Every family with deterministic algorithms only: has every operation such a kernel, and do two runs agree?"""
    device = work.start(full_determinism=True)
    makers: dict[str, Callable[[], Loaded]] = {
        name: lambda name=name: work.load(name, device=device)
        for name in ("emoji-sd", "sd15", "sdxl", "z-image")[work.toy :]
    }
    # Families whose kernels are those of the others at another size: the pipelines of the tests.
    from tests import tiny

    with tempfile.TemporaryDirectory() as folder:
        for make in (tiny.tiny_sd3, tiny.tiny_flux, tiny.tiny_unclip):

            def saved(make=make) -> Loaded:
                spec = resolve(str(make(Path(folder) / make.__name__)))
                return runtime.load(spec, Settings(dtype="float32"), device)

            makers[make.__name__] = saved
        for name, make_loaded in makers.items():
            try:
                loaded = make_loaded()
                few = recipes(loaded, loaded.lanes, num_inference_steps=4)
                one, two = (bits_of(numbers(loaded, few)) for _ in range(2))
                yield {"model": name, "outcome": "equal" if one == two else "not equal", "passed": one == two}
            except Exception as error:
                yield {"model": name, "outcome": said(error), "passed": False}
            loaded = None
            tidy()


def second_round(work: Work) -> Iterator[Row]:
    """How long the first step of a round is awaited, in steps of the first round's usual length."""
    loaded = work.load("sd15")
    usual = 0.0
    for number in range(1, 4):
        times = [time.perf_counter()]
        for event in engine.generate(loaded, recipes(loaded, loaded.lanes)):
            if isinstance(event, Step):
                times.append(time.perf_counter())
        usual = usual or (times[-1] - times[1]) / (len(times) - 2)
        yield {"round": number, "first step": round((times[1] - times[0]) / usual, 2)}


def visitors_and_stop(work: Work) -> Iterator[Row]:
    """Three visitors, one of whom stops after two steps: the others' pictures equal those made alone."""
    loaded = work.load("sd15")
    asked = [recipes(loaded, loaded.lanes, first_seed=10 * visitor) for visitor in range(3)]
    alone = [played(loaded, each) for each in asked]
    found: list[dict[int, str]] = [{}, {}]
    threads = [threading.Thread(target=lambda at=at: found[at].update(played(loaded, asked[at]))) for at in range(2)]
    for thread in threads:
        thread.start()
    pictures, step, until = _stopped(loaded, asked[2])
    for thread in threads:
        thread.join()
    yield {
        "the others equal": found == alone[:2],
        "pictures of the stopped": pictures,
        "stopped within steps": round(until / step, 2),
        "passed": found == alone[:2] and pictures == 0,
    }


def offload(work: Work) -> Iterator[Row]:
    """Parts moved to the GPU one at a time; a stopped round, then another."""
    loaded = work.load("sd15", device=work.start(offload="model"))
    asked = recipes(loaded, loaded.lanes)
    before = played(loaded, asked)
    pictures, _, _ = _stopped(loaded, asked)
    tidy()
    held = 0 if work.toy else torch.cuda.memory_allocated() / 2**20
    after = played(loaded, asked)
    yield {
        "MiB held after Stop": round(held),
        "next round equals the first": after == before,
        "passed": after == before and pictures == 0 and held < 64,
    }


def _stopped(loaded: Loaded, asked: list) -> tuple[int, float, float]:
    """A round that is stopped after two steps: (pictures that came, seconds of the second step, and until its end)."""
    stop, times, pictures = Stop(), [], 0
    for event in engine.generate(loaded, asked, stop):
        times.append(time.perf_counter())
        pictures += isinstance(event, Finished)
        if len(times) == 2:
            stop.set()
    return pictures, times[1] - times[0], time.perf_counter() - times[1]
