"""What the parts of the page look like, by their names: for a visit, and for a model's own values."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from pipeline_utils.errors import UserError
from pipeline_utils.models.catalog import FAMILIES, SAMPLERS, ModelSpec, sampler_label
from pipeline_utils.page.rounds import html
from pipeline_utils.page.suffixes.layout import known_suffixes
from pipeline_utils.page.visitor.visit import RoundShown, Visit
from pipeline_utils.proof.replay import again
from pipeline_utils.studio import Studio

Changes = dict[str, Any]


def tiles(shown: RoundShown, waiting: Path) -> list[tuple[str, str]]:
    """(file, caption) of every place of a round; `waiting` stands where a picture is still being made."""
    files = {at: tile.file for at, tile in shown.tiles.items() if tile.file.is_file()}  # not deleted meanwhile
    return [(str(files.get(at, waiting)), html.caption(shown, at)) for at in range(len(shown.round.places))]


def looked(visit: Visit, studio: Studio, waiting: Path) -> Changes:
    """The parts that show a round."""
    shown = visit.shown
    titles = [(shown.title, shown.key) for shown in visit.rounds]
    ready = bool(shown and shown.tiles and not shown.running)
    python = script(visit, studio) if ready else None
    return {
        "rounds": gr.update(
            choices=titles,
            value=shown.key if shown else None,
            visible=len(titles) > 1,
        ),
        "heading": html.heading(visit),
        "empty": gr.update(visible=shown is None),
        # gr.update with selected_index=None would leave the browser's old selection.
        "gallery": gr.Gallery(
            value=tiles(shown, waiting) if shown else [], selected_index=visit.selected, visible=shown is not None
        ),
        "sheet_button": gr.update(interactive=ready),
        "zip_button": gr.update(interactive=ready),
        "files": gr.update(visible=shown is not None),
        "script": gr.update(visible=python is not None),
        "python": python,
    }


def script(visit: Visit, studio: Studio) -> str | None:
    """The plain diffusers script of the round that is shown, whose pictures were all made by one process.

    None where its model or its pictures are no longer here, and before torch is.
    """
    if not studio.models.has_begun:
        return None
    from pipeline_utils.engine.script import as_python

    recipes = visit.shown.round.recipes
    with suppress(UserError):
        first = next(iter(visit.shown.tiles.values())).read()
        return as_python(recipes, studio.models.meant(recipes[0].model, recipes[0].revision), first.fingerprint)
    return None


def picked(visit: Visit, studio: Studio, busy: bool) -> Changes:
    """The parts that show the pick."""
    pick, shown = visit.pick, html.NO_PICK
    if pick:
        shown = html.pick(pick, html.frame(pick), again(studio, pick.recipe, pick.fingerprint))
    number = pick.round + 1 if pick else 2
    return {
        "pick": shown,
        "download": gr.update(value=str(pick.file) if pick else None, visible=pick is not None),
        "next_title": html.next_round(pick),
        "next": gr.update(value=html.round_name(number), interactive=pick is not None and not busy),
        "grid": grid(visit, busy),
        "vary": gr.update(interactive=pick is not None and not busy),
    }


def grid(visit: Visit, busy: bool) -> Any:
    """The button that makes a grid: on how many seeds."""
    rows, seeds = len(visit.rows()), len(visit.seeds())
    label = "On all seeds" if rows < 2 else f"On all {rows} seeds" if rows == seeds else f"On {rows} of {seeds} seeds"
    return gr.update(value=label, interactive=rows > 1 and not busy)


def busy() -> Changes:
    return {
        "make": gr.update(interactive=False),
        "next": gr.update(interactive=False),
        "grid": gr.update(interactive=False),
        "vary": gr.update(interactive=False),
        "stop": gr.update(visible=True, interactive=True),
    }


def idle(visit: Visit) -> Changes:
    return {
        "make": gr.update(interactive=True),
        "next": gr.update(interactive=visit.pick is not None),
        "grid": grid(visit, busy=False),
        "vary": gr.update(interactive=visit.pick is not None),
        "stop": gr.update(visible=False),
    }


def fields(spec: ModelSpec) -> dict[str, dict[str, Any]]:
    """The properties of the form's parts at a model's own values. Examples keep their number: three."""
    family = FAMILIES.get(spec.family)
    samplers = [sampler_label(name) for name in spec.schedulers] if family else list(SAMPLERS)
    fixed = bool(family and family.fixed_size)
    examples = (*spec.examples, "", "", "")[:3]
    return {
        "model": {"value": spec.name},
        "note": {"value": html.model_note(spec, spec.name)},
        "negative_prompt": {"visible": not family or family.negative_prompt},
        "num_inference_steps": {"value": spec.num_inference_steps},
        "guidance_scale": {"value": spec.guidance_scale},
        "width": {"value": spec.width, "interactive": not fixed},
        "height": {"value": spec.height, "interactive": not fixed},
        "sampler": {"choices": samplers, "value": sampler_label(spec.scheduler) if spec.scheduler else None},
        "suffixes": {"value": list(spec.suffixes), "own": list(spec.suffixes), "known": known_suffixes(spec)},
    } | {f"example {n}": {"value": text, "visible": bool(text)} for n, text in enumerate(examples)}
