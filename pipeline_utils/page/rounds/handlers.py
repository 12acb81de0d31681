"""What the events of the rounds do: making, looking, picking, files, models. No component is known here.

A handler answers with a dict from names of parts of the page to their new state.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import gradio as gr

from pipeline_utils.engine.stops import Stop, Stopped
from pipeline_utils.errors import InputError, UserError
from pipeline_utils.files import writing
from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.page.rounds import example, html, panels
from pipeline_utils.page.rounds.panels import Changes, model_choices
from pipeline_utils.page.running import Player
from pipeline_utils.page.visitor.visit import RoundShown, Visit, shorten
from pipeline_utils.page.visitor.visits import sent, show
from pipeline_utils.picture.export import sheet
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.recipe.rounds import parse_seeds
from pipeline_utils.shelf.contact_sheet import round_sheet
from pipeline_utils.shelf.copies import place_for, zip_pictures
from pipeline_utils.studio import Studio


class Handlers:
    """The events of the page. Thread-safe: what a visitor made is in the visit, what runs is in the player."""

    def __init__(self, studio: Studio, player: Player) -> None:
        self.studio, self.player = studio, player
        self.stop = player.stop

    # Rounds

    def first_round(self, visit: Visit, ask: Ask, request: gr.Request) -> Iterator[Changes]:
        """One prompt, one picture a seed."""
        start = partial(self.studio.first_round, ask, shelf=visit.shelf(self.studio.shelves))
        yield from self.player.play(visit, start, {}, request)

    def example(self, visit: Visit, ask: Ask, request: gr.Request) -> Iterator[Changes]:
        """As first_round, with the words of an example button put into the prompt field first."""
        parts = {"prompt": gr.update(value=ask.prompt)}
        for more in self.first_round(visit, ask, request):
            yield parts | more
            parts = {}

    def make_example(self, visit: Visit, request: gr.Request) -> Iterator[Changes]:
        """The example of the empty page for real, both rounds, and whether its bits are those that are shipped."""
        wanted = example.asked(visit.model)
        parts = {"prompt": gr.update(value=wanted.prompt), "seeds": gr.update(value="0-3")}
        for more in self.first_round(visit, wanted, request):
            yield parts | more
            parts = {}
        first, shipped = visit.shown, example.example()
        seeds = {tile.recipe.seed: tile for tile in first.tiles.values()} if first else {}
        if len(seeds) < len(shipped.rounds[0].tiles):  # stopped
            return
        visit.pick = seeds[shipped.pick.recipe.seed]
        yield panels.picked(visit, self.studio, busy=False)
        for more in self.next_round(visit, example.suffixes(), False, request):
            yield more
        if visit.shown is not first:
            made = [*first.tiles.values(), *visit.shown.tiles.values()]
            yield {"status": html.outcome(f"{len(made)} pictures. {example.found(made)}")}

    def next_round(self, visit: Visit, suffixes: list[str], cut: bool, request: gr.Request) -> Iterator[Changes]:
        """The pick once more as control, then with each suffix."""
        if visit.pick is None:
            raise UserError("There is no pick yet: click a picture first, then ask for its second round.")
        shelf = visit.shelf(self.studio.shelves)
        picked = visit.pick.read()
        start = partial(self.studio.second_round, picked, suffixes, cut_long_prompts=cut, shelf=shelf)
        yield from self.player.play(visit, start, {picked.id: picked}, request)

    def variations(
        self, visit: Visit, seeds: str, strength: float, cut: bool, request: gr.Request
    ) -> Iterator[Changes]:
        """The pick once more as control, then a picture on the way from its seed to each second seed."""
        if visit.pick is None:
            raise UserError("There is no pick yet: click a picture first, then ask for its variations.")
        shelf = visit.shelf(self.studio.shelves)
        picked = visit.pick.read()
        start = partial(self.studio.variations, picked, seeds, strength, cut_long_prompts=cut, shelf=shelf)
        try:
            yield from self.player.play(visit, start, {picked.id: picked}, request)
        except InputError as error:
            if error.field == "seeds":  # which are another field's on the page
                raise InputError("variation_seed", error.value, error.limit) from error
            raise

    def all_seeds(self, visit: Visit, suffixes: list[str], cut: bool, request: gr.Request) -> Iterator[Changes]:
        """Each seed of the pick's round as a row: its picture again as control, then with each suffix."""
        rows = visit.rows()
        if len(rows) < 2:
            raise UserError("This needs a round of several seeds: show one, or pick a picture of one.")
        shelf = visit.shelf(self.studio.shelves)
        picked = {tile.id: tile.read() for tile in rows}
        start = partial(self.studio.grid, list(picked.values()), suffixes, cut_long_prompts=cut, shelf=shelf)
        yield from self.player.play(visit, start, picked, request)

    def count(self, seeds: str) -> Changes:
        """The words on the button that makes round one, while seeds are typed."""
        try:
            number = len(parse_seeds(seeds, random.randrange))
        except UserError:  # said when the button is pressed, not while typing
            return {"make": gr.update(value="Make pictures")}
        return {"make": gr.update(value="Make 1 picture" if number == 1 else f"Make {number} pictures")}

    # Looking and picking

    def show_round(self, visit: Visit, event: gr.EventData, request: gr.Request) -> Changes:
        show(visit, visit.album(self.studio.shelves), sent(event, "value"))
        grid = panels.grid(visit, busy=self.player.is_busy(request))
        return panels.looked(visit, self.studio) | {"grid": grid}

    def pick(self, visit: Visit, event: gr.EventData, request: gr.Request) -> Changes:
        visit.choose(sent(event, "index"), sent(event, "value"))
        return panels.picked(visit, self.studio, busy=self.player.is_busy(request))

    # Files

    def sheet_file(self, visit: Visit) -> str:
        """The labelled contact sheet of the round that is shown, as a PNG."""
        shown, name = self._shown(visit)
        title = shown.prompt if shown.round.number == 1 else f"{shown.prompt} · round {shown.round.number}"
        pictures = [tile.read() for tile in shown.tiles.values()]
        file = place_for(self.studio.settings.cache, [tile.id for tile in shown.tiles.values()], name + ".png")
        with writing(file) as stream:
            stream.write(sheet(round_sheet(pictures, title), pictures))
        return str(file)

    def zip_file(self, visit: Visit) -> str:
        """The PNGs of the round that is shown, in a zip."""
        shown, name = self._shown(visit)
        file = place_for(self.studio.settings.cache, [tile.id for tile in shown.tiles.values()], name + ".zip")
        # The same picture may stand twice: a pick and its equal control differ in lineage, tiles do not.
        zip_pictures(list(dict.fromkeys(tile.file for tile in shown.tiles.values())), file)
        return str(file)

    # Models

    def switch(self, visit: Visit, name: str, request: gr.Request) -> Iterator[Changes]:
        """Loads another model and sets the fields to its own values; back to the former when that fails."""
        models = self.studio.models
        failure: Exception | None = None
        spec: ModelSpec | None = None
        stop: Stop | None = None
        began = time.monotonic()
        try:
            wanted = models.open({title: name for title, name in model_choices(self.studio)}.get(name, name))
            if self.player.is_busy(request) and visit.awaited == models.label(wanted):
                return  # a click and leaving the field both say it
            if models.label(wanted) == visit.model and (not wanted.is_local or models.held(wanted)):
                yield {"model": gr.update(value=visit.model)}
                return
            stop, visit.awaited = self.player.begin(request), models.label(wanted)
            yield panels.busy() | {"status": html.waiting(f"Loading {shorten(wanted.title, 60)}…")}
            with suppress(Stopped), models.use(wanted, stop) as loaded:
                spec = loaded.spec
        except Exception as error:
            failure = error
        finally:
            if stop is not None:
                self.player.end(request, stop)
        if spec is not None:
            visit.model = models.label(spec)
            took = html.duration(time.monotonic() - began)
            form = {part: gr.update(**properties) for part, properties in panels.fields(spec).items()}
            form["model"] = gr.update(value=visit.model)
            form["note"] = gr.update(value=html.model_note(spec, visit.model))
            yield panels.idle(visit) | form | {"status": html.outcome(f"{spec.title}: ready in {took}")}
        else:
            parts = panels.idle(visit) if stop is not None else {}
            status = "" if failure else html.outcome("Stopped.")
            yield parts | {"model": gr.update(value=visit.model), "status": status}
        if failure is not None:
            raise failure

    # Inner parts

    def _shown(self, visit: Visit) -> tuple[RoundShown, str]:
        """The round that is shown, and a file name for all of it. Raises UserError when there is none."""
        shown = visit.shown
        if shown is None or shown.running or not shown.tiles:
            raise UserError("There is no finished round to download yet.")
        seeds = f"{shown.round.rows}-seeds" if shown.round.rows > 1 else f"seed-{shown.seed}"
        return shown, f"round-{shown.round.number}_{seeds}"
