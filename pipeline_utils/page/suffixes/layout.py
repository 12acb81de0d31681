"""The column beside the pick: the suffixes of its next round, all seeds at once, and its variations."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import gradio as gr

from pipeline_utils.models.catalog import ASSETS, ModelSpec
from pipeline_utils.page.rounds import html
from pipeline_utils.recipe.rounds import MAX_SUFFIX, MAX_SUFFIXES


def build(suffixes: dict[str, Any]) -> dict[str, gr.blocks.Block]:
    """The parts by name. suffixes: the properties of the list at the model's own values."""
    parts: dict[str, gr.blocks.Block] = {}
    parts["next_title"] = gr.HTML(html.next_round(None))
    parts["suffixes"] = gr.HTML(
        html_template='<div class="suffixes"></div>',
        js_on_load="secondRound.suffixList(element.querySelector('.suffixes'), props, watch)",
        apply_default_css=False,
        elem_id="suffixes",
        moods=_presets()["moods"],
        most=MAX_SUFFIXES,
        longest=MAX_SUFFIX,
        **suffixes,
    )
    parts["suffix_words"] = gr.HTML(elem_id="suffix-words")
    with gr.Row(elem_id="next-go"):
        parts["next"] = gr.Button(
            "Second round", variant="primary", interactive=False, min_width=0, scale=3, elem_id="next"
        )
        parts["grid"] = gr.Button("On all seeds", interactive=False, min_width=0, scale=2, elem_id="grid")
    with gr.Accordion("Variations", open=False, elem_id="variations"):
        gr.HTML(html.VARIATIONS)
        with gr.Row():
            parts["second_seeds"] = gr.Textbox(
                label="Second seeds", value="4 random", max_lines=1, min_width=0, scale=2, elem_id="second-seeds"
            )
            parts["strength"] = gr.Slider(
                0, 1, value=0.2, step=0.05, label="Strength", min_width=0, scale=3, elem_id="strength"
            )
        parts["vary"] = gr.Button("Make variations", interactive=False, min_width=0, elem_id="vary")
    return parts


def known_suffixes(spec: ModelSpec) -> list[str]:
    """The suffixes a model is known for: its own, then the other styles that it was trained on."""
    return list(dict.fromkeys([*spec.suffixes, *_presets()["models"].get(spec.name, [])]))


@cache
def _presets() -> dict[str, dict[str, list[str]]]:
    return json.loads((ASSETS / "style_suffixes.json").read_text("utf-8"))
