"""Playing a round into the page, from the first word to the last picture, and ending it early."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial

import gradio as gr

from pipeline_utils.api import listener_gone, where_from
from pipeline_utils.engine.events import Refused, Step
from pipeline_utils.engine.stops import Stop
from pipeline_utils.errors import ModelError, UserError
from pipeline_utils.page.rounds import html, panels
from pipeline_utils.page.rounds.panels import Changes
from pipeline_utils.page.rounds.rows import rows
from pipeline_utils.page.visitor.visit import RoundShown, Tile, Visit, are_nearly_alike, compared, usual
from pipeline_utils.picture.picture import Picture
from pipeline_utils.studio import Made, RoundEvent, Started, Studio, Waiting

NEARLY_ALIKE = (
    "The seeds came out nearly alike, since this model makes little of the noise here. A prompt that leaves more open, "
    "or another model, gives more to choose from."
)
_REFRESH = 0.1  # seconds between two messages about steps


class Player:
    """One for the page. Thread-safe: which visitor's work runs is known to the studio's stops."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def play(
        self,
        visit: Visit,
        start: Callable[..., Iterator[RoundEvent]],
        picked: Mapping[str, Picture],
        request: gr.Request,
    ) -> Iterator[Changes]:
        """Plays the round that `start(stop=..., previews=...)` gives. picked: the pictures it came from, by id.

        What `start` raises becomes a toast, and the page stays as it was. One round a visitor at a time.
        """
        stop = self.begin(request)
        try:
            events = start(stop=stop, previews=self.studio.settings.previews)
        except BaseException:
            self.end(request, stop)
            raise
        shown: RoundShown | None = None
        failure: Exception | None = None
        refused: list[str] = []
        count = 0
        began = told_at = time.monotonic()
        try:
            yield panels.busy() | {"status": html.waiting("Starting…"), "previews": ""}
            with closing(events):
                for event in events:
                    now = time.monotonic()
                    if isinstance(event, Waiting):
                        yield {"status": html.waiting(event.reason)}
                    elif isinstance(event, Started):
                        if shown is not None:
                            visit.close(shown)
                        beside = {each: self._usual(visit, source) for each, source in picked.items()}
                        shown, began, growing = visit.open(event.round), now, ""
                        count = len(shown.round.places)
                        stop.at_end(partial(visit.close, shown))  # whatever becomes of the page's stream
                        if not picked:
                            visit.pick = None
                        yield panels.looked(visit, self.studio) | panels.picked(visit, self.studio, busy=True)
                    elif isinstance(event, Step):
                        if event.previews is not None:
                            growing = html.previews(event.previews, event.pictures)
                        if now - told_at >= _REFRESH or event.done == event.total:
                            told_at = now
                            status = html.progress(
                                event.done, event.total, len(shown.tiles), count, _left(event, now - began)
                            )
                            yield {"status": status, "previews": growing}
                    elif isinstance(event, Refused):
                        refused.append(event.reason)
                    elif isinstance(event, Made):
                        self._hang(shown, event, picked, beside)
                        yield {"gallery": rows(visit)}
        except Exception as error:  # the page must be usable again before anyone is told
            failure = error
        finally:  # may run on the server's event loop, so nothing here waits
            self.end(request, stop)
        made = len(shown.tiles) if shown else 0
        said = _outcome(made, len(refused), count, failure, time.monotonic() - began)
        if shown and shown.round.number == 1 and are_nearly_alike(shown.tiles.values()):
            said = f"{said}. {NEARLY_ALIKE}"
        status = html.outcome(said)
        yield panels.looked(visit, self.studio) | panels.idle(visit) | {"status": status, "previews": ""}
        if refused and failure is None:
            more = f" And {len(refused) - 1} more like it." if len(refused) > 1 else ""
            failure = ModelError(refused[0] + more)
        if failure is not None:
            raise failure

    def begin(self, request: gr.Request) -> Stop:
        """The stop flag of work that begins now; `end` when it is over. Raises UserError while other work runs."""
        if self.is_busy(request):
            raise UserError("What you asked for before is still running: stop it, or wait until it is done.")
        return self.studio.stops.begin(request.session_hash, "round", listener_gone(), where_from(request))

    def end(self, request: gr.Request, stop: Stop) -> None:
        self.studio.stops.end(request.session_hash, stop)

    def is_busy(self, request: gr.Request) -> bool:
        return bool(self.studio.stops.under_way(request.session_hash, "round"))

    def stop(self, request: gr.Request) -> Changes:
        """Ends the visitor's work within a step; its finished pictures stay."""
        if not self.studio.stops.stop(request.session_hash, "round"):
            return {"stop": gr.update(visible=False)}
        return {"stop": gr.update(interactive=False)}

    @staticmethod
    def _usual(visit: Visit, source: Picture) -> float | None:
        home = visit.home(source.id)
        return usual(source, ((tile.file, tile.id) for tile in home.tiles.values())) if home else None

    @staticmethod
    def _hang(shown: RoundShown, made: Made, picked: Mapping[str, Picture], beside: Mapping[str, float | None]) -> None:
        picture, place = made.picture, shown.round.places[made.index]
        shown.tiles[made.index] = Tile.of(picture, made.file, picked.get(place.parent), beside.get(place.parent))
        if place.control:
            shown.controls[made.index] = compared(picked[place.parent], picture)


def _outcome(made: int, refused: int, asked: int, failure: Exception | None, seconds: float) -> str:
    """What became of the `asked` places of a round."""
    pictures = "1 picture" if made == 1 else f"{made} pictures"
    if failure is not None:
        return f"Ended early; {pictures} kept." if made else ""
    if not asked or made + refused < asked:
        return f"Stopped; {pictures} kept." if made else "Stopped before the first picture."
    if refused:
        return f"{pictures} in {html.duration(seconds)}; {refused} of {asked} came out as none."
    return f"{pictures} in {html.duration(seconds)}"


def _left(step: Step, passed: float) -> float | None:
    """Seconds until the last step is done, as the steps went so far; None until two are."""
    return passed / step.done * (step.total - step.done) if step.done > 1 else None
