"""What an event of the page does. Layout and wiring are in ui.py; no component is known here.

A handler answers with a dict from names of parts of the page to their new state.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from html import escape
from pathlib import Path

import gradio as gr
from PIL import Image

from pipeline_utils import panels, view
from pipeline_utils.api import told
from pipeline_utils.catalog import ModelSpec
from pipeline_utils.contact_sheet import contact_sheet, zip_pictures
from pipeline_utils.engine import Step
from pipeline_utils.errors import UserError
from pipeline_utils.panels import Parts
from pipeline_utils.picture import Picture
from pipeline_utils.rounds import parse_seeds
from pipeline_utils.shelf import saving
from pipeline_utils.streams import streamed
from pipeline_utils.studio import Made, RoundEvent, Started, Studio, Waiting
from pipeline_utils.visit import Sheet, Tile, Visit, compared, shorten

_log = logging.getLogger(__name__)
_REFRESH = 0.1  # seconds between two messages about steps
_KEEP_FILES = 3600  # seconds that a contact sheet or zip stays for its download


class Handlers:
    """The events of the page. Thread-safe: the only state here is which visitor's round runs."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._stops: dict[str, threading.Event] = {}  # by session; a closed page sets and drops its own
        self._waiting = studio.settings.data / "waiting.png"
        self._waiting.parent.mkdir(parents=True, exist_ok=True)
        Image.new("LA", (8, 8)).save(self._waiting)

    # Rounds

    def first_round(
        self,
        visit: Visit,
        prompt: str,
        seeds: str,
        negative_prompt: str,
        steps: float | None,
        guidance: float | None,
        width: float | None,
        height: float | None,
        sampler: str | None,
        cut: bool,
        request: gr.Request,
    ) -> Iterator[Parts]:
        """One prompt, one picture a seed. An empty number field takes the model's own value."""
        with _shown_as_toast():
            stop = self._begin(request)
            try:
                events = self.studio.first_round(
                    prompt,
                    seeds,
                    negative_prompt=negative_prompt,
                    num_inference_steps=steps,
                    guidance_scale=guidance,
                    width=width,
                    height=height,
                    sampler=sampler,
                    model=visit.model,
                    cut_long_prompts=cut,
                    stop=stop,
                    shelf=visit.shelf(self.studio.shelves),
                )
            except BaseException:
                self._end(request)
                raise
        yield from self._play(visit, events, stop, {}, request)

    def example(
        self,
        visit: Visit,
        prompt: str,
        seeds: str,
        negative_prompt: str,
        steps: float | None,
        guidance: float | None,
        width: float | None,
        height: float | None,
        sampler: str | None,
        cut: bool,
        request: gr.Request,
    ) -> Iterator[Parts]:
        """As first_round, with the words of an example button put into the prompt field first."""
        settings = (seeds, negative_prompt, steps, guidance, width, height, sampler, cut, request)
        parts = {"prompt": gr.update(value=prompt)}
        for more in self.first_round(visit, prompt, *settings):
            yield parts | more
            parts = {}

    def next_round(self, visit: Visit, suffixes: list[str], cut: bool, request: gr.Request) -> Iterator[Parts]:
        """The pick once more as control, then with each suffix."""
        with _shown_as_toast():
            if visit.pick is None:
                raise UserError("There is no pick yet: click a picture first, then ask for its second round.")
            stop = self._begin(request)
            try:
                shelf = visit.shelf(self.studio.shelves)
                picked = shelf.read(visit.pick.id)
                events = self.studio.second_round(picked, suffixes, cut_long_prompts=cut, stop=stop, shelf=shelf)
            except BaseException:
                self._end(request)
                raise
        yield from self._play(visit, events, stop, {picked.id: picked}, request)

    def count(self, seeds: str) -> Parts:
        """The words on the button that makes round one, while seeds are typed."""
        try:
            number = len(parse_seeds(seeds, random.randrange))
        except UserError:  # said when the button is pressed, not while typing
            return {"make": gr.update(value="Make pictures")}
        return {"make": gr.update(value="Make 1 picture" if number == 1 else f"Make {number} pictures")}

    def stop(self, request: gr.Request) -> Parts:
        """Ends the visitor's round within a step; its finished pictures stay."""
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

    # Looking and picking

    def show_round(self, visit: Visit, index: int) -> Parts:
        with _shown_as_toast():
            visit.show(index)
        return panels.looked(visit, self.studio, self._waiting)

    def pick(self, visit: Visit, event: gr.SelectData, request: gr.Request) -> Parts:
        with _shown_as_toast():
            visit.choose(event.index, _file_name(event.value))
        return panels.picked(visit, busy=request.session_hash in self._stops)

    # Files

    def sheet_file(self, visit: Visit) -> str:
        """The labelled contact sheet of the round that is shown, as a PNG."""
        with _shown_as_toast():
            sheet, name = self._shown(visit)
            title = sheet.prompt if sheet.round.number == 1 else f"{sheet.prompt} · round {sheet.round.number}"
            shelf = visit.shelf(self.studio.shelves)
            image = contact_sheet([shelf.read(tile.id) for tile in sheet.tiles.values()], title)
            file = self._download(sheet, name + ".png")
            with saving(file.parent):
                image.save(file)
            return str(file)

    def zip_file(self, visit: Visit) -> str:
        """The PNGs of the round that is shown, in a zip."""
        with _shown_as_toast():
            sheet, name = self._shown(visit)
            file = self._download(sheet, name + ".zip")
            # The same picture may stand twice: a pick and its equal control differ in lineage, tiles do not.
            zip_pictures(list(dict.fromkeys(tile.file for tile in sheet.tiles.values())), file)
            return str(file)

    # Models

    def switch(self, visit: Visit, name: str, request: gr.Request) -> Iterator[Parts]:
        """Loads another model and sets the fields to its own values; back to the former when that fails."""
        models = self.studio.models
        failure: Exception | None = None
        spec: ModelSpec | None = None
        stop: threading.Event | None = None
        began = time.monotonic()
        try:
            wanted = models.open(name)
            if wanted.name == visit.model:
                yield {"model": gr.update(value=visit.model)}
                return
            stop = self._begin(request)
            yield panels.busy() | {"status": view.waiting(f"Loading {shorten(wanted.title, 60)}…")}

            def work(emit: Callable[[ModelSpec], None], stop: threading.Event) -> None:
                with models.use(wanted.name, stop) as loaded:
                    emit(loaded.spec)

            with closing(streamed(work, stop)) as specs:
                spec = next(specs, None)
        except Exception as error:
            failure = error
        finally:
            if stop is not None:
                self._end(request)
        if spec is not None:
            visit.model = spec.name
            took = view.duration(time.monotonic() - began)
            form = {name: gr.update(**properties) for name, properties in panels.fields(spec).items()}
            yield panels.idle(visit) | form | {"status": view.said(f"{spec.title}: ready in {took}")}
        else:
            parts = panels.idle(visit) if stop is not None else {}
            status = "" if failure else view.said("Stopped.")
            yield parts | {"model": gr.update(value=visit.model), "status": status}
        _tell(failure)

    # Inner parts

    def _begin(self, request: gr.Request) -> threading.Event:
        if request.session_hash in self._stops:
            raise UserError("What you asked for before is still running: stop it, or wait until it is done.")
        stop = self._stops[request.session_hash] = threading.Event()
        return stop

    def _end(self, request: gr.Request) -> None:
        self._stops.pop(request.session_hash, None)

    def _play(
        self,
        visit: Visit,
        events: Iterator[RoundEvent],
        stop: threading.Event,
        picked: Mapping[str, Picture],
        request: gr.Request,
    ) -> Iterator[Parts]:
        """Plays a round into the page. picked: the pictures it came from, by id."""
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
                        yield panels.looked(visit, self.studio, self._waiting) | panels.picked(visit, busy=True)
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
                                "gallery": gr.update(value=panels.tiles(sheet, self._waiting)),
                                "heading": view.heading(visit),
                            }
        except Exception as error:  # the page must be usable again before anyone is told
            failure = error
        finally:
            self._end(request)
        missing = sheet is None or len(sheet.tiles) < len(sheet.round.places)
        if sheet is not None:
            visit.close(sheet)
        status = view.said(_outcome(sheet, missing, failure, time.monotonic() - began))
        yield panels.looked(visit, self.studio, self._waiting) | panels.idle(visit) | {"status": status}
        _tell(failure)

    def _hang(self, visit: Visit, sheet: Sheet, made: Made, picked: Mapping[str, Picture]) -> None:
        picture, place = made.picture, sheet.round.places[made.index]
        file = visit.shelf(self.studio.shelves).get(picture.id)
        sheet.tiles[made.index] = Tile(picture.id, file, picture.pixel_sha256, made.flagged)
        if place.control:
            sheet.controls[made.index] = compared(picked[place.parent], picture)

    def _shown(self, visit: Visit) -> tuple[Sheet, str]:
        """The round that is shown, and a file name for all of it. Raises UserError when there is none."""
        sheet = visit.shown
        if sheet is None or sheet.running or not sheet.tiles:
            raise UserError("There is no finished round to download yet.")
        return sheet, f"round-{sheet.round.number}_seed-{sheet.seed}"

    def _download(self, sheet: Sheet, name: str) -> Path:
        """A place for a file that is downloaded at once, below a folder named by what is in it."""
        folder = self.studio.settings.data / "downloads"
        for old in folder.glob("*/*"):
            if time.time() - old.stat().st_mtime > _KEEP_FILES:
                old.unlink(missing_ok=True)
        ids = " ".join(tile.id for tile in sheet.tiles.values())
        place = folder / hashlib.sha256(ids.encode()).hexdigest()[:16]
        with saving(place):
            place.mkdir(parents=True, exist_ok=True)
        return place / name


