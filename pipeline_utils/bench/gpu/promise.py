"""The promise on this GPU: which bits are equal from run to run, slot to slot, and with how many lanes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from diffusers import DDIMScheduler

from pipeline_utils.bench.gpu.models import TOY_STEPS
from pipeline_utils.bench.gpu.work import Row, Work, bits, compile_denoiser, numbers, recipes, said, tidy
from pipeline_utils.engine.call import lanes_agree
from pipeline_utils.proof.comparison import l_inf

MODELS, DTYPES, MODES = ("emoji-sd", "sd15", "sdxl"), ("float16", "bfloat16", "float32"), ("eager", "compiled")
LANES = (4, 1, 2, 8)  # 4 first: the others are compared with it
STEPS = 4  # as many as show every kind of step


def promise(work: Work, name: str, dtype: str, mode: str, again: bool = False) -> Iterator[Row]:
    """One row for each number of lanes. again: 4 lanes only, for the bits of another process."""
    loaded = work.load(name, dtype)
    if mode == "compiled":
        compile_denoiser(loaded, work.toy)
    four = None
    for lanes in LANES[: 1 if again else work.times(len(LANES))]:
        row: Row = {"lanes": lanes}
        try:
            asked = recipes(loaded, 4 if work.toy else 8, num_inference_steps=STEPS, lanes=lanes)
            one = numbers(loaded, asked)
            four = one if four is None else four
            row |= {"bits": bits(one), "as with 4 lanes": bits(one) == bits(four)}
            if not again:
                same = bits(numbers(loaded, asked)) == row["bits"]
                agree = lanes_agree(replace(loaded, lanes=lanes)) if lanes > 1 else True
                row |= {"run to run": same, "slot to slot": agree, "passed": same and agree}
        except torch.OutOfMemoryError as error:
            row["outcome"] = said(error)
        yield row
        tidy()


def ddim(work: Work) -> Iterator[Row]:
    """The documentation's script: DDIM twice from one generator, with full determinism. L_inf is to be 0."""
    loaded = work.load("sd15", device=work.start(full_determinism=True))
    pipe = loaded.pipe
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    g = torch.Generator(device=loaded.device.type)
    found = []
    for _ in range(2):
        g.manual_seed(0)
        found.append(
            pipe(
                prompt="A bear is playing a guitar on Times Square",
                num_inference_steps=TOY_STEPS if work.toy else 50,
                generator=g,
                output_type="latent",
                width=loaded.spec.width,
                height=loaded.spec.height,
            ).images
        )
    distance = l_inf(*(each.float().cpu().numpy() for each in found))
    yield {"L_inf": distance, "bits": bits(found[0]), "passed": distance == 0}
