"""What leads on from pictures besides a second round: variations of a pick, and a grid of seeds and suffixes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import gradio as gr

from pipeline_utils.errors import UserError
from pipeline_utils.page.rounds.panels import Parts
from pipeline_utils.page.running import Player
from pipeline_utils.page.toasts import shown_as_toast
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.studio import Studio


class Exploring:
    """Events of the page, as those of Handlers, with which it shares the player."""

    def __init__(self, studio: Studio, player: Player) -> None:
        self.studio, self.player = studio, player

    def variations(self, visit: Visit, seeds: str, strength: float, cut: bool, request: gr.Request) -> Iterator[Parts]:
        """The pick once more as control, then a picture on the way from its seed to each second seed."""
        with shown_as_toast():
            if visit.pick is None:
                raise UserError("There is no pick yet: click a picture first, then ask for its variations.")
            shelf = visit.shelf(self.studio.shelves)
            picked = visit.pick.read()
        start = partial(self.studio.variations, picked, seeds, strength, cut_long_prompts=cut, shelf=shelf)
        yield from self.player.play(visit, start, {picked.id: picked}, request)

    def all_seeds(self, visit: Visit, suffixes: list[str], cut: bool, request: gr.Request) -> Iterator[Parts]:
        """Each seed of the pick's round as a row: its picture again as control, then with each suffix."""
        with shown_as_toast():
            rows = visit.rows()
            if len(rows) < 2:
                raise UserError("This needs a round of several seeds: show one, or pick a picture of one.")
            shelf = visit.shelf(self.studio.shelves)
            picked = {tile.id: tile.read() for tile in rows}
        start = partial(self.studio.grid, list(picked.values()), suffixes, cut_long_prompts=cut, shelf=shelf)
        yield from self.player.play(visit, start, picked, request)
