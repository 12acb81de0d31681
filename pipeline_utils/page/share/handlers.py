"""Links that fill the form, and what can be copied at the pick."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import gradio as gr

from pipeline_utils.engine.script import as_python
from pipeline_utils.errors import UserError
from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.models.revisions import short
from pipeline_utils.page.events import SETTINGS
from pipeline_utils.page.rounds import panels
from pipeline_utils.page.rounds.panels import Changes
from pipeline_utils.page.share import html as view_share
from pipeline_utils.page.share.link import Linked, query, read_link
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.studio import Studio


class Share:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def share(self, visit: Visit, suffixes: list[str]) -> Changes:
        """What can be copied at the pick."""
        pick = visit.pick
        if pick is None:
            return {"share": ""}
        kept = [suffix for suffix in suffixes if isinstance(suffix, str)] if isinstance(suffixes, list) else []
        try:
            picture = pick.read()
            spec = self.studio.models.meant(pick.recipe.model, pick.recipe.revision)
            script = as_python([pick.recipe], spec, picture.fingerprint)
        except UserError:  # its file was deleted, or its model is not known to this start
            script = None
        # A link is for what can be opened: suffixes that a round would refuse are not passed on.
        good = read_link([("suffix", suffix) for suffix in kept]).suffixes
        return {"share": view_share.share(query(pick.recipe, good), pick.recipe.to_json(), script)}

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
            value, own = link.values.get(name), form[name]
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
        return view_share.opened(other, spec.title, choose, variation)


def _pairs(parameters: Any) -> Iterable[tuple[str, str]]:
    return parameters.multi_items() if hasattr(parameters, "multi_items") else dict(parameters or {}).items()
