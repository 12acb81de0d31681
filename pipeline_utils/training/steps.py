"""The steps of making the model, each from files to files, in the order they run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .captions import Book, Tokens, fragment_tokens, make_book
from .components import Components, load_components
from .concepts import load_concepts
from .meanings import Meanings, find_meanings
from .packages import fetch
from .presets import Preset
from .progress import Budget
from .render import Pictures, render
from .restore import restore
from .runtime import Place
from .sampling import load_tokenizer
from .text import Lessons, load_text, train_text
from .tokens import build_tokenizer
from .unet import train_unet
from .vae import train_vae


@dataclass(frozen=True)
class Workshop:
    """Where files go and how a run is made."""

    preset: Preset
    root: Path
    place: Place

    @property
    def packages(self) -> Path:
        return self.root / "npm"

    @property
    def folder(self) -> Path:
        return self.root / self.preset.name

    def budget(self, step: str, minutes: float | None, steps: int | None) -> Budget:
        if steps is not None:
            return Budget(steps=steps)
        return Budget(minutes=self.preset.minutes[step] if minutes is None else minutes)

    def pictures(self) -> Pictures:
        return Pictures.load(self.folder / "pictures.pt")

    def meanings(self) -> Meanings:
        return Meanings.load(self.folder / "meanings.pt")

    def components(self) -> Components:
        return load_components(self.preset, self.pictures(), self.folder)

    def book(self) -> Book:
        pictures = self.pictures()
        return make_book(pictures.names, self.meanings().used)


def run_fetch(shop: Workshop) -> None:
    for archive in fetch(shop.packages):
        print(archive.name)


def run_render(shop: Workshop) -> None:
    shop.folder.mkdir(parents=True, exist_ok=True)
    concepts = load_concepts(shop.packages, shop.preset.concepts)
    pictures = render(shop.packages, concepts, shop.preset.source)
    drawn = pictures.table.amax(1) >= 0
    print(f"{len(pictures.rgba)} pictures of {int(drawn.sum())} concepts")
    keep(pictures, drawn).save(shop.folder / "pictures.pt")


def keep(pictures: Pictures, rows: torch.Tensor) -> Pictures:
    """Only the concepts that some set has drawn, so that none is asked for in vain."""
    new_id = rows.cumsum(0) - 1
    chosen = rows.nonzero().flatten().tolist()
    return Pictures(
        pictures.rgba,
        new_id[pictures.concept],
        pictures.style,
        pictures.table[rows],
        [pictures.names[i] for i in chosen],
        [pictures.tags[i] for i in chosen],
    )


def run_vae(shop: Workshop, minutes: float | None = None, steps: int | None = None) -> None:
    pictures = shop.pictures().to(shop.place.device)
    budget = shop.budget("vae", minutes, steps)
    train_vae(shop.preset, pictures, shop.components(), shop.folder, budget, shop.place)


def run_words(shop: Workshop) -> None:
    """Meanings and tokenizer: what text training starts from."""
    everything = load_concepts(shop.packages, "all")
    names = set(shop.pictures().names)
    concepts = [c for c in load_concepts(shop.packages, shop.preset.concepts) if c.name in names]
    find_meanings(concepts, everything).save(shop.folder / "meanings.pt")
    save_tokenizer(shop)


def save_tokenizer(shop: Workshop) -> None:
    shape = shop.preset.text
    tokenizer = build_tokenizer(shop.book(), shop.meanings(), shape.vocabulary, shape.length)
    tokenizer.save_pretrained(shop.folder / "tokenizer")


def word_tokens(words: list[str], tokenizer) -> Tokens:
    """Single words as fragments."""
    book = Book(words, torch.empty(0), torch.empty(0), torch.empty(0))
    return fragment_tokens(book, tokenizer)


def run_text(shop: Workshop, minutes: float | None = None, steps: int | None = None) -> None:
    tokenizer, book, meanings = load_tokenizer(shop.folder), shop.book(), shop.meanings()
    lessons = Lessons(
        shop.preset,
        book,
        fragment_tokens(book, tokenizer),
        word_tokens(meanings.words, tokenizer),
        meanings,
    )
    table = shop.pictures().table
    budget = shop.budget("text", minutes, steps)
    train_text(shop.preset, table, lessons, tokenizer, shop.folder, budget, shop.place)


def run_restore(shop: Workshop, source: Path) -> None:
    for path in restore(shop.preset, source, shop.folder):
        print(path.name)


def run_unet(
    shop: Workshop, minutes: float | None = None, steps: int | None = None, favour: Sequence[str] = ()
) -> None:
    tokenizer, book, pictures = load_tokenizer(shop.folder), shop.book(), shop.pictures()
    favoured = tuple(pictures.names.index(name) for name in favour)
    train_unet(
        replace(shop.preset, odds=replace(shop.preset.odds, favoured=favoured)),
        pictures.to(shop.place.device),
        book,
        fragment_tokens(book, tokenizer),
        load_text(shop.preset, tokenizer, shop.folder),
        shop.components(),
        shop.folder,
        shop.budget("unet", minutes, steps),
        shop.place,
    )


def write_report(shop: Workshop, report: dict) -> None:
    (shop.folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
