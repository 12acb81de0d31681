"""How quickly a shelf of many pictures opens, as multiples of reading its folder once."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from pipeline_utils.page.shelf.html import PAGE, shelf
from pipeline_utils.page.shelf.layout import matching
from pipeline_utils.page.tree.layout import PAGE as TREE_PAGE
from pipeline_utils.page.tree.layout import draw
from pipeline_utils.picture.picture import Lineage, Picture, encode
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.shelf.copies import Thumbs
from pipeline_utils.shelf.owners import Album
from pipeline_utils.shelf.shelf import Shelf

_SUFFIXES = (", neon", ", sepia", ", line art")
_SHAPE = Recipe(
    model="emoji-sd",
    revision="sha256:" + "0" * 40,
    prompt="a",
    seed=0,
    num_inference_steps=20,
    guidance_scale=7.0,
    scheduler="DDIMScheduler",
    width=64,
    height=64,
    dtype="float32",
    lanes=4,
)


def report(pictures: int) -> None:
    """Prints one line for each thing that a visitor waits for. The pictures have no model behind them."""
    with tempfile.TemporaryDirectory() as folder:
        ground = Shelf(folder)
        fill(ground, pictures)
        entries = timed(lambda: [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(folder)], 5)
        print(f"{pictures:,} pictures of 64 x 64 in one folder; reading the folder once is 1.")
        print("| what | times reading the folder | seconds |")
        print("|---|---|---|")

        def line(what: str, seconds: float) -> None:
            print(f"| {what} | {seconds / entries:.2f} | {seconds:.3f} |", flush=True)

        album = Album(ground, keep=True)
        line("the folder, names and times", entries)
        line("first index, reading every file's text", timed(album.newest_first))
        line(f"first page of the shelf, {PAGE} pictures", timed(lambda: page(album), 5))
        _put(ground, _SHAPE, Lineage(), pictures)
        line("the index after one new picture", timed(album.newest_first))
        line("filter by two words", timed(lambda: page(album, "neon 7"), 5))
        line("index after a restart", timed(lambda: Album(ground, keep=True).newest_first()))
        line("the tree of all", timed(album.tree))
        line("its first page", timed(lambda: draw(album.tree(), Thumbs(ground), None, TREE_PAGE), 5))


def page(album: Album, words: str = "") -> str:
    """What the Shelf tab shows first."""
    cards, stars = album.newest_first(), album.stars.ids()
    matches = matching(words, "", "", False, stars)
    return shelf([card for card in cards if matches(card)], len(cards), Thumbs(album.shelf), stars, None, PAGE)


def fill(ground: Shelf, pictures: int) -> None:
    """Rounds of four seeds, each with a second and a third round from one of its pictures, until there are enough."""
    made = 0
    while made < pictures:
        recipe, parents = replace(_SHAPE, prompt=f"a red fox {made}"), []
        for seed in range(min(4, pictures - made)):
            parents.append(_put(ground, replace(recipe, seed=seed), Lineage(), made))
            made += 1
        for number in (2, 3):
            parent, parents = parents[-1], []
            for suffix in (None, *_SUFFIXES)[: pictures - made]:
                styled = replace(parent.recipe, prompt=parent.recipe.prompt + (suffix or ""))
                lineage = Lineage(number, parent.id, suffix, suffix is None)
                parents.append(_put(ground, styled, lineage, made))
                made += 1
            if not parents:
                break


def timed(work: Callable[[], object], times: int = 1) -> float:
    """Seconds; of several times the shortest."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def _put(ground: Shelf, recipe: Recipe, lineage: Lineage, number: int) -> Picture:
    """As Shelf.put, without waiting for the disk each time."""
    colour = tuple(number >> shift & 255 for shift in (0, 8, 16))
    picture = Picture.make(Image.new("RGB", (64, 64), colour), recipe, {}, lineage)
    path = Path(ground.folder) / f"seed-{recipe.seed}_{picture.id}.png"
    path.write_bytes(encode(picture))
    return picture
