"""The page's own pieces of HTML. What a person typed is escaped here, nowhere else."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from pipeline_utils.models.catalog import ModelSpec, sampler_label
from pipeline_utils.page.visitor.visit import RoundShown, Tile, shorten
from pipeline_utils.proof.comparison import percent
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.recipe.rounds import way

HEADER = """
<header class="masthead">
  <h1>Second Round</h1>
  <p>Four seeds, one prompt. Pick one. Then its styles, on its seed.</p>
</header>
"""

EMPTY = """
<div class="empty" aria-hidden="true"><i></i><i></i><i></i><i></i></div>
<p class="quiet">Describe a picture, or click an example.</p>
"""

NO_PICK = """
<section class="pick none" aria-label="Your pick">
  <h2>Your pick</h2>
  <div class="frame" aria-hidden="true"></div>
  <p class="quiet">Pick a picture with a click, or with Tab and Enter.</p>
</section>
"""

VARIATIONS = """
<p class="quiet">Pictures on the way from your pick to other seeds. Strength 0 is the pick, 1 the other seed.</p>
"""

FLAGGED = "blacked out by the safety checker"

_MODES = ("Picture", "Compare", "Difference")
_EXACT = 32  # pixels of a preview: up to here without loss, since lossy WebP halves the resolution of colours

_ORDINALS = ("", "First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth")


def url(file: Path) -> str:
    """Where the browser finds a file of the shelf; relative, so that it works behind a proxy."""
    return "gradio_api/file=" + quote(str(file))


def notice(trouble: str) -> str:
    """What stands above everything while nothing can be kept."""
    return f'<p role="alert"><b>For looking only.</b> {escape(trouble)}</p>' if trouble else ""


def round_name(number: int) -> str:
    return f"{_ORDINALS[number]} round" if number < len(_ORDINALS) else f"Round {number}"


def progress(done: int, total: int, finished: int, pictures: int, left: float | None) -> str:
    """The bar of a running round. left: seconds."""
    text = f"Step {done} of {total} · {finished} of {pictures} pictures"
    if left is not None:
        text += f" · {duration(left)} left"
    share = 100 * done / max(1, total)
    return (
        f'<div class="status running"><div class="bar" role="progressbar" aria-label="Round" aria-valuemin="0" '
        f'aria-valuemax="{total}" aria-valuenow="{done}" aria-valuetext="{text}"><i style="width:{share:.1f}%"></i>'
        f"</div><p>{text}</p></div>"
    )


def waiting(reason: str) -> str:
    reason = escape(reason)
    return (
        '<div class="status waiting"><div class="bar" role="progressbar" aria-label="Waiting" '
        f'aria-valuetext="{reason}"><i></i></div><p role="status">{reason}</p></div>'
    )


def outcome(text: str) -> str:
    return f'<div class="status"><p role="status">{escape(text)}</p></div>'


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def caption(shown: RoundShown, index: int) -> str:
    """The words under a tile; an ellipsis at the end marks one that is still being made."""
    place, tile = shown.round.places[index], shown.tiles.get(index)
    if place.control:
        text = "control"
        if index in shown.controls:
            text += " · equal to the pick" if shown.controls[index] == "equal" else " · differs from the pick"
    elif place.suffix is not None:
        text = place.suffix.strip(" ,")
    else:
        text = way(place.recipe) or f"seed {place.recipe.seed}"
    if shown.round.rows > 1:  # a grid, whose rows are seeds
        text = f"{noise(place.recipe)} · {text}"
    if tile is None:
        return text + " …"
    if tile.kept and not place.control:
        text += f" · {tile.kept}"
    return f"{text} · {FLAGGED}" if tile.flagged else text


def noise(recipe: Recipe) -> str:
    """What a picture starts from, in a few words."""
    if recipe.variation_seed is None:
        return f"seed {recipe.seed}"
    return f"seed {recipe.seed} → {recipe.variation_seed}, {100 * recipe.variation_strength:g} %"


def pick(picked: Tile, frame: str = "", again: str = "") -> str:
    """frame: the picture itself, in its frame. again: what is known of making it again."""
    recipe = picked.recipe
    facts = {
        "Model": recipe.model,
        "Revision": recipe.revision,
        "Steps": recipe.num_inference_steps,
        "Guidance": f"{recipe.guidance_scale:g}",
        "Sampler": sampler_label(recipe.scheduler),
        "Size": f"{recipe.width} × {recipe.height}",
        "Negative prompt": recipe.negative_prompt or "none",
        "Noise": f"{recipe.noise_device} generator, one a picture",
        "Numbers": recipe.dtype,
        "Pictures a call": recipe.lanes,
        "Recipe": recipe.id,
        "Picture": picked.id,
    }
    variation = f"<span>{way(recipe)}</span> " if way(recipe) else ""
    rows = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    prompt = escape(recipe.prompt)
    flagged = f'<p class="quiet">{FLAGGED.capitalize()}.</p>' if picked.flagged else ""
    return (
        f'<section class="pick" aria-label="Your pick" data-picture="{picked.id}"><h2>Your pick</h2>'
        f'{frame}<p class="seed">seed <b>{recipe.seed}</b> {variation}<span>round {picked.round}</span></p>'
        f'<p class="prompt">{prompt}</p>{flagged}'
        f'<p class="quiet">{escape(again)}</p>'
        f"<details><summary>Recipe</summary><dl>{rows}</dl></details></section>"
    )


def next_round(picked: Tile | None, grid: Sequence[Tile] = ()) -> str:
    """What the next round is made from: the pick, small. grid: the pictures of "On 4 of 8 seeds"."""
    few = f'<p class="quiet">In a grid: {", ".join(noise(tile.recipe) for tile in grid)}.</p>' if grid else ""
    if picked is None:
        return f'<h2>Pick a picture</h2><p class="quiet">Its seed comes again, once with each style.</p>{few}'
    return (
        f'<div class="picked"><img src="{url(picked.file)}" alt=""><div><h2>{noise(picked.recipe).capitalize()}</h2>'
        f'<p class="quiet">{escape(shorten(picked.recipe.prompt, 90))}</p>{few}</div></div>'
    )


def model_note(spec: ModelSpec, name: str) -> str:
    """name: what calls the model here."""
    parts = [f"{spec.width} × {spec.height}", f"{spec.num_inference_steps} steps"] if spec.family else []
    said = escape(" · ".join([*parts, *([spec.note] if spec.note else [])]))
    return f'<p class="quiet" data-model="{escape(name)}">{said}</p>'


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
        others = "" if pick.usual is None else f", where other seeds of its prompt are {percent(pick.usual)} % alike"
        alike = f"<b>{pick.kept.capitalize()}</b>: {percent(pick.alike)} % of outline and placement are alike{others}. "
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


def previews(pictures: np.ndarray, places: Sequence[int]) -> str:
    """Data for previews.js: `pictures`, uint8 [n, height, width, 3], are how these places look now."""
    return "".join(
        f'<i data-place="{place}" data-picture="{_data(pixels)}"></i>'
        for place, pixels in zip(places, pictures, strict=True)
    )


def _data(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=max(pixels.shape) <= _EXACT, quality=80, method=1)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
