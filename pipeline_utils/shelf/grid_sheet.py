"""The contact sheet of a grid: a row for each seed, a column for each suffix, and their names at the edges."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from pipeline_utils.picture.picture import Picture
from pipeline_utils.recipe.rounds import towards
from pipeline_utils.shelf import contact_sheet as sheet
from pipeline_utils.shelf.contact_sheet import MARGIN, MAX_PICTURES, contact_sheet, font_for, wrap

ROW_LABEL = 150  # pixels, left of a row
ROW_LINES = 6

Rows = list[dict[str | None, Picture]]  # the pictures of each row by suffix; None: the control


def round_sheet(pictures: Sequence[Picture], title: str | None = None) -> Image.Image:
    """Pictures that form a grid as one with its names at the edges, others as a contact sheet. Raises as that."""
    rows = grid_rows(pictures)
    return _grid_sheet(rows, title or "") if rows and len(pictures) <= MAX_PICTURES else contact_sheet(pictures, title)


def grid_rows(pictures: Sequence[Picture]) -> Rows | None:
    """The rows of a grid: each has a control, and a suffix once at most. None where the pictures form no grid."""
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


def _grid_sheet(rows: Rows, title: str) -> Image.Image:
    columns = list(dict.fromkeys([None, *(suffix for row in rows for suffix in row)]))
    # 1. Measure: one cell size for all.
    tiles = [{suffix: sheet.tile(picture.image) for suffix, picture in row.items()} for row in rows]
    sizes = [tile.size for row in tiles for tile in row.values()]
    wide, tall = max(sheet.MIN_TILE, *(width for width, _ in sizes)), max(height for _, height in sizes)
    width = MARGIN + ROW_LABEL + len(columns) * (wide + MARGIN)
    # 2. Names: the suffixes above, the seeds at the left, with their prompts where these differ.
    prompts = {row[None].recipe.prompt for row in rows}
    names = [sheet.printable((suffix or "").lstrip(" ,") or "control") for suffix in columns]
    seeds = [towards(row[None].recipe) for row in rows]
    if len(prompts) > 1:
        seeds = [f"{seed}: {sheet.printable(row[None].recipe.prompt)}" for seed, row in zip(seeds, rows, strict=True)]
    large, font = font_for(sheet.printable(title), sheet.TITLE_SIZE), font_for("".join(names + seeds), sheet.LABEL_SIZE)
    heading = wrap(sheet.printable(title), large, width - 2 * MARGIN, sheet.TITLE_LINES)
    above = [wrap(name, font, wide, sheet.LABEL_LINES) for name in names]
    line, title_line = sheet.LABEL_SIZE + 6, sheet.TITLE_SIZE + 8
    top = MARGIN + len(heading) * title_line + line * max(map(len, above)) + MARGIN
    # 3. Draw.
    made = Image.new("RGB", (width, top + len(rows) * (tall + MARGIN)), sheet.PAPER)
    draw = ImageDraw.Draw(made)
    for n, text in enumerate(heading):
        draw.text((MARGIN, MARGIN + n * title_line), text, sheet.INK, large)
    for column, texts in enumerate(above):
        left = MARGIN + ROW_LABEL + column * (wide + MARGIN)
        for n, text in enumerate(reversed(texts)):  # upwards from the pictures
            draw.text((left, top - 6 - (n + 1) * line), text, sheet.INK, font)
    for row, (pictures, seed) in enumerate(zip(tiles, seeds, strict=True)):
        y = top + row * (tall + MARGIN)
        for n, text in enumerate(wrap(seed, font, ROW_LABEL - MARGIN, ROW_LINES)):
            draw.text((MARGIN, y + n * line), text, sheet.INK, font)
        for suffix, tile in pictures.items():
            left = MARGIN + ROW_LABEL + columns.index(suffix) * (wide + MARGIN)
            made.paste(tile, (left + (wide - tile.width) // 2, y + (tall - tile.height) // 2))
    return made
