"""What one visitor made since the page was opened. Lives on the server; the browser never says what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.picture.picture import Picture
from pipeline_utils.proof.comparison import composition, resemblance
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.recipe.rounds import MAX_GRID, Round
from pipeline_utils.shelf.owners import Album, Shelves
from pipeline_utils.shelf.shelf import Shelf, read_kept

MAX_ROUNDS = 12  # on the page; the tree and the shelf have them all
_ONE = 0.8  # resemblance from which two seeds make nearly one picture
_BESIDE = 7  # other seeds, at most, that tell how alike pictures of one prompt are anyway


@dataclass(frozen=True)
class Tile:
    """A finished picture, without its pixels: a visit may hold hundreds."""

    id: str
    file: Path
    recipe: Recipe
    round: int
    parent: str | None  # id of the picture it came from
    suffix: str | None  # what was added to its prompt
    control: bool
    flagged: bool  # a safety checker blacked it out
    alike: float | None  # resemblance to the picture it came from
    fingerprint: Mapping[str, object]
    usual: float | None = None  # resemblance of the picture it came from to other seeds of its prompt

    @classmethod
    def of(cls, picture: Picture, file: Path, source: Picture | None, usual: float | None = None) -> Tile:
        """source: the picture it came from, where that is here."""
        alike = resemblance(source.image, picture.image) if source else None
        line = picture.lineage
        where = (line.round, line.parent, line.suffix, line.control)
        return cls(picture.id, file, picture.recipe, *where, picture.flagged is True, alike, picture.fingerprint, usual)

    @property
    def kept(self) -> str:
        """What became of the composition of the picture it came from; "" where that is not known."""
        return "" if self.alike is None else composition(self.alike, self.usual)

    def read(self) -> Picture:
        """The picture itself. Raises InputError where its file is gone, PictureError where it was changed since."""
        return read_kept(self.file, self.id)


@dataclass
class RoundShown:
    """One round of the visit: what was asked for, and the pictures that are there, by place."""

    round: Round
    tiles: dict[int, Tile] = field(default_factory=dict)
    running: bool = True
    controls: dict[int, str] = field(default_factory=dict)  # by place: what comparing it with its pick found

    @property
    def control(self) -> str:
        """What the controls showed: "" while none is there, "equal", or how the first that differs does."""
        return next((found for found in self.controls.values() if found != "equal"), "equal" if self.controls else "")

    @property
    def prompt(self) -> str:
        return self.round.places[0].recipe.prompt

    @property
    def seed(self) -> int:
        return self.round.places[0].recipe.seed

    @property
    def name(self) -> str:
        """What a later round is made from, in a few words."""
        if self.round.rows > 1:
            return f"{self.round.rows} seeds"
        others = [place for place in self.round.places if not place.control]
        varied = bool(others) and all(place.suffix is None for place in others)
        return f"around seed {self.seed}" if varied else f"seed {self.seed}"

    @property
    def title(self) -> str:
        if self.round.number == 1:
            return f"Round 1 · {shorten(self.prompt, 28)}"
        return f"Round {self.round.number} · {self.name}"

    @property
    def key(self) -> str:
        """What the page knows the round by: its first picture. "" while there is none."""
        return self.tiles[min(self.tiles)].id if self.tiles else ""

    def ids(self) -> set[str]:
        return {tile.id for tile in self.tiles.values()}

    def stop(self) -> None:
        """Ends the round with the pictures it has; the places of the others are given up."""
        kept = sorted(self.tiles)
        self.round = Round(self.round.number, tuple(self.round.places[i] for i in kept))
        self.tiles = {at: self.tiles[i] for at, i in enumerate(kept)}
        self.controls = {at: self.controls[i] for at, i in enumerate(kept) if i in self.controls}
        self.running = False


@dataclass
class Visit:
    """Changed in place, so that a running round and a click in the same moment both count."""

    model: str  # name of the model that the visitor chose
    owner: str = ""  # whose shelf the pictures are on; see Shelves
    awaited: str = ""  # name of the model that was chosen last, which may still be loading
    rounds: list[RoundShown] = field(default_factory=list)
    shown: RoundShown | None = None
    pick: Tile | None = None

    def shelf(self, shelves: Shelves) -> Shelf:
        """Where this visitor's pictures are."""
        return self.album(shelves).shelf

    def album(self, shelves: Shelves) -> Album:
        """The same with its index and tree."""
        return shelves.album(self.owner)

    def open(self, asked: Round) -> RoundShown:
        """A round begins, right below the one that it comes from."""
        opened, above = RoundShown(asked), self.home(asked.places[0].parent)
        if above:
            self.rounds.remove(above)
            self.rounds.append(above)
        self.add(opened)
        return opened

    def close(self, over: RoundShown) -> None:
        """The round is over. One without a single picture leaves no trace, nor does an equal one of before."""
        over.stop()
        held = over.ids()
        self.rounds = [each for each in self.rounds if each is over or each.running or not each.ids() <= held]
        if not held:
            self.rounds = [each for each in self.rounds if each is not over]
        if not any(each is self.shown for each in self.rounds):
            self.shown = self.rounds[-1] if self.rounds else None

    def add(self, shown: RoundShown) -> None:
        """Shows a round. The oldest make room for it, but none that is running, nor that of the pick."""
        pick = self.pick.id if self.pick else None
        over = [each for each in self.rounds if not each.running and pick not in each.ids()]
        for each in over[: max(0, len(self.rounds) - MAX_ROUNDS + 1)]:
            self.rounds.remove(each)
        self.rounds.append(shown)
        self.shown = shown

    def forget(self, gone: set[str]) -> None:
        """Takes pictures that were deleted out of the rounds on the page."""
        for each in list(self.rounds):
            if each.ids() & gone:
                each.tiles = {at: tile for at, tile in each.tiles.items() if tile.id not in gone}
                if not each.running:
                    self.close(each)
        if self.pick and self.pick.id in gone:
            self.pick = None

    def home(self, picture: str | None) -> RoundShown | None:
        """The newest round on the page that holds a picture of this id."""
        return next((each for each in reversed(self.rounds) if picture in each.ids()), None)

    def choose(self, index: object, file_name: object) -> None:
        """Picks the picture whose file has this name, of any round on the page.

        Both come from the browser: the name only finds a picture of this visitor, and the index only tells why none
        was found. Raises InputError or UserError.
        """
        rounds = [each for each in (self.shown, *reversed(self.rounds)) if each]
        tiles = (tile for each in rounds for tile in each.tiles.values() if tile.file.name == file_name)
        found = next(tiles, None)
        if found is None:
            asked = next((each for each in rounds if each.running), self.shown)
            count = len(asked.round.places) if asked else 0
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
                raise InputError("pick", index, "there is no such picture in the round that is shown")
            if index not in asked.tiles:
                raise UserError("This picture is not finished yet; pick it when it is.")
            raise UserError("The round changed while you picked. Pick again.")
        self.pick = found

    def seeds(self) -> list[Tile]:
        """The pictures of the pick's round, else of the one that is shown, that have its prompt: one a seed."""
        pick = self.pick.id if self.pick else None
        home = self.home(pick) or self.shown
        if home is None:
            return []
        tiles = [home.tiles[at] for at in sorted(home.tiles)]
        here = next((tile for tile in tiles if tile.id == pick), None)
        prompt = here.recipe.prompt if here else home.prompt
        found: dict[tuple, Tile] = {}
        for tile in tiles:
            recipe = tile.recipe
            if recipe.prompt == prompt:
                noise = (recipe.seed, recipe.variation_seed, recipe.variation_strength)
                found[noise] = here if here and recipe == here.recipe else found.get(noise, tile)
        return list(found.values())

    def rows(self) -> list[Tile]:
        """As many of `seeds` as a grid takes, the pick among them."""
        most, tiles = MAX_GRID[0], self.seeds()
        pick = [tile for tile in tiles[most:] if self.pick and tile.id == self.pick.id]
        return [*tiles[: most - len(pick)], *pick]


