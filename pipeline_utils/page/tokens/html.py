"""How full the text encoders are, in words for the page: what would be cut is struck through."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pipeline_utils.models.tokens import Meter

_NEAR = 0.9  # of the limit: from here on a style is worth a line of its own
_TOKENS = "A token is a word or a piece of one. A text encoder reads so many, and the markers at both ends count too."


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
