"""The steps from packages to weights. Each reads what those before it left in one folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from .data import meanings as words
from .data import things
from .data.captions import Wording
from .data.meanings import Meanings
from .data.packages import fetch
from .data.render import Drawings, render
from .data.scenes import Stage
from .data.words import with_article
from .export import Defaults, assemble_pipeline, export, load_pipeline, own_words
from .judge import sheets
from .judge.card import card
from .judge.evaluate import Extent, evaluate, spread, table
from .judge.latents import measure_latents
from .model.latents import Atlas
from .model.text import build_tokenizer, find_embeddings, load_tokenizer
from .presets import Preset
from .train.decoder import load_decoder, train_decoder
from .train.denoiser import load_denoiser, train_denoiser
from .train.runs import Workers

ONE_RUN = "This copy is one run of these steps."
SHOWN = ("dog", "cat", "lion", "burger", "car", "train", "house", "guitar")


@dataclass
class Workshop:
    """A preset, a folder that archives and checkpoints are kept in, and who does the work."""

    preset: Preset
    root: Path
    workers: Workers

    @property
    def archives(self) -> Path:
        return self.root / "archives"

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

    @property
    def tokenizer(self) -> CLIPTokenizer:
        return load_tokenizer(self.folder)


def run_fetch(shop: Workshop) -> None:
    fetch(shop.archives)


def run_render(shop: Workshop) -> None:
    shop.folder.mkdir(parents=True, exist_ok=True)
    chosen = things.load_things(shop.archives, shop.preset.things)
    render(shop.archives, chosen, shop.preset.side).save(shop.folder / "drawings.pt")


def run_words(shop: Workshop) -> None:
    chosen = things.load_things(shop.archives, shop.preset.things)
    words.find_meanings(chosen, things.rivals(shop.archives, chosen)).save(shop.folder / "meanings.json")
    save_tokens(shop, words.dictionary(), words.embed)


def save_tokens(shop: Workshop, dictionary: list[str], embed: Callable[[list[str]], torch.Tensor]) -> None:
    """The tokenizer and its tokens' embeddings."""
    whole = shop.wording.spoken() + [word for row in shop.meanings.held_out for word in row]
    tokenizer = build_tokenizer(whole, dictionary, shop.preset)
    tokenizer.save_pretrained(shop.folder / "tokenizer")
    torch.save(find_embeddings(tokenizer, embed, shop.preset), shop.folder / "tokens.pt")


def run_denoiser(shop: Workshop, until: int | None = None) -> None:
    train_denoiser(shop.preset, shop.stage, shop.atlas, shop.wording, shop.folder, shop.workers, until)


def run_decoder(shop: Workshop, until: int | None = None) -> None:
    train_decoder(shop.preset, shop.stage, shop.atlas, shop.folder, shop.workers, until)


def run_measure(shop: Workshop, count: int = 192) -> None:
    model, text = load_denoiser(shop.preset, shop.folder)
    report = measure_latents(model, text, shop.tokenizer, shop.stage, shop.atlas, shop.wording, count=count)
    (shop.folder / "latents.json").write_text(json.dumps(report, indent=1))
    for steps, values in report.items():
        print(f"{steps:3} steps:", ", ".join(f"{name} {value:.3f}" for name, value in values.items()))


def read_report(path: Path) -> dict | None:
    return json.loads(path.read_text()) if path.exists() else None


def run_export(shop: Workshop, output: Path) -> None:
    model, text = load_denoiser(shop.preset, shop.folder)
    vae = load_decoder(shop.preset, shop.folder)
    names = shop.stage.drawings.names
    known = own_words(names, shop.meanings.used, shop.meanings.hints)
    about = card(shop.preset, names, Defaults(), read_report(shop.folder / "report.json"), ONE_RUN)
    texts = {"README.md": about, "words.json": json.dumps(known, ensure_ascii=False) + "\n"}
    export(assemble_pipeline(vae, text, shop.tokenizer, model.unet), output, Defaults(), texts)
    print(f"{output}: {sum(f.stat().st_size for f in output.rglob('*') if f.is_file()) / 1e6:.0f} MB")


def run_evaluate(shop: Workshop, output: Path, extent: Extent | None = None) -> None:
    if (latents := read_report(shop.folder / "latents.json")) is None:
        raise FileNotFoundError("latents.json is missing: run the step measure first")
    path = shop.folder / "judge.pt"
    report, made = evaluate(
        output, shop.preset, shop.stage, shop.meanings, latents, path, shop.workers, extent or Extent()
    )
    (shop.folder / "report.json").write_text(json.dumps(report, indent=1))
    torch.save((made * 255).round().byte(), shop.folder / "made.pt")  # the sheets show them, too
    print(table(report))


def run_sheets(shop: Workshop, output: Path, folder: Path) -> None:
    pipe, own = load_pipeline(output), read_report(output / "second_round.json")
    steps, guidance = own["num_inference_steps"], own["guidance_scale"]
    made = torch.load(shop.folder / "made.pt", weights_only=True) / 255  # by run_evaluate
    names = shop.stage.drawings.names
    shown = [name for name in SHOWN if name in names] or names[:2]
    suffixes = [*own["default_suffixes"], ", sticker", ", neon"]
    sheets.save(sheets.grid(made, 16), folder / "things.webp")
    sheets.save(sheets.styles_sheet(pipe, shown, steps, guidance), folder / "styles.webp")
    for name, prompt in {
        "rounds": with_article(shown[0]),
        "rounds-night": f"{with_article(shown[-1])} at night",
    }.items():
        sheets.save(sheets.rounds_sheet(pipe, prompt, suffixes, 4, steps, guidance), folder / f"{name}.webp")
    some = made[spread(24, len(made))]
    sheets.save(sheets.neighbours_sheet(shop.stage.drawings, some), folder / "nearest-training.webp")


def run_card(shop: Workshop, output: Path) -> None:
    report = read_report(shop.folder / "report.json")
    text = card(shop.preset, shop.stage.drawings.names, Defaults(), report, ONE_RUN)
    (output / "README.md").write_text(text, "utf-8")
