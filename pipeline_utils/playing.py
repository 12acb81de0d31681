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
from pipeline_utils.engine import Step
from pipeline_utils.errors import UserError
from pipeline_utils.panels import Parts
from pipeline_utils.picture import Picture
from pipeline_utils.resemblance import resemblance
from pipeline_utils.studio import Made, RoundEvent, Started, Studio, Waiting
from pipeline_utils.toasts import shown_as_toast, tell
from pipeline_utils.visit import Sheet, Tile, Visit, compared

_REFRESH = 0.1  # seconds between two messages about steps


class Player:
    """One for the page. Thread-safe: the only state here is which visitor's work runs."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._stops: dict[str, threading.Event] = {}  # by session; a closed page sets and drops its own
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
        """Plays the round that `start(stop=...)` gives. picked: the pictures it came from, by id.

        What `start` raises becomes a toast, and the page stays as it was. One round a visitor at a time.
        """
        with shown_as_toast():
            stop = self.begin(request)
            try:
                events = start(stop=stop)
            except BaseException:
                self.end(request)
                raise
        sheet: Sheet | None = None
        failure: Exception | None = None
        began = told_at = time.monotonic()
        first: tuple[float, int] | None = None  # when the first step was done, and how many were then
        last = ""
        yield panels.busy() | {"status": view.waiting("Starting…")}
        try:
            with closing(events):
                for event in events:
                    now = time.monotonic()
                    if isinstance(event, Waiting):
                        yield {"status": view.waiting(event.reason)}
                    elif isinstance(event, Started):
                        sheet = visit.open(event.round)
                        if not picked:
                            visit.pick = None
                        began = now
                        yield panels.looked(visit, self.studio, self.waiting) | panels.picked(visit, busy=True)
                    elif isinstance(event, Step):
                        first = first or (now, event.done)
                        left = None
                        if event.done > first[1]:
                            left = (now - first[0]) / (event.done - first[1]) * (event.total - event.done)
                        count = len(sheet.round.places)
                        last = view.progress(event.done, event.total, len(sheet.tiles), count, left)
                        if now - told_at >= _REFRESH or event.done == event.total:
                            told_at = now
                            yield {"status": last}
                    elif isinstance(event, Made):
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
        yield panels.looked(visit, self.studio, self.waiting) | panels.idle(visit) | {"status": status}
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

    def _hang(self, visit: Visit, sheet: Sheet, made: Made, picked: Mapping[str, Picture]) -> None:
        picture, place = made.picture, sheet.round.places[made.index]
        file = visit.shelf(self.studio.shelves).get(picture.id)
        alike = resemblance(picked[place.parent].image, picture.image) if place.parent else None
        sheet.tiles[made.index] = Tile(picture.id, file, picture.pixel_sha256, made.flagged, alike)
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
