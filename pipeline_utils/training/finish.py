"""The last steps: export, evaluation, sheets, model card."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from . import sheets
from .card import card
from .evaluate import Extent, article, evaluate, load_pipeline, spread, table
from .export import Defaults, export
from .steps import Workshop, write_report

SHOWN = ("dog", "cat", "lion", "penguin", "apple", "burger", "strawberry", "house", "star", "pumpkin")


def read_report(shop: Workshop) -> dict | None:
    path = shop.folder / "report.json"
    return json.loads(path.read_text()) if path.exists() else None


def run_export(shop: Workshop, output: Path) -> None:
    text = card(shop.preset, shop.pictures().names, Defaults(), read_report(shop))
    export(shop.preset, shop.folder, output, Defaults(), {"README.md": text})
    print(f"{output}: {sum(f.stat().st_size for f in output.rglob('*') if f.is_file()) / 1e6:.0f} MB")


def run_evaluate(shop: Workshop, output: Path) -> None:
    full = shop.place.device == "cuda"
    extent = Extent(rounds=40, words=4, judge_steps=4000) if full else Extent()
    report = evaluate(output, shop.preset, shop.pictures(), shop.meanings(), shop.folder, shop.place, extent)
    write_report(shop, report)
    print(table(report))
    print(json.dumps(report["rounds"], indent=1))
    print("weakest:", ", ".join(report["weakest concepts"]))


def run_sheets(shop: Workshop, output: Path, folder: Path) -> None:
    pipe = load_pipeline(output)
    defaults = json.loads((output / "second_round.json").read_text())
    steps, guidance = defaults["num_inference_steps"], defaults["guidance_scale"]
    pictures = shop.pictures()
    names = pictures.names
    shown = [n for n in SHOWN if n in names] or names[:4]

    made = torch.load(shop.folder / "made.pt", weights_only=True) / 255  # by run_evaluate
    sheets.save(sheets.grid(made, 24, [], []), folder / "concepts.webp")
    sheet = sheets.styles_sheet(pipe, shown, 0, steps, guidance)
    sheets.save(sheet, folder / "concepts-styles.webp")
    suffixes = [*defaults["default_suffixes"], ", sticker", ", neon"]
    prompts = {"rounds": article(shown[0]), "rounds-night": f"{article(shown[-1])} at night"}
    for name, prompt in prompts.items():
        sheet = sheets.rounds_sheet(pipe, prompt, suffixes, 4, steps, guidance)
        sheets.save(sheet, folder / f"{name}.webp")
    some = made[spread(24, len(made))]
    nearest = sheets.neighbours_sheet(pictures, some, shop.preset.size)
    sheets.save(nearest, folder / "nearest-training.webp")


def run_card(shop: Workshop, output: Path) -> None:
    text = card(shop.preset, shop.pictures().names, Defaults(), read_report(shop))
    (output / "README.md").write_text(text)
