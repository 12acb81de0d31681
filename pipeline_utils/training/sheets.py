"""Contact sheets: what the model card shows."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from .composition import foreground
from .evaluate import SUFFIXES, article
from .render import Pictures
from .sampling import make_pictures

GAP = 2
LABEL = 74  # pixels left of a row, for its name


def grid(pictures: torch.Tensor, columns: int, rows: list[str], heads: list[str], zoom: int = 1):
    """Pictures [n, 3, s, s] in [0, 1], row by row, with names at the sides."""
    side = pictures.shape[-1] * zoom
    top = 14 if heads else 0
    count = -(-len(pictures) // columns)
    left = LABEL if rows else 0
    sheet = Image.new("RGB", (left + columns * (side + GAP), top + count * (side + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, picture in enumerate(pictures):
        pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(tile, (left + i % columns * (side + GAP), top + i // columns * (side + GAP)))
    for i, text in enumerate(rows):
        pen.text((2, top + i * (side + GAP) + side // 2 - 6), text, fill="black")
    for i, text in enumerate(heads):
        pen.text((left + i * (side + GAP) + 1, 1), text[: side // 6], fill="black")
    return sheet


def save(sheet: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".webp":
        sheet.save(path, quality=82, method=6)
    else:
        sheet.save(path)


def rounds_sheet(pipe, prompt: str, suffixes: list[str], seeds: int, steps: int, guidance: float):
    """Rows: seeds. Columns: no suffix (round one), then each suffix (round two)."""
    columns = ["", *suffixes]
    prompts = [prompt + s for _ in range(seeds) for s in columns]
    numbers = [seed for seed in range(seeds) for _ in columns]
    made = make_pictures(pipe, prompts, numbers, steps, guidance)
    heads = ["round one", *(s.strip(", ") for s in suffixes)]
    return grid(made, len(columns), [f"seed {i}" for i in range(seeds)], heads)


def styles_sheet(pipe, names: list[str], seed: int, steps: int, guidance: float):
    """Rows: concepts. Columns: every trained suffix, all of one seed."""
    columns = ["", *SUFFIXES]
    prompts = [article(n) + s for n in names for s in columns]
    made = make_pictures(pipe, prompts, [seed] * len(prompts), steps, guidance)
    return grid(made, len(columns), names, ["no suffix", *(s.strip(", ") for s in SUFFIXES)])


def _cropped(pictures: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Objects cut to their bounding box and scaled to 32 x 32, so that placement is no hiding."""
    side, out = pictures.shape[-1], []
    masks = F.interpolate(masks[:, None], size=(side, side), mode="bilinear")[:, 0]
    for picture, mask in zip(pictures, masks, strict=True):
        rows = (mask.amax(1) > 0.4).nonzero().flatten().tolist() or [0, side - 1]
        cols = (mask.amax(0) > 0.4).nonzero().flatten().tolist() or [0, side - 1]
        cut = picture[:, rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        out.append(F.interpolate(cut[None], size=(32, 32), mode="bilinear", antialias=True)[0])
    return torch.stack(out)


def neighbours_sheet(pictures: Pictures, made: torch.Tensor, size: int, near: int = 3):
    """Generated pictures, each followed by the training pictures nearest to it.

    Nearest in colour after cutting both to the object's bounding box, mirrored or not.
    """
    rgba = pictures.rgba.float() / 255
    white = F.interpolate(rgba[:, :3] + 1 - rgba[:, 3:], size=(size, size), mode="area")
    known = _cropped(white, F.interpolate(rgba[:, 3:], size=(size, size), mode="area")[:, 0])
    masks = foreground(made)
    ours = _cropped(made, masks)
    both = torch.cat([known, known.flip(-1)])
    apart = (ours[:, None] - both[None]).square().mean((2, 3, 4))
    best = apart.topk(near, largest=False).indices % len(known)
    tiles = torch.cat([torch.cat([m[None], white[b]]) for m, b in zip(made, best, strict=True)])
    return grid(tiles, 2 * (1 + near), [], [])
