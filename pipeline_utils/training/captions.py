"""Captions, as sequences of fragments.

The tokenizer splits at blanks and punctuation before it merges bytes, so the tokens of a
caption are the tokens of its fragments, one after the other. That lets a batch of captions
be put together by indexing alone, on any device, and the string stays at hand for people.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .augment import Scenes
from .presets import Odds
from .words import BACKGROUNDS, STYLES, TINTS

PREFIXES = ("a picture of", "an emoji of", "a drawing of", "an image of", "a photo of")
FILLERS = ("cute", "nice", "beautiful", "simple", "little")
SMALL, LARGE = ("small", "tiny"), ("big", "large")
SLOTS = 10  # prefix, article, size, tilt, colour, name, joint, partner, background, style


def plural(name: str) -> str:
    if name.endswith(("s", "x", "ch", "sh")):
        return name if name.endswith("es") or name in ("glasses", "scissors") else name + "es"
    if name.endswith("fe"):
        return name[:-2] + "ves"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name if name in ("fish", "sushi", "popcorn", "lightning") else name + "s"


@dataclass
class Book:
    """All fragments of a model's captions and where to find them.

    fragments[0] is the empty one. names [concepts, variants]: fragment ids, the plain name
    first, padded by repeating it; plurals [concepts].
    """

    fragments: list[str]
    names: torch.Tensor
    plurals: torch.Tensor
    vowel: torch.Tensor

    def find(self, text: str) -> int:
        return self.fragments.index(text)

    def text(self, row: torch.Tensor) -> str:
        """The caption that a row of fragment ids [SLOTS] spells."""
        parts = [self.fragments[i] for i in row.tolist() if i]
        return " ".join(parts).replace(" ,", ",")


def make_book(names: list[str], synonyms: list[list[str]]) -> Book:
    fragments: list[str] = [""]
    index: dict[str, int] = {"": 0}

    def add(text: str) -> int:
        if text not in index:
            index[text] = len(fragments)
            fragments.append(text)
        return index[text]

    for text in (*PREFIXES, "a", "an", "the", "two", "three", *FILLERS, *SMALL, *LARGE, "tilted"):
        add(text)
    for text in ("and a", "and an"):
        add(text)
    for word, _ in TINTS:
        add(word)
    for _, phrases, _, _ in BACKGROUNDS:
        for phrase in phrases:
            add(phrase)
            add(f", {phrase}")
    for style in STYLES[1:]:
        add(f", {style.word}")
    most = 1 + max(map(len, synonyms), default=0)
    rows = []
    for name, others in zip(names, synonyms, strict=True):
        row = [add(name), *(add(word) for word in others)]
        rows.append(row + row[:1] * (most - len(row)))
    plurals = [add(plural(name)) for name in names]
    vowel = torch.tensor([text[:1] in tuple("aeiou") for text in fragments])
    return Book(fragments, torch.tensor(rows), torch.tensor(plurals), vowel)


def _pick(options: list[int], n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.tensor(options)[torch.randint(len(options), (n,), generator=generator)]


def compose(scenes: Scenes, book: Book, odds: Odds, generator: torch.Generator) -> torch.Tensor:
    """One way to say each scene: fragment ids [n, SLOTS] on the CPU."""
    n = len(scenes)
    none = torch.zeros(n, dtype=torch.long)

    def chance(p: float) -> torch.Tensor:
        return torch.rand(n, generator=generator) < p

    # 1. The name: mostly the plain one, else one of the concept's other words.
    variant = torch.randint(book.names.shape[1], (n,), generator=generator)
    variant = torch.where(chance(odds.synonym), variant, 0)
    many = scenes.count > 1
    name = torch.where(many, book.plurals[scenes.concept], book.names[scenes.concept, variant])

    # 2. What stands before it.
    low, high = odds.scale
    third = (high - low) / 3
    size = torch.where(scenes.scale < low + third, _pick([book.find(w) for w in SMALL], n, generator), 0)
    size = torch.where(scenes.scale > high - third, _pick([book.find(w) for w in LARGE], n, generator), size)
    size = torch.where(scenes.said_placement, size, 0)
    filler = _pick([book.find(w) for w in FILLERS], n, generator)
    size = torch.where((size == 0) & chance(0.06), filler, size)
    steep = scenes.angle.abs() > 0.6 * odds.tilt * torch.pi / 180
    tilt = torch.where(scenes.said_placement & steep, book.find("tilted"), none)
    tints = torch.tensor([0] + [book.find(word) for word, _ in TINTS])
    tint = tints[scenes.tint + 1]
    first = torch.where(size > 0, size, torch.where(tilt > 0, tilt, torch.where(tint > 0, tint, name)))
    article = torch.where(book.vowel[first], book.find("an"), book.find("a"))
    style_of_speech = torch.rand(n, generator=generator)
    article = torch.where(style_of_speech < 0.30, none, article)
    article = torch.where(style_of_speech > 0.95, book.find("the"), article)
    article = torch.where(scenes.count == 2, book.find("two"), article)
    article = torch.where(scenes.count == 3, book.find("three"), article)
    prefix = torch.where(chance(0.08) & (article > 0), _pick([book.find(w) for w in PREFIXES], n, generator), none)

    # 3. What follows it.
    paired = scenes.partner >= 0
    partner = torch.where(paired, book.names[scenes.partner.clamp(min=0), 0], none)
    joint = torch.where(book.vowel[partner], book.find("and an"), book.find("and a"))
    joint = torch.where(paired, joint, none)
    comma = chance(0.3)
    background = none.clone()
    for row, (_, phrases, _, _) in enumerate(BACKGROUNDS):
        plain = _pick([book.find(p) for p in phrases], n, generator)
        behind_comma = _pick([book.find(f", {p}") for p in phrases], n, generator)
        here = scenes.background == row
        background = torch.where(here, torch.where(comma, behind_comma, plain), background)
    styles = torch.tensor([0] + [book.find(f", {style.word}") for style in STYLES[1:]])
    style = styles[scenes.style]
    return torch.stack([prefix, article, size, tilt, tint, name, joint, partner, background, style], 1)


@dataclass
class Tokens:
    """Fragments as token ids: table [fragments, longest], lengths [fragments]."""

    table: torch.Tensor
    lengths: torch.Tensor
    start: int
    end: int
    length: int

    def to(self, device: torch.device | str) -> Tokens:
        return Tokens(self.table.to(device), self.lengths.to(device), self.start, self.end, self.length)

    def assemble(self, rows: torch.Tensor) -> torch.Tensor:
        """Fragment ids [n, slots] -> prompt token ids [n, length], as the tokenizer pads them."""
        n = len(rows)
        widths = self.lengths[rows]  # [n, slots]
        begin = 1 + widths.cumsum(1) - widths
        reach = torch.arange(self.table.shape[1], device=rows.device)
        place = begin[:, :, None] + reach  # [n, slots, longest]
        # What a fragment does not fill, and what does not fit, lands in a spare last column.
        place = torch.where(reach < widths[:, :, None], place, self.length)
        place = place.clamp(max=self.length).flatten(1)
        ids = torch.full((n, self.length + 1), self.end, device=rows.device)
        ids.scatter_(1, place, self.table[rows].flatten(1))
        ids[:, 0] = self.start
        ids[:, self.length - 1] = self.end  # a prompt that is too long is cut, its end kept
        return ids[:, : self.length]


def fragment_tokens(book: Book, tokenizer) -> Tokens:
    ids = [tokenizer(text, add_special_tokens=False).input_ids for text in book.fragments]
    longest = max(map(len, ids))
    table = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    return Tokens(
        table,
        torch.tensor([len(row) for row in ids]),
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.model_max_length,
    )
