"""python -m pipeline_utils.training STEP: make the bundled model.

python -m pipeline_utils.training all                      everything, from packages to weights
python -m pipeline_utils.training denoiser                 go on with one step
python -m pipeline_utils.training all --preset few         24 things
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = {
    "fetch": "download the picture sets (npm pack, pinned versions)",
    "render": "draw them into one tensor",
    "words": "find meanings of words, learn the tokenizer (needs requirements-train.txt)",
    "denoiser": "train the denoiser, and the text encoder with it",
    "decoder": "train the decoder (denoiser and decoder may run side by side)",
    "measure": "how well the denoiser knows what a prompt and a seed mean",
    "export": "write the pipeline folder",
    "evaluate": "measure the exported folder, print the table, put it into the model card",
    "sheets": "draw contact sheets",
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_utils.training",
        description="Make the bundled model: from picture sets to a pipeline folder. Every training step "
        "resumes from its last checkpoint and may be stopped at any time.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="steps:\n" + "\n".join(f"  {name:10}{text}" for name, text in STEPS.items()),
    )
    parser.add_argument("step", choices=[*STEPS, "all"], metavar="STEP", help="see below, or: all")
    parser.add_argument("--preset", default="all", choices=["few", "some", "all"], help="default: all things")
    parser.add_argument("--until", type=int, help="denoiser, decoder: stop after so many samples, at the run's rates")
    parser.add_argument("--workers", type=int, help="threads, each on a part of a batch (default: one a core)")
    work = os.environ.get("SECOND_ROUND_TRAINING", "~/.cache/second-round-training")
    parser.add_argument("--work-dir", type=Path, default=work, help="archives, checkpoints (env SECOND_ROUND_TRAINING)")
    assets = REPOSITORY / "assets"
    parser.add_argument("--output", type=Path, default=assets / "emoji-sd", help="the pipeline folder")
    parser.add_argument("--sheets", type=Path, default=assets / "model-sheets", help="contact sheets")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    # Each worker computes alone; threads inside operations would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from . import steps
    from .presets import PRESETS
    from .train.runs import Workers

    torch.set_num_threads(1)
    root, preset = Path(options.work_dir).expanduser(), PRESETS[options.preset]
    workers = Workers(options.workers, halves=torch.cpu.get_capabilities().get("amx_bf16", False))
    shop = steps.Workshop(preset, workers, root, options.output, options.sheets, options.until)
    for step in STEPS if options.step == "all" else [options.step]:
        print(f"== {step} ({preset.name})", flush=True)
        getattr(steps, f"run_{step}")(shop)


if __name__ == "__main__":
    main()
