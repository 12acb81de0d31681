"""A round on one sheet: a labelled picture after the other, or a row for each seed and a column for each suffix."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from pipeline_utils.errors import InputError
from pipeline_utils.picture.picture import Picture
from pipeline_utils.recipe.rounds import towards, way

MAX_PICTURES = 64
MIN_TILE, MAX_TILE = 256, 512  # pixels of a tile's longer side
MARGIN = 16  # pixels
ROW_LABEL = 150  # pixels, left of a row of a grid
TITLE_LINES, LABEL_LINES, ROW_LINES = 2, 3, 6

_PAPER, _INK, _FAINT = (255, 255, 255), (24, 24, 27), (113, 113, 122)
_LABEL_SIZE, _TITLE_SIZE = 16, 22  # pixels
_LINE, _TITLE_LINE = 22, 30  # pixels from one line to the next
# Looked for by name when a label is in a script that Pillow's own font lacks.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "Arial Unicode.ttf",
    "msgothic.ttc",
    "segoeui.ttf",
)
_DASHES_AND_QUOTES = str.maketrans("—–‐‘’“”„", '---\'\'"""')
_READ = 400  # characters of a label that are looked at; more never fit


def round_sheet(pictures: Sequence[Picture], title: str | None = None) -> Image.Image:
    """Pictures that form a grid as one with its names at the edges, others as a contact sheet. Raises as that."""
    rows = grid_rows(pictures)
    return _grid_sheet(rows, title or "") if rows and len(pictures) <= MAX_PICTURES else contact_sheet(pictures, title)


def contact_sheet(pictures: Sequence[Picture], title: str | None = None) -> Image.Image:
    """1 to 64 pictures in a grid that is as square as can be, RGB, at most 4,300 pixels wide.

    Small pictures are enlarged smoothly, by a whole factor, to at least 256 pixels, large ones reduced
    to 512. Under each: its seed and variation, and its suffix or "control"; "pick" where another picture of
    the sheet came from it. Raises InputError when there are no pictures, or too many.
    """
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise InputError("pictures", len(pictures), f"a contact sheet holds 1 to {MAX_PICTURES}")
    # 1. Measure.
    tiles = [tile(picture.image) for picture in pictures]
    wide, tall = _cell(tiles)
    columns = math.ceil(math.sqrt(len(tiles)))
    parents = {picture.lineage.parent for picture in pictures}
    labels = [label(picture, picture.id in parents) for picture in pictures]
    fonts = [font_for(head + tail, _LABEL_SIZE) for head, tail in labels]
    texts = [[head, *wrap(tail, font, wide, LABEL_LINES - 1)] for (head, tail), font in zip(labels, fonts, strict=True)]
    # 2. Lay out: every row is as high as its longest label.
    rows = [range(at, min(at + columns, len(tiles))) for at in range(0, len(tiles), columns)]
    heights = [tall + _LINE * max(len(texts[i]) for i in row) + MARGIN for row in rows]
    sheet, draw, top = _titled(title or "", columns * (wide + MARGIN) + MARGIN, sum(heights) + MARGIN)
    # 3. Draw.
    for row, height in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            left = MARGIN + column * (wide + MARGIN)
            _paste(sheet, tiles[i], left, top, wide, tall)
            for n, text in enumerate(texts[i]):
                draw.text((left, top + tall + 4 + n * _LINE), text, _FAINT if n else _INK, fonts[i])
        top += height
    return sheet


def grid_rows(pictures: Sequence[Picture]) -> list[dict[str | None, Picture]] | None:
    """The pictures of each row of a grid by suffix, the control under None. None where they form no grid.

    In a grid each row has a control, and a suffix once at most.
    """
    rows: dict[str, dict[str | None, Picture]] = {}
    for picture in pictures:
        line = picture.lineage
        if line.parent is None or (line.suffix is None) != line.control:
            return None
        row = rows.setdefault(line.parent, {})
        if line.suffix in row:
            return None
        row[line.suffix] = picture
    return list(rows.values()) if len(rows) > 1 and all(None in row for row in rows.values()) else None


