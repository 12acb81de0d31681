"""The words of prompts beside things and styles: grounds, and ways to begin."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ground:
    """``phrases``: ways to say it. Two colours are a fall from top to bottom."""

    name: str
    phrases: tuple[str, ...]
    top: str
    bottom: str


def _plain(name: str, colour: str, *more: str) -> Ground:
    article = "an" if name[0] in "aeiou" else "a"
    phrases = [f"on {article} {said} background" for said in (name, *more)]
    return Ground(name, tuple(phrases), colour, colour)


# The order is that of ground ids in every checkpoint: append, never reorder.
GROUNDS = (
    _plain("white", "#ffffff"),
    _plain("black", "#0c0c10"),
    _plain("grey", "#9a9da3", "gray"),
    _plain("red", "#d8342f"),
    _plain("orange", "#f58a1f"),
    _plain("yellow", "#fbd33a"),
    _plain("green", "#3fa34d"),
    _plain("blue", "#2f6fde"),
    _plain("purple", "#7c3fc4"),
    _plain("pink", "#f58fb8"),
    _plain("brown", "#8a5a36"),
    Ground("night", ("at night", "in the dark"), "#070b24", "#1f2c63"),
    Ground("sunset", ("at sunset", "in the evening"), "#5b3a8c", "#ff9a56"),
    Ground("sky", ("in the sky", "in daylight"), "#5fb4f5", "#d8f0ff"),
)
PREFIXES = ("a picture of", "an emoji of", "a drawing of", "an image of", "a photo of")
FILLERS = ("cute", "nice", "beautiful", "simple", "little")


def with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
