"""The finished example on the page before anything was made: shipped pictures, which one click makes for real."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from pipeline_utils.models.catalog import ASSETS, sampler_label
from pipeline_utils.page.rounds.rows import rows
from pipeline_utils.page.visitor.visit import RoundShown, Tile, Visit, compared, usual
from pipeline_utils.picture.picture import read
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.recipe.rounds import Place, Round

FOLDER = ASSETS / "example"
_SETTINGS = ("prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "width", "height")
LEAD = (
    '<p class="example-lead">Four seeds of one prompt. One is picked. Its seed comes again: first as it was, to show '
    "that not a pixel differs, then in each style.</p>"
)


@cache
def example() -> Visit:
    """The shipped rounds as a visit of their own. Raises PictureError where a file of them is damaged."""
    visit, apart = Visit(model=""), None
    for number in (1, 2):
        shown = RoundShown(Round(number, ()), running=False)
        places = []
        for at, file in enumerate(sorted(FOLDER.glob(f"round-{number}-*.png"))):
            picture = read(file).picture
            source = read(visit.pick.file).picture if visit.pick else None
            line = picture.lineage
            places.append(Place(picture.recipe, line.suffix, line.control, line.parent))
            shown.tiles[at] = Tile.of(picture, file, source, apart)
            if line.control:
                shown.controls[at] = compared(source, picture)
        shown.round = Round(number, tuple(places))
        visit.add(shown)
        if number == 1:
            second = read(FOLDER / "round-2-0.png").picture
            visit.pick = next(tile for tile in shown.tiles.values() if tile.id == second.lineage.parent)
            apart = usual(read(visit.pick.file).picture, ((tile.file, tile.id) for tile in shown.tiles.values()))
    return visit


def drawn() -> str:
    """The example as it stands on the page, where nothing of it can be picked."""
    pieces = "".join("".join(row) for row in rows(example(), live=False))
    return f'{LEAD}<div class="rows">{pieces}</div>'


def asked(model: str) -> Ask:
    """The first round of the example. model: what the app calls the model that is chosen."""
    recipe, seeds = _first().recipe, [place.recipe.seed for place in example().rounds[0].round.places]
    settings: dict[str, Any] = {name: getattr(recipe, name) for name in _SETTINGS}
    return Ask(**settings, seeds=", ".join(map(str, seeds)), sampler=sampler_label(recipe.scheduler), model=model)


def suffixes() -> list[str]:
    return [place.suffix for place in example().rounds[1].round.places if place.suffix]


def found(made: Iterable[Tile]) -> str:
    """What comparing these pictures with the shipped ones of the same recipes shows, in a sentence."""
    shipped = [tile for each in example().rounds for tile in each.tiles.values()]
    same = {(tile.recipe, tile.suffix): tile for tile in shipped}
    pairs = [(tile, same[tile.recipe, tile.suffix]) for tile in made if (tile.recipe, tile.suffix) in same]
    if not pairs:
        return "The shipped ones are of other weights, or of another number format: their bits are not compared."
    if any(one.fingerprint != other.fingerprint for one, other in pairs):
        return "The shipped pictures were made on another machine, where other bits may come out."
    equal = sum(one.read().pixel_sha256 == read(other.file).picture.pixel_sha256 for one, other in pairs)
    if equal == len(pairs):
        return f"All {equal} are equal to the shipped ones, bit for bit."
    return f"{len(pairs) - equal} of {len(pairs)} differ from the shipped ones, which should not be."


def _first() -> Tile:
    return example().rounds[0].tiles[0]