def _grid_sheet(rows: list[dict[str | None, Picture]], title: str) -> Image.Image:
    columns = list(dict.fromkeys([None, *(suffix for row in rows for suffix in row)]))
    # 1. Measure.
    tiles = [{suffix: tile(picture.image) for suffix, picture in row.items()} for row in rows]
    wide, tall = _cell([each for row in tiles for each in row.values()])
    # 2. Names: the suffixes above, the seeds at the left, with their prompts where these differ.
    names = [printable((suffix or "").lstrip(" ,") or "control") for suffix in columns]
    recipes = [row[None].recipe for row in rows]
    seeds = [towards(recipe) for recipe in recipes]
    if len({recipe.prompt for recipe in recipes}) > 1:
        seeds = [f"{seed}: {printable(recipe.prompt)}" for seed, recipe in zip(seeds, recipes, strict=True)]
    font = font_for("".join(names + seeds), _LABEL_SIZE)
    above = [wrap(name, font, wide, LABEL_LINES) for name in names]
    head = _LINE * max(map(len, above)) + (0 if title.split() else MARGIN)
    width = MARGIN + ROW_LABEL + len(columns) * (wide + MARGIN)
    sheet, draw, top = _titled(title, width, head + len(rows) * (tall + MARGIN))
    top += head
    lefts = {suffix: MARGIN + ROW_LABEL + at * (wide + MARGIN) for at, suffix in enumerate(columns)}
    # 3. Draw.
    for left, lines in zip(lefts.values(), above, strict=True):
        _write(draw, lines, left, top - 6 - _LINE * len(lines), font)
    for row, seed in zip(tiles, seeds, strict=True):
        _write(draw, wrap(seed, font, ROW_LABEL - MARGIN, ROW_LINES), MARGIN, top, font)
        for suffix, each in row.items():
            _paste(sheet, each, lefts[suffix], top, wide, tall)
        top += tall + MARGIN
    return sheet


def label(picture: Picture, picked: bool) -> tuple[str, str]:
    """The line and the further text under a picture."""
    mark = " · control" if picture.lineage.control else " · pick" if picked else ""
    mark += " · blacked out" if picture.flagged else ""
    suffix = (picture.lineage.suffix or "").lstrip(" ,")  # as it is joined to a prompt: ", watercolor"
    return f"seed {picture.recipe.seed}{mark}", printable("; ".join(filter(None, (way(picture.recipe), suffix))))


def printable(text: str) -> str:
    """`text` with characters that Pillow's own font has."""
    return text.translate(_DASHES_AND_QUOTES)


def wrap(text: str, font: ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """`text` in at most `lines` lines of `width` pixels; what does not fit ends in an ellipsis."""
    words, wrapped = text[:_READ].split(), []
    while words and len(wrapped) < lines:
        line = words.pop(0)
        while words and font.getlength(f"{line} {words[0]}") <= width:
            line += " " + words.pop(0)
        fits = _fitting(line, font, width)
        if fits < len(line):  # one word wider than the line
            words.insert(0, line[fits:])
        wrapped.append(line[:fits])
    if wrapped and (words or len(text) > _READ):
        last = wrapped[-1] + "…"
        while len(last) > 1 and font.getlength(last) > width:
            last = last[:-2].rstrip() + "…"
        wrapped[-1] = last
    return wrapped


def tile(image: Image.Image) -> Image.Image:
    longer = max(image.size)
    factor = math.ceil(MIN_TILE / longer) if longer < MIN_TILE else min(1, MAX_TILE / longer)
    return ImageOps.scale(image, factor, Image.Resampling.LANCZOS)


def _cell(tiles: Sequence[Image.Image]) -> tuple[int, int]:
    """Width and height of one cell for all, so that the grid stays straight with pictures of any shape."""
    return max(MIN_TILE, *(each.width for each in tiles)), max(each.height for each in tiles)


def _titled(title: str, width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """A sheet with nothing but its title, what draws on it, and where its `height` pixels below the title begin."""
    title = printable(title)
    font = font_for(title, _TITLE_SIZE)
    lines = wrap(title, font, width - 2 * MARGIN, TITLE_LINES)
    top = MARGIN + _TITLE_LINE * len(lines) + (MARGIN if lines else 0)
    sheet = Image.new("RGB", (width, top + height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for n, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + n * _TITLE_LINE), line, _INK, font)
    return sheet, draw, top


def _write(draw: ImageDraw.ImageDraw, lines: Sequence[str], left: int, top: int, font: ImageFont.FreeTypeFont) -> None:
    for n, line in enumerate(lines):
        draw.text((left, top + n * _LINE), line, _INK, font)


def _paste(sheet: Image.Image, tile: Image.Image, left: int, top: int, wide: int, tall: int) -> None:
    """In the middle of its cell."""
    sheet.paste(tile, (left + (wide - tile.width) // 2, top + (tall - tile.height) // 2))


def _fitting(word: str, font: ImageFont.FreeTypeFont, width: int) -> int:
    """How many characters of `word` fit, at least one."""
    lengths = range(1, len(word) + 1)
    return max(1, bisect.bisect_right(lengths, width, key=lambda count: font.getlength(word[:count])))


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The first font that has every character of `text`; Pillow's own, which is Latin, if none has."""
    plain = ImageFont.load_default(size)
    for name in (None, *_SYSTEM_FONTS):
        font = plain if name is None else _system_font(name, size)
        if font and all(_draws(font, c) for c in set(text[:_READ]) if not c.isspace()):
            return font
    return plain


@functools.cache
def _system_font(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)  # looked for where the system keeps its fonts
    except OSError:
        return None


def _draws(font: ImageFont.FreeTypeFont, character: str) -> bool:
    """Whether the font has the character: without it, it draws what it draws for one that cannot be."""
    return bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))
