"""Contact sheets: what people look at before they believe a figure."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from PIL import Image, ImageDraw

from ..data.render import Drawings
from ..export import make_pictures

GAP = 2
LABEL = 90  # pixels left of a row, for its name
KNOWN_SIDE = 32  # at which drawings are compared


def grid(pictures: torch.Tensor, columns: int, rows: list[str] = (), heads: list[str] = ()) -> Image.Image:
    """Pictures [n, 3, s, s] in [0, 1], row by row, with names at the sides."""
    side, top, left = pictures.shape[-1], 14 if heads else 0, LABEL if rows else 0
    count = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (left + columns * (side + GAP), top + count * (side + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, picture in enumerate(pictures):
        pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(pixels), (left + i % columns * (side + GAP), top + i // columns * (side + GAP)))
    for i, text in enumerate(rows):
        pen.text((2, top + i * (side + GAP) + side // 2 - 6), text, fill="black")
    for i, text in enumerate(heads):
        pen.text((left + i * (side + GAP) + 1, 1), text[: side // 6], fill="black")
    return sheet


def suffixes_sheet(pipe: DiffusionPipeline, rows: list[tuple[str, str, int]], suffixes: list[str], how: tuple):
    """``rows``: name, prompt, seed. Columns: no suffix, then each. ``how``: steps, guidance."""
    columns = ["", *suffixes]
    prompts = [prompt + suffix for _, prompt, _ in rows for suffix in columns]
    made = make_pictures(pipe, prompts, [seed for *_, seed in rows for _ in columns], *how)
    return grid(made, len(columns), [name for name, *_ in rows], ["no suffix", *(s.strip(", ") for s in suffixes)])


def neighbours_sheet(drawings: Drawings, made: torch.Tensor, near: int = 3):
    """Generated pictures, each followed by the drawings that are nearest to it, mirrored or not."""
    flat = drawings.rgba[drawings.share > 0].flatten(0, 1).float() / 255
    white = flat[:, :3] + 1 - flat[:, 3:]
    white = torch.cat([white, white.flip(-1)])
    small = lambda x: F.interpolate(x, size=(KNOWN_SIDE,) * 2, mode="area").flatten(1)  # noqa: E731
    best = torch.cdist(small(made), small(white)).topk(near, largest=False).indices
    tiles = torch.cat([torch.cat([m[None], white[b]]) for m, b in zip(made, best, strict=True)])
    return grid(tiles, 2 * (1 + near))