def usual(source: Picture, files: Iterable[tuple[Path, str]]) -> float | None:
    """How alike other seeds of its prompt are to a picture, in the mean; None where there are none.

    files: the pictures made beside it, and their ids.
    """
    found: list[float] = []
    for file, picture_id in files:
        with suppress(UserError):
            other = read_kept(file, picture_id)
            if other.recipe.prompt == source.recipe.prompt and other.recipe.seed != source.recipe.seed:
                found.append(resemblance(source.image, other.image))
        if len(found) == _BESIDE:
            break
    return sum(found) / len(found) if found else None


def are_nearly_alike(tiles: Iterable[Tile]) -> bool:
    """Do the seeds of a first round make nearly one picture, as those of models that were distilled may?"""
    pictures = []
    for tile in tiles:
        with suppress(UserError):
            pictures.append(tile.read().image)
        if len(pictures) > _BESIDE:
            break
    first, *others = pictures or [None]
    return len(others) > 1 and all(resemblance(first, other) >= _ONE for other in others)


def compared(pick: Picture, control: Picture) -> str:
    """What comparing the pixels of a pick and its control found, in a few words."""
    if pick.pixel_sha256 == control.pixel_sha256:
        return "equal"
    if pick.image.size != control.image.size:
        return "another size"
    one, other = (np.asarray(picture.image, dtype=np.int16) for picture in (pick, control))
    apart = np.abs(one - other).max(axis=2)  # [height, width]
    return f"{np.count_nonzero(apart)} of {apart.size} pixels, by at most {apart.max()} of 255"


def shorten(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
