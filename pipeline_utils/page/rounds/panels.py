"""What the parts of the page look like, by their names: for a visit, and for a model's own values."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gradio as gr

from pipeline_utils.errors import ModelError, UserError
from pipeline_utils.models.catalog import FAMILIES, SAMPLERS, ModelSpec, sampler_label
from pipeline_utils.models.sources import list_models
from pipeline_utils.page.rounds import html
from pipeline_utils.page.rounds.rows import rows
from pipeline_utils.page.suffixes.layout import known_suffixes
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.proof.replay import again
from pipeline_utils.studio import Studio

Changes = dict[str, Any]


def looked(visit: Visit, studio: Studio) -> Changes:
    """The parts that show the rounds, and what can be had of the one that is shown."""
    shown = visit.shown
    ready = bool(shown and shown.tiles and not shown.running)
    python = script(visit, studio) if ready else None
    return {
        "gallery": rows(visit),
        "empty": gr.update(visible=shown is None),
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
    """The parts that show the pick, and mark it among the pictures."""
    pick, shown = visit.pick, html.NO_PICK
    if pick:
        shown = html.pick(pick, html.frame(pick), again(studio, pick.recipe, pick.fingerprint))
    number = pick.round + 1 if pick else 2
    return {
        "gallery": rows(visit),
        "pick": shown,
        "download": gr.update(value=str(pick.file) if pick else None, visible=pick is not None),
        "next_title": html.next_round(pick, visit.rows() if len(visit.rows()) < len(visit.seeds()) else []),
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


def model_choices(studio: Studio) -> list[tuple[str, str]]:
    """Title and name of every model in the selector, the one of this start first."""
    try:
        known = list_models()
    except ModelError:  # a checkout without the bundled weights, started with another model
        known = {}
    spec = studio.models.spec(studio.models.default)
    specs = {spec.name: spec} | (known if studio.settings.visitors_choose != "one" else {})
    return [(each.title, each.name) for each in specs.values()]
