"""The pick in its frame: alone, beside the picture it came from, or what differs between the two."""

from __future__ import annotations

from html import escape
from pathlib import Path

from pipeline_utils.page.rounds.html import url
from pipeline_utils.page.visitor.visit import Tile
from pipeline_utils.proof.comparison import percent

_MODES = ("Picture", "Compare", "Difference")


def frame(pick: Tile) -> str:
    """The picture; with a switch and a divider where the one it came from is still on the shelf."""
    recipe = pick.recipe
    alt = escape(f"{recipe.prompt}, seed {recipe.seed}")
    size = f'width="{recipe.width}" height="{recipe.height}"'
    own = f'<img class="own" src="{url(pick.file)}" alt="{alt}" {size}>'
    origin = _origin(pick)
    if origin is None:
        return f'<div class="frame">{own}</div>'
    switch = "".join(
        f'<label><input type="radio" name="versus" value="{mode.lower()}"{" checked" if n == 0 else ""}>'
        f"<span>{mode}</span></label>"
        for n, mode in enumerate(_MODES)
    )
    before, after = f"round {pick.round - 1}", f"round {pick.round}"
    name = "control" if pick.control else (pick.suffix or "").strip(" ,")
    label = escape(f"Divider: left of it {before}, right of it {after}")
    alike = ""
    if pick.alike is not None:
        alike = f"<b>{percent(pick.alike)} % alike</b>: how much of the outline and placement stayed. "
    return (
        f'<div class="versus"><fieldset class="modes"><legend class="visually-hidden">Show the pick</legend>{switch}'
        f'</fieldset><div class="frame">{own}'
        f'<img class="origin" src="{url(origin)}" alt="The picture it came from, {before}" {size}>'
        f'<div class="gap" role="img" aria-label="Difference of the two pictures" '
        f"style=\"background-image: url('{url(pick.file)}'), url('{url(origin)}')\"></div>"
        f'<span class="side before" aria-hidden="true">{before}</span>'
        f'<span class="side after" aria-hidden="true">{escape(" · ".join(filter(None, (after, name))))}</span>'
        f'<input type="range" class="divider" min="0" max="100" value="50" aria-label="{label}"></div>'
        f'<p class="quiet for-compare">{alike}</p>'
        f'<p class="quiet for-difference">{alike}Black where the two are equal; what differs is shown twice as '
        "bright.</p></div>"
    )


def _origin(pick: Tile) -> Path | None:
    if pick.parent is None:
        return None
    return next(pick.file.parent.glob(f"seed-*_{pick.parent}.png"), None)
