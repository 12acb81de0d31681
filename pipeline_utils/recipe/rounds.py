"""Rounds: which recipes are asked for together. No torch, no gradio."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline_utils.errors import InputError
from pipeline_utils.recipe.recipe import MAX_SEED, Recipe, canonical_json, check_float, check_text

MAX_PICTURES = 64  # in one round
MAX_SUFFIXES = 16
MAX_SUFFIX = 200  # characters
MAX_GRID = (4, 8)  # pictures, suffixes

_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)", re.ASCII)
_RANDOM = re.compile(r"(?:(\d+)\s+)?random", re.ASCII)
_DRAWN = "4"  # random seeds where none are counted


@dataclass(frozen=True)
class Place:
    """Where a recipe stands in its round. suffix is None for first rounds and for the control.

    parent: id of the picture it came from, None in a first round.
    """

    recipe: Recipe
    suffix: str | None = None
    control: bool = False
    parent: str | None = None


@dataclass(frozen=True)
class Round:
    """Places in the order they are shown, which may have come from several pictures. number counts from 1."""

    number: int
    places: tuple[Place, ...]

    @property
    def parent(self) -> str | None:
        """The picture that all places came from; None for a first round, and where there are several."""
        parents = {place.parent for place in self.places}
        return parents.pop() if len(parents) == 1 else None

    @property
    def id(self) -> str:
        """Sixteen hex digits that tell this round from all that are not equal to it: the same recipes, in the
        same order, from the same pictures. So a round asked for again is the same round, and its pictures are
        those that are here already."""
        places = [[place.recipe.id, place.parent, place.suffix, place.control] for place in self.places]
        return hashlib.sha256(canonical_json([self.number, places]).encode()).hexdigest()[:16]

    @property
    def rows(self) -> int:
        """How many pictures the round leads on from; 0 for a first round."""
        return len({place.parent for place in self.places if place.parent})

    @property
    def columns(self) -> int | None:
        """Pictures in a row of a grid, which its control leads; None for a round that is no grid, or not whole."""
        controls = [at for at, place in enumerate(self.places) if place.control]
        if len(controls) < 2 or controls != [*range(0, len(self.places), controls[1])]:
            return None
        return controls[1]

    @property
    def recipes(self) -> list[Recipe]:
        return [place.recipe for place in self.places]


def first_round(recipe: Recipe, seeds: Sequence[int]) -> Round:
    """One prompt, many seeds: `recipe` once for each seed, in the order given."""
    seeds = check_seeds(seeds)
    return Round(1, tuple(Place(replace(recipe, seed=seed)) for seed in seeds))


def second_round(picked: Recipe, suffixes: Sequence[str], *, number: int = 2, parent: str | None = None) -> Round:
    """One seed, many prompts: the control first, then the picked recipe with each suffix added.

    The control is the picked recipe itself, so its pixels must equal those of the pick.
    """
    return Round(number, _led(picked, check_suffixes(suffixes), parent))


def variations(
    picked: Recipe, seeds: Sequence[int], strength: float, *, number: int = 2, parent: str | None = None
) -> Round:
    """The control first, then a picture for each second seed, its noise turned towards that seed's.

    strength: 0 is the pick itself, 1 the pick's recipe on the second seed, and written as these recipes.
    """
    strength = check_float("strength", strength, 0.0, 1.0)
    if len(seeds) >= MAX_PICTURES:
        raise InputError("seeds", f"{len(seeds)} seeds", f"a round holds {MAX_PICTURES - 1} of them, and the control")
    for seed in check_seeds(seeds):
        if seed == picked.seed:
            raise InputError("seeds", seed, "it is the seed of the pick; its variations lead to other seeds")
    if picked.variation_seed is not None and 0 < strength < 1:
        raise InputError("picture", towards(picked), "a picture between two seeds; start from one that is not")
    places = [Place(_between(picked, seed, strength), parent=parent) for seed in seeds]
    return Round(number, (Place(picked, control=True, parent=parent), *places))


def _between(picked: Recipe, seed: int, strength: float) -> Recipe:
    if strength == 0:
        return picked
    if strength == 1:
        return replace(picked, seed=seed, variation_seed=None, variation_strength=0.0)
    return replace(picked, variation_seed=seed, variation_strength=strength)


def way(recipe: Recipe) -> str:
    """Where the variation of a recipe leads: "20 % towards seed 7"; "" without one."""
    if recipe.variation_seed is None:
        return ""
    return f"{100 * recipe.variation_strength:g} % towards seed {recipe.variation_seed}"


def towards(recipe: Recipe) -> str:
    """The noise of a recipe in words: "seed 2", or "seed 2, 20 % towards seed 7"."""
    return f"seed {recipe.seed}" + (f", {way(recipe)}" if way(recipe) else "")


def grid(
    picked: Sequence[Recipe], suffixes: Sequence[str], *, number: int = 2, parents: Sequence[str | None] | None = None
) -> Round:
    """Each picked recipe as a row: its control first, then the recipe with each suffix added.

    At most 4 rows of 8 suffixes. parents: ids of the picked pictures, in the same order.
    """
    rows, columns = MAX_GRID
    if not 1 <= len(picked) <= rows:
        raise InputError("pictures", f"{len(picked)} pictures", f"a grid takes 1 to {rows}")
    if len(check_suffixes(suffixes)) > columns:
        raise InputError("suffixes", f"{len(suffixes)} suffixes", f"a grid takes 1 to {columns}")
    for at, recipe in enumerate(picked):
        if recipe in picked[:at]:
            raise InputError("pictures", towards(recipe), "each recipe stands once in a grid")
    places = (_led(*row) for row in zip(picked, [suffixes] * len(picked), parents or [None] * len(picked), strict=True))
    return Round(number, tuple(place for row in places for place in row))


def _led(picked: Recipe, suffixes: Sequence[str], parent: str | None) -> tuple[Place, ...]:
    styled = [Place(replace(picked, prompt=picked.prompt + s), suffix=s, parent=parent) for s in suffixes]
    return (Place(picked, control=True, parent=parent), *styled)


def parse_seeds(text: str, draw: Callable[[int], int]) -> list[int]:
    """Seeds from "0-3", "7, 42, 1000-1003", "4 random" or "random", which is four, in the order written.

    draw(n) gives a whole number in 0..n-1, such as `random.SystemRandom().randrange`: a random
    seed is drawn here, once, and is an ordinary seed from then on. Raises InputError.
    """
    check_text("seeds", text)
    seeds: list[int] = []
    for part in text.split(","):
        part = part.strip()
        if match := _RANDOM.fullmatch(part):
            count = _number(match[1] or _DRAWN, MAX_PICTURES, "random seeds")
            while count:
                seed = draw(MAX_SEED + 1)
                if seed not in seeds:
                    seeds.append(seed)
                    count -= 1
        elif match := _RANGE.fullmatch(part):
            low, high = (_number(m, MAX_SEED, "seeds") for m in match.groups())
            if low > high:
                raise InputError("seeds", part, f"a range goes upwards, such as {high}-{low}")
            if high - low >= MAX_PICTURES:
                raise InputError("seeds", part, f"a round holds at most {MAX_PICTURES} pictures")
            seeds.extend(range(low, high + 1))
        elif part.isascii() and part.isdigit():
            seeds.append(_number(part, MAX_SEED, "seeds"))
        else:
            raise InputError(
                "seeds",
                part or text,
                f'whole numbers from 0 to {MAX_SEED}, such as "0-3", "7, 42" or "4 random"',
            )
    return check_seeds(seeds)


def check_seeds(seeds: Sequence[int]) -> list[int]:
    if not 1 <= len(seeds) <= MAX_PICTURES:
        raise InputError("seeds", f"{len(seeds)} seeds", f"a round holds 1 to {MAX_PICTURES} pictures")
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise InputError("seeds", twice[0], "each seed stands once in a round, since it gives the same picture")
    return list(seeds)


def check_suffixes(suffixes: Sequence[str]) -> list[str]:
    """The suffixes as they are, or InputError naming the first that is refused."""
    if not isinstance(suffixes, list | tuple):
        raise InputError("suffixes", suffixes, "a list of texts")
    if not 1 <= len(suffixes) <= MAX_SUFFIXES:
        raise InputError("suffixes", f"{len(suffixes)} suffixes", f"a round takes 1 to {MAX_SUFFIXES}")
    for number, suffix in enumerate(suffixes, 1):
        check_text(f"suffix {number}", suffix, MAX_SUFFIX)
        if not suffix.strip(" ,"):
            raise InputError(f"suffix {number}", suffix, "a suffix has at least one word; remove the empty line")
        if suffix in suffixes[: number - 1]:
            raise InputError(f"suffix {number}", suffix, "it is in the list already")
    return list(suffixes)


def _number(digits: str, limit: int, what: str) -> int:
    if len(digits) > 20 or int(digits) > limit:
        raise InputError("seeds", digits, f"at most {limit} for {what}")
    return int(digits)
