"""Links that open the page with a recipe filled in, and what can be copied at the pick.

All of a link is in its address; the server keeps nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from html import escape
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.models.catalog import ModelSpec, sampler_class, sampler_label
from pipeline_utils.models.revisions import short
from pipeline_utils.page.events import LATE, SETTINGS
from pipeline_utils.page.rounds import panels
from pipeline_utils.page.rounds.panels import Changes
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.recipe import ask, recipe
from pipeline_utils.recipe.ask import ASKED, Ask
from pipeline_utils.recipe.recipe import Recipe
from pipeline_utils.recipe.rounds import MAX_SUFFIXES, check_suffixes
from pipeline_utils.studio import Studio

# What a link may name: all that is asked for but how to treat a long prompt, and three fields of a recipe more.
_RECIPES_OWN = ("revision", "variation_seed", "variation_strength")
_TYPES = {each.name: each.type for each in fields(Ask) if each.name != "cut_long_prompts"}
_TYPES |= {each.name: each.type for each in fields(Recipe) if each.name in _RECIPES_OWN}


def wire(parts: dict[str, gr.blocks.Block], on: Callable[..., None], studio: Studio, here: gr.JSON) -> None:
    """on(triggers, function, inputs, changes, **options) adds an event of the page, as in rounds/layout.py."""
    share = Share(studio)
    suffixes, linked_suffixes = parts["suffixes"], parts["linked_suffixes"]
    on([parts["pick"].change, suffixes.change], share.share, [here, suffixes], ("share",), **LATE)
    filled = (*SETTINGS, "linked_suffixes", "link_note")
    opened = ("prompt", "seeds", "second_seeds", "strength", *filled)
    on([gr.context.Context.root_block.load], share.open_link, [], opened, js=None)
    on([parts["note"].change], share.link_model, [here], filled)
    # An event of its own: an answer that leaves the list of suffixes out would empty it.
    on([linked_suffixes.change], share.link_suffixes, [linked_suffixes], ("suffixes",), js=None)


class Share:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def share(self, visit: Visit, suffixes: list[str]) -> Changes:
        """What can be copied at the pick."""
        pick = visit.pick
        if pick is None:
            return {"share": ""}
        kept = [suffix for suffix in suffixes if isinstance(suffix, str)] if isinstance(suffixes, list) else []
        script = None
        with suppress(UserError):  # its file was deleted, or its model is not known to this start
            if self.studio.models.has_begun:
                from pipeline_utils.engine.script import as_python

                picture = pick.read()
                spec = self.studio.models.meant(pick.recipe.model, pick.recipe.revision)
                script = as_python([pick.recipe], spec, picture.fingerprint)
        # A link is for what can be opened: suffixes that a round would refuse are not passed on.
        good = read_link([("suffix", suffix) for suffix in kept]).suffixes
        return {"share": copied(query(pick.recipe, good), pick.recipe.to_json(), script)}

    def open_link(self, request: gr.Request) -> Changes:
        """Fills the form from the query parameters of the page's address. Never runs or loads anything."""
        pairs = list(_pairs(request.query_params))
        link = read_link(pairs)
        if link.problems:
            # A toast reads HTML, and messages quote the address.
            gr.Warning(escape(" ".join(link.problems), quote=False), title="Part of the link was not used")
        if not link.values and not link.suffixes:
            return {}
        spec = self.studio.models.spec(self.studio.models.default)
        parts = {name: gr.update(value=link.values[name]) for name in ("prompt", "seeds") if name in link.values}
        if "variation_seed" in link.values:
            parts["second_seeds"] = gr.update(value=str(link.values["variation_seed"]))
        if "variation_strength" in link.values:
            parts["strength"] = gr.update(value=link.values["variation_strength"])
        return parts | self._filled(link, spec)

    def link_suffixes(self, kept: tuple[str, list[str]] | None) -> Changes:
        """kept: the model that is chosen, and the link's suffixes; None once the server forgot them."""
        if kept is None:
            return {}
        return {"suffixes": gr.update(value=kept[1])}

    def link_model(self, visit: Visit, request: gr.Request) -> Changes:
        """Another model was chosen: the settings of the link follow when it is the link's own."""
        link = read_link(list(_pairs(request.query_params)))
        if not link.values and not link.suffixes:
            return {}
        spec = self.studio.models.spec(visit.model)
        own = self._own(link) == self.studio.models.label(spec)
        return self._filled(link, spec) if own else {"link_note": self._note(link, spec)}

    def _filled(self, link: Linked, spec: ModelSpec) -> Changes:
        kept = {"linked_suffixes": (spec.name, link.suffixes)} if link.suffixes else {}
        return self._settings(link, spec) | kept | {"link_note": self._note(link, spec)}

    def _settings(self, link: Linked, spec: ModelSpec) -> Changes:
        """The link's settings that this model's form has."""
        form, parts = panels.fields(spec), {}
        for name in SETTINGS:
            value, own = link.values.get(name), form.get(name, {})
            usable = own.get("visible", True) and own.get("interactive", True)
            if name in link.values and usable and value in own.get("choices", [value]):
                parts[name] = gr.update(value=value)
        return parts

    def _own(self, link: Linked) -> str:
        """What the link's model is called here; "" where the link names none."""
        if link.model is None:
            return ""
        models = self.studio.models
        try:
            return models.label(models.meant(link.model, link.revision))
        except UserError:
            return f"{link.model}@{link.revision}" if link.revision else link.model

    def _note(self, link: Linked, spec: ModelSpec) -> str:
        other, choose = self._own(link), self.studio.settings.visitors_choose != "one"
        if other in ("", self.studio.models.label(spec)):
            other = None
        elif spec.is_local and link.model == spec.name:
            other, choose = f"{link.model} at {short(link.revision)}", False  # these weights are not here
        elif "/" not in link.model:
            other = link.model  # a hash leads nobody to a folder
        values = link.values
        variation = (
            (values["variation_seed"], values.get("variation_strength", 0)) if "variation_seed" in values else None
        )
        return opened(other, spec.title, choose, variation)


