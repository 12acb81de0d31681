"""The steps from packages to weights. Each reads what those before it left in one folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from .data import meanings as words
from .data import packages, things
from .data.captions import Wording
from .data.meanings import Meanings
from .data.render import Drawings, render
from .data.scenes import Stage
from .data.words import with_article
from .export import Defaults, assemble_pipeline, export, load_pipeline, own_words
from .judge import sheets
from .judge.card import card
from .judge.evaluate import SUFFIXES, Extent, evaluate, spread, table
from .judge.latents import measure_latents
from .model.latents import Atlas
from .model.text import build_tokenizer, find_embeddings, load_tokenizer
from .presets import Preset
from .train.decoder import load_decoder, train_decoder
from .train.denoiser import load_denoiser, train_denoiser
from .train.runs import Workers

ONE_RUN = "This copy is one run of these steps."  # unless the folder's history.md says otherwise
SHOWN = ("dog", "cat", "lion", "burger", "car", "train", "house", "guitar")


@dataclass
class Workshop:
    """A preset, who does the work, and where: ``root`` keeps archives and checkpoints, ``output`` is the pipeline
    folder, ``sheets`` the pictures of its card. ``until``: of a training step, after how many samples to stop."""

    preset: Preset
    workers: Workers
    root: Path
    output: Path
    sheets: Path
    until: int | None = None

    @property
    def folder(self) -> Path:
        return self.root / self.preset.name

    @cached_property
    def stage(self) -> Stage:
        return Stage(Drawings.load(self.folder / "drawings.pt"))

    @cached_property
    def atlas(self) -> Atlas:
        return Atlas(self.stage.drawings, self.preset.content)

    @cached_property
    def meanings(self) -> Meanings:
        return Meanings.load(self.folder / "meanings.json")

    @cached_property
    def wording(self) -> Wording:
        return Wording(self.stage.drawings.names, self.meanings.used, self.preset.odds)

    def read(self, name: str) -> dict | None:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else None

    def card(self) -> str:
        told = self.folder / "history.md"
        history = told.read_text("utf-8").strip() if told.exists() else ONE_RUN
        measured = self.read("report.json"), self.read("latents.json")
        return card(self.preset, self.stage.drawings.names, Defaults(), *measured, history)


def run_fetch(shop: Workshop) -> None:
    packages.fetch(shop.root / "archives")


def run_render(shop: Workshop) -> None:
    shop.folder.mkdir(parents=True, exist_ok=True)
    chosen = things.load_things(shop.root / "archives", shop.preset.things)
    render(shop.root / "archives", chosen, shop.preset.side).save(shop.folder / "drawings.pt")


def run_words(shop: Workshop) -> None:
    chosen = things.load_things(shop.root / "archives", shop.preset.things)
    rivals = things.rivals(shop.root / "archives", chosen)
    words.find_meanings(chosen, rivals).save(shop.folder / "meanings.json")
    save_tokens(shop, words.dictionary(), words.embed)


def save_tokens(shop: Workshop, dictionary: list[str], embed: Callable[[list[str]], torch.Tensor]) -> None:
    """The tokenizer and its tokens' embeddings."""
    whole = shop.wording.spoken() + [word for row in shop.meanings.held_out for word in row]
    tokenizer = build_tokenizer(whole, dictionary, shop.preset)
    tokenizer.save_pretrained(shop.folder / "tokenizer")
    torch.save(find_embeddings(tokenizer, embed, shop.preset), shop.folder / "tokens.pt")


def run_denoiser(shop: Workshop) -> None:
    train_denoiser(shop.preset, shop.stage, shop.atlas, shop.wording, shop.folder, shop.workers, shop.until)


def run_decoder(shop: Workshop) -> None:
    train_decoder(shop.preset, shop.stage, shop.atlas, shop.folder, shop.workers, shop.until)


def run_measure(shop: Workshop, count: int = 192) -> None:
    model, text = load_denoiser(shop.preset, shop.folder)
    tokenizer = load_tokenizer(shop.folder)
    report = measure_latents(model, text, tokenizer, shop.stage, shop.atlas, shop.wording, count=count)
    (shop.folder / "latents.json").write_text(json.dumps(report, indent=1))
    for steps, values in report.items():
        print(f"{steps:3} steps:", ", ".join(f"{name} {value:.3f}" for name, value in values.items()))


def run_export(shop: Workshop) -> None:
    model, text = load_denoiser(shop.preset, shop.folder)
    pipe = assemble_pipeline(load_decoder(shop.preset, shop.folder), text, load_tokenizer(shop.folder), model.unet)
    known = own_words(shop.stage.drawings.names, shop.meanings)
    texts = {"README.md": shop.card(), "words.json": json.dumps(known, ensure_ascii=False) + "\n"}
    export(pipe, shop.output, Defaults(), texts)
    print(f"{shop.output}: {sum(f.stat().st_size for f in shop.output.rglob('*') if f.is_file()) / 1e6:.0f} MB")


def run_evaluate(shop: Workshop, extent: Extent | None = None) -> None:
    if (latents := shop.read("latents.json")) is None:
        raise FileNotFoundError("latents.json is missing: run the step measure first")
    judge = shop.folder / "judge.pt"
    report, made = evaluate(
        shop.output, shop.preset, shop.stage, shop.meanings, latents, judge, shop.workers, extent or Extent()
    )
    (shop.folder / "report.json").write_text(json.dumps(report, indent=1))
    torch.save((made * 255).round().byte(), shop.folder / "made.pt")  # the sheets show them, too
    (shop.output / "README.md").write_text(shop.card(), "utf-8")
    print(table(report))


def run_sheets(shop: Workshop) -> None:
    pipe, own = load_pipeline(shop.output), json.loads((shop.output / "second_round.json").read_text())
    how = own["num_inference_steps"], own["guidance_scale"]
    made = torch.load(shop.folder / "made.pt", weights_only=True) / 255  # by run_evaluate
    names = shop.stage.drawings.names
    shown = [name for name in SHOWN if name in names] or names[:2]
    suffixes = [*own["default_suffixes"], ", sticker", ", neon"]
    things_rows = [(name, with_article(name), seed) for seed, name in enumerate(shown)]
    seeds_rows = lambda prompt: [(f"seed {seed}", prompt, seed) for seed in range(4)]  # noqa: E731
    night = f"{with_article(shown[-1])} at night"
    drawn = {
        "things": sheets.grid(made, 16),
        "styles": sheets.suffixes_sheet(pipe, things_rows, SUFFIXES, how),
        "rounds": sheets.suffixes_sheet(pipe, seeds_rows(with_article(shown[0])), suffixes, how),
        "rounds-night": sheets.suffixes_sheet(pipe, seeds_rows(night), suffixes, how),
        "nearest-training": sheets.neighbours_sheet(shop.stage.drawings, made[spread(24, len(made))]),
    }
    shop.sheets.mkdir(parents=True, exist_ok=True)
    for name, sheet in drawn.items():
        sheet.save(shop.sheets / f"{name}.webp", quality=82, method=6)
