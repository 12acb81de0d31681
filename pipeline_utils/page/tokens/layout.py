"""What of the words is read, said while they are typed: what would be cut is struck through, and what a model that
lists its words does not know is named, with words that it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from html import escape
from itertools import islice
from typing import TYPE_CHECKING

import gradio as gr

from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.models.tokens import Meter, meters
from pipeline_utils.models.vocabulary import vocabulary
from pipeline_utils.page.events import LATE
from pipeline_utils.page.rounds.panels import Changes
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.recipe.recipe import check_text
from pipeline_utils.recipe.rounds import MAX_SUFFIX, MAX_SUFFIXES
from pipeline_utils.studio import Studio

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_NEAR = 0.9  # of the limit: from here on a style is worth a line of its own
_MOST = 5  # words that are not known are named
_TOKENS = "A token is a word or a piece of one. A text encoder reads so many, and the markers at both ends count too."


def wire(parts: dict[str, gr.blocks.Block], on: Callable[..., None], studio: Studio, here: gr.JSON) -> None:
    """on(triggers, function, inputs, changes, **options) adds an event of the page, as in rounds/layout.py."""
    typed = [parts[name].change for name in ("prompt", "suffixes", "pick", "note", "loading")]
    asked = [here, parts["prompt"], parts["suffixes"]]
    on(typed, Words(studio).words, asked, ("words", "suffix_words"), **LATE)


class Words:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def words(self, visit: Visit, prompt: str, suffixes: list[str]) -> Changes:
        """The meters of the prompt, and of the pick's prompt with each suffix. Never loads a model."""
        rows, twice = [], []
        if visit.pick and isinstance(suffixes, list):
            recipe = visit.pick.recipe
            pipe = self._pipe(recipe.model, recipe.revision)
            for suffix in suffixes[:MAX_SUFFIXES]:
                if isinstance(suffix, str) and len(suffix) <= MAX_SUFFIX and suffix.strip(" ,"):
                    if suffix.strip(" ,") in [part.strip() for part in recipe.prompt.split(",")]:
                        twice.append(suffix)
                    rows.append((suffix, _measured(pipe, recipe.prompt + suffix)))
            new = self._unknown(recipe.model, recipe.revision, " ".join(suffix for suffix, _ in rows))
        else:
            new = {}
        return {
            "words": prompt_words(_measured(self._pipe(visit.model), prompt))
            + unknown_words(self._unknown(visit.model, "", prompt)),
            "suffix_words": suffix_words(rows) + unknown_words(new) + twice_words(twice),
        }

    def _unknown(self, model: str, revision: str, text: object) -> dict[str, tuple[str, ...]]:
        """What of `text` the model does not know, where it lists its words."""
        with suppress(ModelError, InputError):
            check_text("prompt", text)
            known = vocabulary(self.studio.models.meant(model, revision))
            return known.unknown(text) if known else {}
        return {}

    def _pipe(self, model: str, revision: str = "") -> DiffusionPipeline | None:
        """The model in memory where that is the one meant, else None; a round of it says why."""
        with suppress(ModelError):
            held = self.studio.models.held(self.studio.models.meant(model, revision))
            return held and held.pipe
        return None


def _measured(pipe: DiffusionPipeline | None, prompt: object) -> list[Meter]:
    """[] without a model, and for what is no prompt; its round says why."""
    with suppress(InputError):
        check_text("prompt", prompt)
        return meters(pipe, prompt) if pipe is not None and prompt.strip() else []
    return []


def prompt_words(meters: Sequence[Meter]) -> str:
    """The line under the prompt."""
    return f'<div class="words">{_line(meters)}</div>' if meters else ""


def suffix_words(rows: Sequence[tuple[str, Sequence[Meter]]]) -> str:
    """Below the list of suffixes: those that fill an encoder, or one quiet line. rows: (suffix, meters)."""
    rows = [(suffix, meters) for suffix, meters in rows if meters]
    if not rows:
        return ""
    full = [(suffix, meters) for suffix, meters in rows if _fullness(meters) > _NEAR]
    if not full:
        _, longest = max(rows, key=lambda row: _fullness(row[1]))
        return f'<div class="words">{_line(longest, "With the longest style: ")}</div>'
    items = "".join(f"<li><b>{escape(suffix.strip(' ,'))}</b> {_line(meters)}</li>" for suffix, meters in full)
    return f'<ul class="words" aria-label="Styles near the end of what is read">{items}</ul>'


def unknown_words(words: Mapping[str, Sequence[str]]) -> str:
    """Words that the model was not taught, each with things near it that it was."""
    if not words:
        return ""
    shown = [
        f"<b>{escape(word)}</b>: not known{escape('; ' * bool(near) + ', '.join(near))}"
        for word, near in islice(words.items(), _MOST)
    ]
    more = f" · and {len(words) - _MOST} more" if len(words) > _MOST else ""
    return f'<p class="unknown">{" · ".join(shown)}{more}</p>'


def twice_words(suffixes: Sequence[str]) -> str:
    """Below the list of suffixes: those that the pick's prompt has already."""
    if not suffixes:
        return ""
    names = ", ".join(f"<b>{escape(suffix.strip(' ,'))}</b>" for suffix in suffixes)
    return f'<p class="twice">The pick has {names} already; once more it would stand there twice.</p>'


def _fullness(meters: Sequence[Meter]) -> float:
    return max(meter.used / meter.limit for meter in meters)


def _line(meters: Sequence[Meter], lead: str = "") -> str:
    counts = []
    for meter in meters:
        name = f"{meter.encoder} " if len(meters) > 1 else ""
        kind = "over" if meter.tail else "near" if meter.used > _NEAR * meter.limit else "fits"
        counts.append(f'<span class="{kind}">{name}{meter.used} of {meter.limit}</span>')
    text = f'<p title="{_TOKENS}">{lead}{" · ".join(counts)} tokens</p>'
    tails: dict[str, list[str]] = {}
    for meter in meters:
        if meter.tail:
            tails.setdefault(meter.tail, []).append(meter.encoder)
    for tail, encoders in tails.items():
        who = "Not read" if len(encoders) == len(meters) else f"Not read by {' and '.join(encoders)}"
        text += f'<p class="unread">{who}: <s>{escape(tail)}</s></p>'
    return text