def _pairs(parameters: Any) -> Iterable[tuple[str, str]]:
    return parameters.multi_items() if hasattr(parameters, "multi_items") else dict(parameters or {}).items()


def copied(query: str, recipe: str, script: str | None) -> str:
    """Buttons that copy a link, the recipe, and the script. The page puts its own address before `query`."""
    texts = [("Copy link", "link", query), ("Copy recipe", "text", recipe)]
    if script is not None:
        texts.append(("Copy as Python", "text", script))
    buttons = "".join(
        f'<button type="button" data-copy="{kind}" data-text="{escape(text)}">{label}</button>'
        for label, kind, text in texts
    )
    return f'<div class="share">{buttons}<p class="visually-hidden" role="status"></p></div>'


def opened(model: str | None, here: str, choose: bool, variation: tuple[int, float] | None) -> str:
    """Above the form. model: the link's, where it is not the one called `here`; choose: whether it may be chosen.

    variation: the second seed of the link's picture, and how far it was turned towards it.
    """
    lines = ["Filled in from a link. Nothing has run yet."]
    if model is not None and choose:
        lines.append(
            f"It was made with <b>{escape(model)}</b>, not {escape(here)}: choose that model under Model, and its "
            "settings follow."
        )
    elif model is not None:
        lines.append(
            f"It was made with <b>{escape(model)}</b>. This host runs {escape(here)}, which makes other pictures."
        )
    if variation is not None:
        lines.append(
            f"Its picture is a variation towards seed {variation[0]}, strength {variation[1]:g}: make the picture, "
            "pick it, then make its variation."
        )
    return "".join(f'<p class="quiet">{line}</p>' for line in lines)


@dataclass(frozen=True)
class Linked:
    """What a link asks for: checked values by the names that `/first_round` has, what is not named left out."""

    values: dict[str, Any] = field(default_factory=dict)
    suffixes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # a sentence for each value that was refused
    revision: str = ""  # of the model

    @property
    def model(self) -> str | None:
        return self.values.get("model")


def query(picked: Recipe, suffixes: Iterable[str]) -> str:
    """The part of a link after its question mark."""
    values = picked.to_dict() | {"seeds": picked.seed, "sampler": sampler_label(picked.scheduler)}
    if picked.variation_seed is None:
        values["variation_strength"] = None
    pairs = [(name, _text(values[name])) for name in _TYPES if values[name] not in ("", None)]
    return urlencode([*pairs, *(("suffix", suffix) for suffix in suffixes)])


def is_link(names: Iterable[str]) -> bool:
    """True when one of these query parameters is a link's."""
    return any(name in _TYPES or name == "suffix" for name in names)


def read_link(pairs: Sequence[tuple[str, str]]) -> Linked:
    """The link with these query parameters, in their order. What is refused is left out and told; other names are
    not ours. Never raises."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in pairs:
        if name in _TYPES:
            try:
                values[name] = _value(name, text)
            except InputError as error:
                problems.append(str(error))
    suffixes: list[str] = []
    for suffix in [text for name, text in pairs if name == "suffix"]:
        try:
            if len(suffixes) == MAX_SUFFIXES:
                raise InputError("suffix", suffix, f"a round takes at most {MAX_SUFFIXES}")
            suffixes = check_suffixes([*suffixes, suffix])
        except InputError as error:
            problems.append(str(error))
    return Linked(values, suffixes, problems, values.pop("revision", ""))


def _text(value: object) -> str:
    """A number as short as it can be read back exactly."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _value(name: str, text: str) -> Any:
    """What a parameter says, as its field holds it. Raises InputError."""
    value: Any = text
    if "int" in _TYPES[name] and text.isascii() and text.isdigit() and len(text) <= 20:
        value = int(text)
    elif "float" in _TYPES[name] and len(text) <= 40:
        with suppress(ValueError):
            value = text if math.isnan(float(text)) else float(text)
    if name == "sampler":
        return sampler_label(sampler_class(text))
    return ask.check(name, value) if name in ASKED and name != "model" else recipe.check(name, value)
