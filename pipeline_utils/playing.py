"""Playing a round into the page, from the first word to the last picture, and ending it early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import gradio as gr
from PIL import Image

from pipeline_utils import panels, view
from pipeline_utils.engine import Step, calls
from pipeline_utils.errors import UserError
from pipeline_utils.pace import Pace, Shares
from pipeline_utils.panels import Parts
from pipeline_utils.picture import Picture
from pipeline_utils.rounds import Round
from pipeline_utils.studio import Made, RoundEvent, Started, Studio, Waiting
from pipeline_utils.toasts import shown_as_toast, tell
from pipeline_utils.view_preview import previews
from pipeline_utils.visit import Sheet, Tile, Visit, compared

_REFRESH = 0.1  # seconds between two messages about steps


class Player:
    """One for the page. Thread-safe: the only state here is which visitor's work runs."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._stops: dict[str, threading.Event] = {}  # by session; a closed page sets and drops its own
        self._shares: dict[tuple, Shares] = {}  # what calls took beside their steps, by what decides it
        self.waiting: Path = studio.settings.data / "waiting.png"  # stands where a picture is still being made
        self.waiting.parent.mkdir(parents=True, exist_ok=True)
        Image.new("LA", (8, 8)).save(self.waiting)

    def play(
        self,
        visit: Visit,
        start: Callable[..., Iterator[RoundEvent]],
        picked: Mapping[str, Picture],
        request: gr.Request,
    ) -> Iterator[Parts]:
        """Plays the round that `start(stop=..., previews=...)` gives. picked: the pictures it came from, by id.

        What `start` raises becomes a toast, and the page stays as it was. One round a visitor at a time.
        """
        with shown_as_toast():
            stop = self.begin(request)
            try:
                events = start(stop=stop, previews=self.studio.settings.previews)
            except BaseException:
                self.end(request)
                raise
        sheet: Sheet | None = None
        failure: Exception | None = None
        began = told_at = time.monotonic()
        yield panels.busy() | {"status": view.waiting("Starting…"), "previews": ""}
        try:
            with closing(events):
                for event in events:
                    now = time.monotonic()
                    if isinstance(event, Waiting):
                        yield {"status": view.waiting(event.reason)}
                    elif isinstance(event, Started):
                        sheet, began, growing = visit.open(event.round), now, ""
                        kind, pace = self._pace(event.round)
                        if not picked:
                            visit.pick = None
                        yield panels.looked(visit, self.studio, self.waiting) | panels.picked(
                            visit, self.studio, busy=True
                        )
                    elif isinstance(event, Step):
                        pace.step(now, event.done, event.total, event.lanes)
                        if event.previews is not None:
                            growing = previews(event.previews, event.lanes)
                        if now - told_at >= _REFRESH or event.done == event.total:
                            told_at = now
                            count = len(sheet.round.places)
                            status = view.progress(event.done, event.total, len(sheet.tiles), count, pace.left(now))
                            yield {"status": status, "previews": growing if visit.shown is sheet else ""}
                    elif isinstance(event, Made):
                        pace.made(now, event.index)
                        self._shares[kind] = pace.shares
                        self._hang(visit, sheet, event, picked)
                        if visit.shown is sheet:
                            yield {
                                "gallery": gr.update(value=panels.tiles(sheet, self.waiting)),
                                "heading": view.heading(visit),
                            }
        except Exception as error:  # the page must be usable again before anyone is told
            failure = error
        finally:
            self.end(request)
        missing = sheet is None or len(sheet.tiles) < len(sheet.round.places)
        if sheet is not None:
            visit.close(sheet)
        status = view.said(_outcome(sheet, missing, failure, time.monotonic() - began))
        yield panels.looked(visit, self.studio, self.waiting) | panels.idle(visit) | {"status": status, "previews": ""}
        tell(failure)

    def begin(self, request: gr.Request) -> threading.Event:
        """The stop flag of work that begins now; `end` when it is over. Raises UserError while other work runs."""
        if self.is_busy(request):
            raise UserError("What you asked for before is still running: stop it, or wait until it is done.")
        stop = self._stops[request.session_hash] = threading.Event()
        return stop

    def end(self, request: gr.Request) -> None:
        self._stops.pop(request.session_hash, None)

    def is_busy(self, request: gr.Request) -> bool:
        return request.session_hash in self._stops

    def stop(self, request: gr.Request) -> Parts:
        """Ends the visitor's work within a step; its finished pictures stay."""
        stop = self._stops.get(request.session_hash)
        if stop is None:
            return {"stop": gr.update(visible=False)}
        stop.set()
        return {"status": view.waiting("Stopping…"), "stop": gr.update(interactive=False)}

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        stop = self._stops.pop(request.session_hash, None)
        if stop:
            stop.set()

    def _pace(self, asked: Round) -> tuple[tuple, Pace]:
        """The clock of a round, and what decides how its calls divide their time."""
        recipes = asked.recipes
        plan = calls(recipes)
        kind = (recipes[0].model, recipes[0].width, recipes[0].height, recipes[0].lanes)
        return kind, Pace(plan, [recipes[places[0]].num_inference_steps for places in plan], self._shares.get(kind))

    def _hang(self, visit: Visit, sheet: Sheet, made: Made, picked: Mapping[str, Picture]) -> None:
        picture, place = made.picture, sheet.round.places[made.index]
        sheet.tiles[made.index] = Tile.of(picture, made.file, picked.get(place.parent))
        if place.control:
            sheet.controls[made.index] = compared(picked[place.parent], picture)


def _outcome(sheet: Sheet | None, missing: bool, failure: Exception | None, seconds: float) -> str:
    count = len(sheet.tiles) if sheet else 0
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    if failure is not None:
        return f"Ended early; {pictures} kept." if count else ""
    if missing:
        return f"Stopped; {pictures} kept." if count else "Stopped before the first picture."
    return f"{pictures} in {view.duration(seconds)}"
