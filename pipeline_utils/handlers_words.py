"""The token meters: what the text encoders would read, said while it is typed."""

from __future__ import annotations

from pipeline_utils import view_words
from pipeline_utils.errors import InputError
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
                    rows.append((suffix, self._measured(recipe.model, recipe.prompt + suffix)))
        return {
            "words": view_words.prompt_words(self._measured(visit.model, prompt)),
            "suffix_words": view_words.suffix_words(rows),
        }

    def _measured(self, model: str, prompt: object) -> list[Meter]:
        """[] while the model is not in memory, and for what is no prompt; its round says why."""
        try:
            check_text("prompt", prompt)
        except InputError:
            return []
        if not prompt.strip() or not self.studio.models.is_loaded(model):
            return []
        return meters(self.studio.models.in_memory().pipe, prompt)