@contextmanager
def _shown_as_toast() -> Iterator[None]:
    """As `told`, for the page: it reads a message as HTML, and messages quote what was typed."""
    try:
        with told():
            yield
    except gr.Error as error:
        error.message = escape(error.message, quote=False)
        raise


def _outcome(sheet: Sheet | None, missing: bool, failure: Exception | None, seconds: float) -> str:
    count = len(sheet.tiles) if sheet else 0
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    if failure is not None:
        return f"Ended early; {pictures} kept." if count else ""
    if missing:
        return f"Stopped; {pictures} kept." if count else "Stopped before the first picture."
    return f"{pictures} in {view.duration(seconds)}"


def _file_name(value: object) -> str | None:
    """The file name in what the browser says it selected."""
    image = value.get("image") if isinstance(value, dict) else None
    path = image.get("path") if isinstance(image, dict) else None
    return Path(path).name if isinstance(path, str) else None


def _tell(failure: Exception | None) -> None:
    """The last thing of an event: what went wrong, once the page is usable again."""
    if isinstance(failure, UserError):
        with _shown_as_toast():
            raise failure
    if failure is not None:
        _log.error("An event of the page failed", exc_info=failure)
        raise gr.Error("That failed for a reason that is in the app's log. Nothing you made is lost.")
