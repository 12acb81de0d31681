"""The Verify tab: a PNG or a recipe goes in, a verdict comes out."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import closing
from html import escape
from typing import Any

import gradio as gr
from PIL import Image

from pipeline_utils.api import open_reading, under_way
from pipeline_utils.engine.events import Step
from pipeline_utils.errors import InputError, UserError
from pipeline_utils.page.events import Page
from pipeline_utils.proof.replay import checking
from pipeline_utils.proof.verdict import Claim, Verdict
from pipeline_utils.studio import Studio

_SHOWN = 512  # pixels of the longer side of a picture in the page

INTRO = """
<h2>Is this picture what its recipe makes?</h2>
<p class="quiet">Drop a PNG of this app. Its recipe is read, made again, and compared pixel by pixel.
Same recipe and same fingerprint: identical bits, whatever company the picture had. Another machine or version: alike,
and measured.</p>
"""


def build(page: Page, tab: gr.Tab) -> None:
    """The parts and events of the tab; called inside it."""
    studio = page.player.studio
    gr.HTML(INTRO, elem_id="verify-intro")
    file = gr.File(label="PNG", file_types=[".png"], type="filepath", height=140, elem_id="verify-file")
    with gr.Accordion("Or paste a recipe", open=False, elem_id="verify-paste"):
        text = gr.Textbox(
            label="Recipe or record, as JSON", lines=4, max_lines=12, elem_id="verify-text", placeholder='{"model": …}'
        )
        again = gr.Button("Check the recipe", elem_id="verify-recipe")
    fetch = gr.Button("Download the model and check", variant="primary", visible=False, elem_id="verify-fetch")
    found = gr.HTML(elem_id="verdict")
    script = gr.Code(
        label="What was made here, as Python",
        language="python",
        visible=False,
        interactive=False,
        show_line_numbers=False,
        elem_id="verify-code",
    )
    last = gr.JSON(visible=False)  # what was asked, for the button that allows a download
    hidden = gr.update(visible=False)

    def check(asked: tuple[str, str] | None, allow: bool = False) -> Iterator[tuple[Any, ...]]:
        try:
            with under_way(studio.stops, "verify") as stop:
                yield from _checked(studio, asked, allow, stop)
        except UserError as error:
            yield refused(error), hidden, hidden, None

    def check_file(path: str | None) -> Iterator[tuple[Any, ...]]:
        """Makes the dropped PNG again."""
        yield from check(("file", path or ""))

    def check_text(text: str) -> Iterator[tuple[Any, ...]]:
        """Makes the pasted recipe."""
        yield from check(("text", text))

    def check_again(asked: tuple[str, str] | None) -> Iterator[tuple[Any, ...]]:
        """The same once more, with leave to download."""
        yield from check(asked, allow=True)

    outputs = [found, fetch, script, last]
    shown: dict[str, Any] = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private"}
    options = shown | {"concurrency_limit": 16, "concurrency_id": "rounds", "trigger_mode": "once"}
    file.upload(check_file, file, api_name="page_check_file", **options)
    again.click(check_text, text, api_name="page_check_text", **options)
    fetch.click(check_again, last, api_name="page_check_again", **options)
    file.clear(lambda: ("", hidden, hidden, None), api_name="page_check_clear", **shown)


def _checked(
    studio: Studio, asked: tuple[str, str] | None, allow: bool, stop: threading.Event
) -> Iterator[tuple[Any, ...]]:
    """Updates of (verdict, download button, script, what was asked)."""
    hidden = gr.update(visible=False)
    if not isinstance(asked, list | tuple) or len(asked) != 2:
        raise InputError("picture", "", "drop a PNG or paste a recipe first")
    kind, value = asked
    claim = Claim.of(open_reading(studio, value)) if kind == "file" else Claim.from_text(value)
    yield waiting("Getting ready…"), hidden, hidden, asked
    with closing(checking(studio, claim, allow_download=allow, stop=stop)) as events:
        for event in events:
            if isinstance(event, Step):
                yield waiting(f"Step {event.done} of {event.total}"), hidden, hidden, asked
            else:
                code = hidden
                if event.replayed:
                    from pipeline_utils.engine.script import as_python

                    spec = studio.models.meant(event.followed.model, event.followed.revision)
                    python = as_python([event.followed], spec, event.fingerprint_here)
                    code = gr.update(value=python, visible=True)
                yield verdict_html(event, claim.image), gr.update(visible=event.needs_download), code, asked


def waiting(text: str) -> str:
    return f'<div class="checked" aria-live="polite"><p class="quiet">{escape(text)}</p></div>'


def refused(error: UserError) -> str:
    return f'<div class="checked" role="alert"><p class="verdict differs">{escape(str(error))}</p></div>'


def verdict_html(verdict: Verdict, image: Image.Image | None) -> str:
    """The verdict for the page. Everything that comes from a file is escaped."""
    state = "equal" if verdict.identical else "differs" if verdict.replayed or verdict.edited else "unknown"
    parts = [f'<p class="verdict {state}">{escape(verdict.sentence)}</p>']
    figures = [("The file", image), ("Made again", verdict.replay)]
    if verdict.difference and verdict.difference.l_inf:
        figures.append(("What differs, brightened", verdict.difference.image))
    shown = "".join(_figure(title, picture) for title, picture in figures if picture is not None)
    parts.append(f'<div class="pictures">{shown}</div>' if shown else "")
    if verdict.differing:
        rows = "".join(
            f'<tr><th scope="row">{escape(str(name))}</th><td>{_value(there)}</td><td>{_value(here)}</td></tr>'
            for name, there, here in verdict.differing
        )
        head = "".join(f'<th scope="col">{title}</th>' for title in ("Fingerprint", "There", "Here"))
        parts.append(f'<table class="fingerprints"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>')
    if verdict.getting_back:
        parts.append(f"<p>The packages that made it, for another try:</p><pre>{escape(verdict.getting_back)}</pre>")
    if verdict.recipe:
        parts.append(_details("Recipe", verdict.recipe.to_dict(), open=True))
    parts.append(_details("Made here by", verdict.fingerprint_here))
    hashes = {
        "of the file's pixels": verdict.actual_sha256,
        "in its record": verdict.stored_sha256,
        "of the replay": verdict.replayed_sha256,
    }
    parts.append(_details("SHA-256", {name: value for name, value in hashes.items() if value}))
    return f'<section class="checked" aria-label="Verdict" aria-live="polite">{"".join(parts)}</section>'


def _details(title: str, values: dict, open: bool = False) -> str:
    rows = "".join(f"<dt>{escape(str(key))}</dt><dd>{_value(value)}</dd>" for key, value in values.items())
    if not rows:
        return ""
    return f"<details{' open' if open else ''}><summary>{escape(title)}</summary><dl>{rows}</dl></details>"


def _value(value: object) -> str:
    return "—" if value is None or value == "" else escape(str(value))


def _figure(title: str, image: Image.Image) -> str:
    small = max(image.size) <= _SHOWN // 2
    if max(image.size) > _SHOWN:
        image = image.copy()
        image.thumbnail((_SHOWN, _SHOWN))
    data = io.BytesIO()
    image.save(data, "PNG")
    source = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    kind = ' class="small"' if small else ""
    return f'<figure><img src="{source}" alt="{escape(title)}"{kind}><figcaption>{escape(title)}</figcaption></figure>'
