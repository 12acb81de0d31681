"""Events beside the rounds: links that fill the form, what is copied at the pick, and the token meters."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from pipeline_utils.page.events import SETTINGS
from pipeline_utils.page.share.handlers import Share
from pipeline_utils.page.tokens.handlers import Words
from pipeline_utils.studio import Studio

# The page waits this long before it asks, so that a quick typist does not ask at every letter.
_PAUSE = (
    "async (_, ...values) => { await new Promise((done) => setTimeout(done, 150)); "
    "return [secondRound.here(), ...values]; }"
)


def wire(parts: dict[str, gr.blocks.Block], on: Callable[..., None], studio: Studio, here: gr.JSON) -> None:
    """on(triggers, function, inputs, changes, **options) adds an event of the page, as in ui."""
    sharing, words = Share(studio), Words(studio)
    suffixes, linked_suffixes = parts["suffixes"], parts["linked_suffixes"]
    # Past the queue, since a full house must not keep anyone from reading; and the latest words count.
    late = {"queue": False, "trigger_mode": "always_last", "js": _PAUSE}
    typed = [parts[name].change for name in ("prompt", "suffixes", "pick", "note")]
    on(typed, words.words, [here, parts["prompt"], suffixes], ("words", "suffix_words"), **late)
    on([parts["pick"].change, suffixes.change], sharing.share, [here, suffixes], ("share",), **late)
    filled = (*SETTINGS, "linked_suffixes", "link_note")
    on(
        [gr.context.Context.root_block.load],
        sharing.open_link,
        [],
        ("prompt", "seeds", "second_seeds", "strength", *filled),
        js=None,
    )
    on([parts["note"].change], sharing.link_model, [here], filled)
    # An event of its own: an answer that leaves the list of suffixes out would empty it.
    on([linked_suffixes.change], sharing.link_suffixes, [linked_suffixes], ("suffixes",), js=None)
