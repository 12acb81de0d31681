"""The vocabulary of prompts: styles, backgrounds, colours, placements, and what they show."""

from __future__ import annotations

from dataclasses import dataclass

from .packages import SETS

SET_IDS = {item.style: i for i, item in enumerate(SETS)}
# How often a free design comes from each coloured set. The three Fluent sets, which share
# one drawing, lead: a second round keeps its pick's outline best where designs agree.
COLOURED = {
    SET_IDS["3d"]: 2.0,
    SET_IDS["gradient"]: 2.0,
    SET_IDS["flat"]: 1.0,
    SET_IDS["glossy"]: 1.0,
    SET_IDS["sticker"]: 0.7,
    SET_IDS["blob"]: 0.4,
    SET_IDS["cartoon"]: 0.3,
}
# Sets without a word of their own: at this size nobody tells gradient from 3d.
NAMELESS = (SET_IDS["gradient"], SET_IDS["cartoon"])
LOOKS = (
    "none",
    "realistic",
    "artsy",
    "trending",
    "colorful",
    "pixel art",
    "pencil sketch",
    "watercolor",
    "sepia",
    "neon",
    "pastel",
)


@dataclass(frozen=True)
class Style:
    """A suffix word: the sets it may be drawn from and how often, the look put on top."""

    word: str
    sets: dict[int, float]
    look: int = 0
    weight: float = 1.0


# A set's own hand is harder to learn than a look that changes every pixel: it is met more often.
WEIGHTS = {"3d": 1.2, "line art": 1.0, "pixel art": 2.0}
# Style 0 is a prompt without any style word: the seed chooses among the coloured sets.
STYLES: tuple[Style, ...] = (
    Style("", COLOURED, weight=4.5),
    *(
        Style(SETS[i].style, {i: 1.0}, weight=WEIGHTS.get(SETS[i].style, 2.0))
        for i in range(len(SETS))
        if i not in NAMELESS
    ),
    Style("highly realistic", {SET_IDS["3d"]: 1.0}, LOOKS.index("realistic"), 1.2),
    Style("artsy", COLOURED, LOOKS.index("artsy")),
    Style("trending", {SET_IDS["gradient"]: 1.0}, LOOKS.index("trending")),
    Style("colorful", COLOURED, LOOKS.index("colorful")),
    *(Style(word, COLOURED, LOOKS.index(word), WEIGHTS.get(word, 1.0)) for word in LOOKS[5:]),
)
STYLE_IDS = {style.word: i for i, style in enumerate(STYLES)}
INK = (SET_IDS["line art"], SET_IDS["silhouette"])  # black drawings: white on dark backgrounds

# Words with two colours are a fall from top to bottom.
BACKGROUNDS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    # name, ways to say it, top, bottom
    ("white", ("on a white background",), "#ffffff", "#ffffff"),
    ("black", ("on a black background",), "#0c0c10", "#0c0c10"),
    ("grey", ("on a grey background", "on a gray background"), "#9a9da3", "#9a9da3"),
    ("red", ("on a red background",), "#d8342f", "#d8342f"),
    ("orange", ("on an orange background",), "#f58a1f", "#f58a1f"),
    ("yellow", ("on a yellow background",), "#fbd33a", "#fbd33a"),
    ("green", ("on a green background",), "#3fa34d", "#3fa34d"),
    ("blue", ("on a blue background",), "#2f6fde", "#2f6fde"),
    ("purple", ("on a purple background",), "#7c3fc4", "#7c3fc4"),
    ("pink", ("on a pink background",), "#f58fb8", "#f58fb8"),
    ("brown", ("on a brown background",), "#8a5a36", "#8a5a36"),
    ("night", ("at night", "in the dark"), "#070b24", "#1f2c63"),
    ("sunset", ("at sunset", "in the evening"), "#5b3a8c", "#ff9a56"),
    ("sky", ("in the sky", "in daylight"), "#5fb4f5", "#d8f0ff"),
)
# Backgrounds that a seed may choose by itself; soft ones, so that pictures stay pleasant.
UNNAMED_BACKGROUNDS = (
    "#fde2e4", "#ffe5c7", "#fff3bf", "#d8f3dc", "#cfeefa", "#d0d9ff", "#e6d6fa", "#ffd6ec",
    "#f4a261", "#e9c46a", "#8ecae6", "#90be6d", "#b392d6", "#f28482", "#5fa8d3", "#6c757d",
    "#264653", "#3d348b",
)  # fmt: skip

TINTS: tuple[tuple[str, str], ...] = (
    ("red", "#e0262b"),
    ("orange", "#f5841f"),
    ("yellow", "#f8cf1c"),
    ("green", "#35a845"),
    ("blue", "#2b6ce0"),
    ("purple", "#8440cc"),
    ("pink", "#f277b0"),
    ("golden", "#dba520"),
)


def rgb(code: str) -> tuple[float, float, float]:
    """``#rrggbb`` as three numbers in [0, 1]."""
    return tuple(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
