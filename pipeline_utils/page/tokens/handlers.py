"""The token meters: what the text encoders would read, said while it is typed."""

from __future__ import annotations

from contextlib import suppress

from diffusers import DiffusionPipeline

from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.models.tokens import Meter, meters
from pipeline_utils.page.rounds.panels import Changes
from pipeline_utils.page.tokens import html as view_words
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.recipe.recipe import check_text
from pipeline_utils.recipe.rounds import MAX_SUFFIX, MAX_SUFFIXES
from pipeline_utils.studio import Studio


class Words:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def words(self, visit: Visit, prompt: str, suffixes: list[str]) -> Changes:
        """The meters of the prompt, and of the pick's prompt with each suffix. Never loads a model."""
        rows = []
        if visit.pick and isinstance(suffixes, list):
            recipe = visit.pick.recipe
            pipe = self._pipe(recipe.model, recipe.revision)
            for suffix in suffixes[:MAX_SUFFIXES]:
                if isinstance(suffix, str) and len(suffix) <= MAX_SUFFIX and suffix.strip(" ,"):
                    rows.append((suffix, _measured(pipe, recipe.prompt + suffix)))
        return {
            "words": view_words.prompt_words(_measured(self._pipe(visit.model), prompt)),
            "suffix_words": view_words.suffix_words(rows),
        }

    def _pipe(self, model: str, revision: str = "") -> DiffusionPipeline | None:
        """The model in memory where that is the one meant, else None; a round of it says why."""
        with suppress(ModelError):
            held = self.studio.models.held(self.studio.models.meant(model, revision))
            return held and held.pipe
        return None


def _measured(pipe: DiffusionPipeline | None, prompt: object) -> list[Meter]:
    """[] without a model, and for what is no prompt; its round says why."""
    with suppress(InputError):
        check_text("prompt", prompt)
        return meters(pipe, prompt) if pipe is not None and prompt.strip() else []
    return []
