"""A visitor's kept pictures on the page: found again on arrival, chosen by a click, and as the HTML of a list.

A visitor may arrive before the model is loaded. A line says so, and what the page can tell only then follows.
"""

from __future__ import annotations

from contextlib import suppress
from html import escape

import gradio as gr

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.page.events import FORM, HERE, LOOK, PICK, Page
from pipeline_utils.page.rounds import html, panels
from pipeline_utils.page.rounds.html import FLAGGED, url
from pipeline_utils.page.rounds.panels import Changes
from pipeline_utils.page.running import Player
from pipeline_utils.page.share.layout import is_link
from pipeline_utils.page.visitor import visits
from pipeline_utils.page.visitor.visit import Visit, shorten
from pipeline_utils.page.visitor.visits import sent
from pipeline_utils.recipe.rounds import check_suffixes
from pipeline_utils.shelf.copies import Thumbs
from pipeline_utils.shelf.index import Card

MOST = 100_000  # pictures that a page is asked to show
QUICK = {"show_progress": "hidden", "api_visibility": "private", "queue": False, "js": HERE}
KEPT = (*FORM, "suffixes")  # what a reload puts back into the form
# Parts of the form that show a model's own values, of which some are known only when it is loaded.
OWN = ("note", "negative_prompt", "num_inference_steps", "guidance_scale", "width", "height", "sampler")


def wire(page: Page) -> None:
    """What happens when the page is opened."""
    handlers, returning, kept = Pictures(page.player), gr.Checkbox(visible=False), gr.JSON(visible=False)
    # Asked every second, not held open until the model is there: Gradio's client mixes up the answers of a round that
    # begins while its stream is open already.
    clock = gr.Timer(1, active=False)
    outputs = [clock, *(page.parts[name] for name in dict.fromkeys(("loading", "model", *KEPT, *OWN, *LOOK, *PICK)))]
    fields = [page.parts[name] for name in KEPT]
    gr.on([field.change for field in fields], None, fields, None, js="secondRound.keep", api_visibility="private")
    gr.context.Context.root_block.load(
        page.event(handlers.arrive, clock=clock),
        [page.here, returning, kept],
        outputs,
        api_name="page_arrive",
        **QUICK | {"js": "() => [secondRound.here(), secondRound.visitor()[1], secondRound.kept()]"},
    ).then(None, js="() => secondRound.resume()", api_visibility="private")
    clock.tick(page.event(handlers.loaded, clock=clock), page.here, outputs, api_name="page_loaded", **QUICK)


def shown(page: Page) -> list[gr.blocks.Block]:
    """The parts of the page that show a round and the pick."""
    return [page.parts[name] for name in dict.fromkeys((*LOOK, *PICK))]


class Pictures:
    """Events of the page. Thread-safe: all state is in the visit."""

    def __init__(self, player: Player) -> None:
        self.player, self.studio = player, player.studio
        self._built = self._own()  # as the page shows it before anything happens

    def arrive(self, visit: Visit, returning: object, kept: object, request: gr.Request) -> Changes:
        """A page was opened. returning: the browser kept its token already. kept: the form's values before a reload.

        A reload finds the page as it was. A visitor who returns otherwise finds the newest round, unless a link
        brought them, whose picture is to be made.
        """
        self.studio.visited.set()
        models = self.studio.models
        parts = self._changed()
        if not models.has_begun:
            title = shorten(models.spec(models.default).title, 60)
            parts = {"loading": html.waiting(f"Loading {title}…"), "clock": gr.Timer(active=True)}
        if visit.model != models.default:  # which its page showed
            with suppress(UserError):
                parts |= {name: gr.update(**new) for name, new in panels.fields(models.spec(visit.model)).items()}
        parts |= _form(kept)
        if not visit.rounds:
            if returning is not True or is_link(request.query_params or ()):
                return parts
            visits.restore(visit, visit.album(self.studio.shelves))
        if not visit.rounds:
            return parts
        return {"prompt": gr.update(value=visit.rounds[0].prompt)} | parts | self.looked(visit, request)

    def loaded(self, visit: Visit, request: gr.Request) -> Changes:
        """Once the model is there: the line goes, and what needed the model is told."""
        if not self.studio.models.has_begun:
            return {}
        return {"loading": "", "clock": gr.Timer(active=False)} | self._changed() | self.looked(visit, request)

    def choose(self, visit: Visit, event: gr.EventData, request: gr.Request) -> Changes:
        """Makes the picture that was clicked the pick, and goes to its round."""
        visits.choose(visit, visit.album(self.studio.shelves), sent(event, "id"))
        return self.looked(visit, request) | {"tabs": gr.Tabs(selected="rounds")}

    def looked(self, visit: Visit, request: gr.Request) -> Changes:
        """The parts that show the round and the pick as they are now."""
        busy = self.player.is_busy(request)
        return panels.looked(visit, self.studio) | panels.picked(visit, self.studio, busy)

    def _own(self) -> dict[str, dict]:
        """The properties of the form's parts for the model of this start."""
        own = panels.fields(self.studio.models.spec(self.studio.models.default))
        return {name: own[name] for name in OWN}

    def _changed(self) -> Changes:
        """The form's parts that are not as the page was built."""
        return {name: gr.update(**new) for name, new in self._own().items() if new != self._built[name]}


def _form(kept: object) -> Changes:
    """The fields of the form with these values, which a round checks when it is asked for."""
    if not isinstance(kept, list) or len(kept) != len(KEPT):
        return {}
    values = dict(zip(KEPT, kept, strict=True))
    suffixes = values.pop("suffixes")
    plain = {name: gr.update(value=value) for name, value in values.items() if isinstance(value, str | int | float)}
    with suppress(InputError):
        plain["suffixes"] = gr.update(value=check_suffixes(suffixes))
    return plain


def label(card: Card) -> str:
    """What tells a picture from the others of its round."""
    if card.control:
        return "control"
    return shorten(card.suffix.strip(" ,"), 40) if card.suffix else card.noise


def flagged(card: Card) -> str:
    return " · blacked out" if card.flagged else ""


def words(card: Card) -> str:
    """A picture in words, for those who do not see it; escaped."""
    more = (", control" if card.control else "") + (f", {FLAGGED}" if card.flagged else "")
    return escape(f"{shorten(card.prompt, 200)}, {card.noise}{more}")


def image(card: Card, thumbs: Thumbs) -> str:
    """The picture itself, or a small copy, as an element of a list."""
    return (
        f'<img src="{url(thumbs.of(card))}" alt="{words(card)}" loading="lazy" decoding="async" '
        f'width="{card.width}" height="{card.height}">'
    )
