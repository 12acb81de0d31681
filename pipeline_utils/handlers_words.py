"""The token meters: what the text encoders would read, said while it is typed."""

from __future__ import annotations

from pipeline_utils import view_words
from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.panels import Parts
from pipeline_utils.recipe import check_text
from pipeline_utils.rounds import MAX_SUFFIX, MAX_SUFFIXES
from pipeline_utils.studio import Studio
from pipeline_utils.visit import Visit
from pipeline_utils.words import Meter, meters


class Words:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def words(self, visit: Visit, prompt: str, suffixes: list[str]) -> Parts:
        """The meters of the prompt, and of the pick's prompt with each suffix. Never loads a model."""
        rows = []
        if visit.pick and isinstance(suffixes, list):
            recipe = visit.pick.recipe
            for suffix in suffixes[:MAX_SUFFIXES]:
                if isinstance(suffix, str) and len(suffix) <= MAX_SUFFIX and suffix.strip(" ,"):
                    rows.append((suffix, self._measured(recipe.prompt + suffix, recipe.model, recipe.revision)))
        return {
            "words": view_words.prompt_words(self._measured(prompt, visit.model)),
            "suffix_words": view_words.suffix_words(rows),
        }

    def _measured(self, prompt: object, model: str, revision: str = "") -> list[Meter]:
        """[] while the model is not in memory, and for what is no prompt; its round says why."""
        try:
            check_text("prompt", prompt)
            spec = self.studio.models.meant(model, revision)
        except (InputError, ModelError):
            return []
        if not prompt.strip() or not self.studio.models.held(spec):
            return []
        return meters(self.studio.models.in_memory().pipe, prompt)
