"""Turn the fetched sets into one tensor of RGBA pictures.

Alpha is kept: backgrounds, placement and looks are drawn when a batch is made.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .concepts import Concept
from .packages import SETS, read_json


@dataclass
class Pictures:
    """The whole data set in memory.

    rgba: uint8 [n, 4, s, s], colour premultiplied by alpha, so that sampling between
    pixels never mixes in the colour of what is transparent.
    concept, style: int64 [n]. table: int64 [concepts, styles], -1 where a set lacks one.
    names: the caption's word of each concept.
    """

    rgba: torch.Tensor
    concept: torch.Tensor
    style: torch.Tensor
    table: torch.Tensor
    names: list[str]
    tags: list[tuple[str, ...]]

    def to(self, device: torch.device | str) -> Pictures:
        return Pictures(
            *(t.to(device) for t in (self.rgba, self.concept, self.style, self.table)),
            self.names,
            self.tags,
        )

    def save(self, path: Path) -> None:
        torch.save(self.__dict__, path)

    @staticmethod
    def load(path: Path) -> Pictures:
        return Pictures(**torch.load(path, weights_only=True))


def assemble(drawings: dict[tuple[int, int], np.ndarray], names: list[str], tags: list[tuple[str, ...]]) -> Pictures:
    """``drawings``: (concept, style) -> uint8 [s, s, 4], colour not premultiplied."""
    keys = sorted(drawings)
    table = torch.full((len(names), len(SETS)), -1, dtype=torch.long)
    planes = []
    for row, (concept, style) in enumerate(keys):
        table[concept, style] = row
        pixels = drawings[concept, style].astype(np.float32)
        pixels[..., :3] *= pixels[..., 3:] / 255
        planes.append(torch.from_numpy(pixels.round().astype(np.uint8)).permute(2, 0, 1))
    ids = torch.tensor(keys)
    return Pictures(torch.stack(planes), ids[:, 0], ids[:, 1], table, names, tags)


def render(folder: Path, concepts: list[Concept], side: int) -> Pictures:
    """Draw every concept in every set that has it."""
    drawings: dict[tuple[int, int], np.ndarray] = {}
    for style, item in enumerate(SETS):
        archive = folder / item.archive
        drawer = _webp_drawer(archive) if "3d" in item.package else _svg_drawer(archive)
        for row, concept in enumerate(concepts):
            picture = drawer(concept, side)
            if picture is not None:
                drawings[row, style] = picture
    return assemble(drawings, [c.name for c in concepts], [c.tags for c in concepts])


def _svg_drawer(archive: Path):
    """Draws from an iconify set: SVG bodies by slug, some as an alias of another."""
    import resvg_py

    icons = read_json(archive, "icons.json")
    bodies, aliases = icons["icons"], icons.get("aliases", {})

    def draw(concept: Concept, side: int) -> np.ndarray | None:
        slug = concept.slug
        while slug in aliases and slug not in bodies:
            slug = aliases[slug]["parent"]
        if slug not in bodies:
            return None
        icon = bodies[slug]
        width = icon.get("width", icons.get("width", 16))
        height = icon.get("height", icons.get("height", 16))
        left, top = icon.get("left", 0), icon.get("top", 0)
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{side}" height="{side}" viewBox="{left} {top} {width} {height}" '
            f'color="#111111">{icon["body"]}</svg>'
        )
        png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side)
        return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))

    return draw


def _webp_drawer(archive: Path):
    """Draws from the 3d set: webp files by code points."""
    with tarfile.open(archive) as tar:
        files = {Path(m.name).stem: tar.extractfile(m).read() for m in tar if m.name.endswith(".webp")}

    def draw(concept: Concept, side: int) -> np.ndarray | None:
        code = concept.hexcode.lower()
        data = files.get(code) or files.get(f"{code}-fe0f") or files.get(code.replace("-fe0f", ""))
        if data is None:
            return None
        picture = Image.open(io.BytesIO(data)).convert("RGBA")
        # Resizing with alpha straight would bleed hidden colours over the edge.
        premultiplied = picture.convert("RGBa").resize((side, side), Image.Resampling.LANCZOS)
        return np.asarray(premultiplied.convert("RGBA"))

    return draw
