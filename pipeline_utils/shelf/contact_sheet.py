"""A round on one page: a labelled grid of pictures, and all their files in one zip."""

from __future__ import annotations

import bisect
import functools
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline_utils.errors import InputError, PictureError
from pipeline_utils.files import writing
from pipeline_utils.picture.picture import Picture
from pipeline_utils.recipe.rounds import way

MAX_PICTURES = 64
MIN_TILE, MAX_TILE = 256, 512  # pixels of a tile's longer side
MARGIN = 16  # pixels
LABEL_LINES = 3
TITLE_LINES = 2

PAPER, INK, _FAINT = (255, 255, 255), (24, 24, 27), (113, 113, 122)
LABEL_SIZE, TITLE_SIZE = 16, 22  # pixels
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


def contact_sheet(pictures: Sequence[Picture], title: str | None = None) -> Image.Image:
    """1 to 64 pictures in a grid that is as square as can be, RGB, at most 4,300 pixels wide.

    Small pictures are enlarged smoothly, by a whole factor, to at least 256 pixels, large ones reduced
    to 512. Under each: its seed and variation, and its suffix or "control"; "pick" where another picture of
    the sheet came from it. Raises InputError when there are no pictures, or too many.
    """
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise InputError("pictures", len(pictures), f"a contact sheet holds 1 to {MAX_PICTURES}")
    # 1. Measure: one cell size for all, so that the grid stays straight with pictures of any shape.
    tiles = [tile(picture.image) for picture in pictures]
    cell = max(MIN_TILE, *(tile.width for tile in tiles))
    tall = max(tile.height for tile in tiles)
    columns = math.ceil(math.sqrt(len(tiles)))
    width = columns * (cell + MARGIN) + MARGIN
    parents = {picture.lineage.parent for picture in pictures}
    labels = [label(picture, picture.id in parents) for picture in pictures]
    title = printable(title or "")
    large = font_for(title, TITLE_SIZE)
    heading = wrap(title, large, width - 2 * MARGIN, TITLE_LINES)
    fonts = [font_for(head + tail, LABEL_SIZE) for head, tail in labels]
    texts = [[head, *wrap(tail, font, cell, LABEL_LINES - 1)] for (head, tail), font in zip(labels, fonts, strict=True)]
    # 2. Lay out: every row is as high as its longest label.
    rows = [range(at, min(at + columns, len(tiles))) for at in range(0, len(tiles), columns)]
    line, title_line = LABEL_SIZE + 6, TITLE_SIZE + 8
    heights = [tall + line * max(len(texts[i]) for i in row) + MARGIN for row in rows]
    top = MARGIN + len(heading) * title_line + (MARGIN if heading else 0)
    sheet = Image.new("RGB", (width, top + sum(heights) + MARGIN), PAPER)
    # 3. Draw.
    draw = ImageDraw.Draw(sheet)
    for n, text in enumerate(heading):
        draw.text((MARGIN, MARGIN + n * title_line), text, INK, large)
    for row, height in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            left = MARGIN + column * (cell + MARGIN)
            sheet.paste(tiles[i], (left + (cell - tiles[i].width) // 2, top + (tall - tiles[i].height) // 2))
            for n, text in enumerate(texts[i]):
                draw.text((left, top + tall + 4 + n * line), text, _FAINT if n else INK, fonts[i])
        top += height
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


def zip_pictures(paths: Sequence[Path], file: Path) -> None:
    """Put the files into a zip as they are, uncompressed (PNG is), in order, under their own names.

    The same files give the same bytes: no dates, no machine's file modes. Raises InputError when two
    have one name, PictureError when one cannot be read, CapacityError when the disk is full.
    """
    names = [path.name for path in paths]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError("pictures", twice, "each file stands once in a zip")
    with writing(file) as stream, zipfile.ZipFile(stream, "w") as archive:
        for path, name in zip(paths, names, strict=True):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # stored, not deflated
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, _content(path))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:  # deleted meanwhile, as a rule
        raise PictureError(f"The file {path.name} cannot be read: {error.strerror}.") from error


def tile(image: Image.Image) -> Image.Image:
    longer = max(image.size)
    if longer < MIN_TILE:
        factor = math.ceil(MIN_TILE / longer)
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.LANCZOS)
    if longer > MAX_TILE:
        size = [max(1, round(side * MAX_TILE / longer)) for side in image.size]
        return image.resize(size, Image.Resampling.LANCZOS)
    return image


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
