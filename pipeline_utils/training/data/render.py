"""Turn the fetched sets into one tensor of cut-out drawings.

Alpha is kept and every drawing is centred: grounds, places and looks are put to it when a
batch is made.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .packages import SETS, read_json
from .things import Thing

DESIGNS = 4  # at most so many sets draw a thing
SIZES = (0.75, 0.94)  # of the picture's side: small, large
Drawer = Callable[[Thing, int], np.ndarray | None]


@dataclass
class Drawings:
    """All drawings in memory.

    rgba: uint8 [things, designs, sizes, 4, s, s], colour premultiplied by alpha.
    share: float [things, designs], how often a seed takes each, 0 where there is none; rows sum to 1.
    names: the caption's word of each thing.
    """

    rgba: torch.Tensor
    share: torch.Tensor
    names: list[str]

    @property
    def side(self) -> int:
        return self.rgba.shape[-1]

    def rims(self) -> torch.Tensor:
        """The mean colour along each drawing's outline, [things, designs, 3] in [0, 1]."""
        large = self.rgba[:, :, -1].flatten(0, 1).float() / 255
        alpha, reach = large[:, 3:], self.side // 32
        inner = -F.max_pool2d(-alpha, 2 * reach + 1, 1, reach)
        band = (alpha - inner).clamp(min=0)
        mean = (large[:, :3] * band).sum((2, 3)) / (alpha * band).sum((2, 3)).clamp(min=1e-3)
        return mean.clamp(0, 1).view(*self.share.shape, 3)

    def save(self, path: Path) -> None:
        torch.save(self.__dict__, path)

    @staticmethod
    def load(path: Path) -> Drawings:
        return Drawings(**torch.load(path, weights_only=True))


def assemble(found: dict[tuple[int, int], list[np.ndarray]], shares: list[float], names: list[str]) -> Drawings:
    """``found``: (thing, set) -> uint8 [size, size, 4] at each of the sizes, colour not premultiplied.

    Raises ValueError for a thing that no set draws."""
    side = round(max(p.shape[0] for pictures in found.values() for p in pictures) / max(SIZES))
    rgba = torch.zeros(len(names), DESIGNS, len(SIZES), 4, side, side, dtype=torch.uint8)
    share = torch.zeros(len(names), DESIGNS)
    for row, name in enumerate(names):
        sets = [s for s in range(len(shares)) if (row, s) in found][:DESIGNS]
        if not sets:
            raise ValueError(f"no set draws: {name}")
        for place, s in enumerate(sets):
            share[row, place] = shares[s]
            for k, picture in enumerate(found[row, s]):
                pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1).float()
                pixels[:3] *= pixels[3:] / 255
                begin, end = (side - len(picture)) // 2, (side + len(picture)) // 2
                rgba[row, place, k, :, begin:end, begin:end] = pixels.round().to(torch.uint8)
    return Drawings(rgba, share / share.sum(1, keepdim=True), names)


def render(folder: Path, things: list[Thing], side: int) -> Drawings:
    """Draw every thing in the first sets that have it, at every size."""
    found: dict[tuple[int, int], list[np.ndarray]] = {}
    for number, item in enumerate(SETS):
        drawer = (_webp_drawer if "3d" in item.package else _svg_drawer)(folder / item.archive)
        for row, thing in enumerate(things):
            pictures = [drawer(thing, round(size * side)) for size in SIZES]
            if pictures[0] is not None:
                found[row, number] = pictures
    return assemble(found, [item.share for item in SETS], [t.name for t in things])


def _svg_drawer(archive: Path) -> Drawer:
    """Draws from an iconify set: SVG bodies by slug, some as an alias of another."""
    import resvg_py

    icons = read_json(archive, "icons.json")
    bodies, aliases = icons["icons"], icons.get("aliases", {})

    def draw(thing: Thing, side: int) -> np.ndarray | None:
        slug = next((s for s in thing.slugs if s in bodies or s in aliases), None)
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


def _webp_drawer(archive: Path) -> Drawer:
    """Draws from the 3d set: webp files by code points."""
    with tarfile.open(archive) as tar:
        files = {Path(m.name).stem: tar.extractfile(m).read() for m in tar if m.name.endswith(".webp")}

    def draw(thing: Thing, side: int) -> np.ndarray | None:
        code = thing.hexcode.lower()
        data = files.get(code) or files.get(f"{code}-fe0f") or files.get(code.replace("-fe0f", ""))
        if data is None:
            return None
        picture = Image.open(io.BytesIO(data)).convert("RGBA")
        # Resizing with alpha straight would bleed hidden colours over the edge.
        premultiplied = picture.convert("RGBa").resize((side, side), Image.Resampling.LANCZOS)
        return np.asarray(premultiplied.convert("RGBA"))

    return draw
