"""What is asked for in a first round, made once at each edge: the page's form, the endpoint, a link."""

from __future__ import annotations

import random
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from pipeline_utils.recipe import recipe
from pipeline_utils.recipe.recipe import check_bool
from pipeline_utils.recipe.rounds import parse_seeds

_OWN = "left out: the model's own"


def _told(text: str, default: Any = MISSING) -> Any:
    """A field, with what the endpoint's documentation says of it."""
    return field(default=default, metadata={"told": text})


@dataclass(frozen=True)
class Ask:
    """One prompt, many seeds, and the form's settings, under the names of the endpoint. None: the model's own value.

    Checked as far as no model is needed. Raises InputError naming the first field that is refused.
    """

    prompt: str = _told("what to paint; at most 2000 characters, and no more than the text encoder reads.")
    seeds: str = _told('"0-3", "7, 42, 1000-1003" or "4 random"; whole numbers from 0 to 4294967295.', "0-3")
    negative_prompt: str = _told("what to avoid, for models that take it.", "")
    num_inference_steps: int | None = _told(f"denoising steps, 1 to 500; {_OWN} default.", None)
    guidance_scale: float | None = _told(f"how closely the prompt is followed, 0 to 50; {_OWN} default.", None)
    width: int | None = _told(f"pixels; {_OWN} size.", None)
    height: int | None = _told(f"pixels; {_OWN} size.", None)
    sampler: str | None = _told(
        "DDIM, DPM-Solver++ 2M, Euler, Euler a, UniPC, PNDM, LCM or a diffusers class name.", None
    )
    model: str | None = _told(
        "a catalog name or hub id, with @ and a commit for that revision; left out: the one of the start.", None
    )
    cut_long_prompts: bool = _told("true lets the text encoder drop the end of a prompt that is too long.", False)

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None or each.default is not None:
                object.__setattr__(self, each.name, check(each.name, value))

    @property
    def settings(self) -> dict[str, Any]:
        """What it says of a recipe's fields, those left out that are the model's own."""
        return {name: getattr(self, name) for name in _OF_RECIPES if getattr(self, name) is not None}

    @staticmethod
    def documentation() -> str:
        """A line for each field, as docstrings have them."""
        return "\n".join(f"{each.name}: {each.metadata['told']}" for each in fields(Ask))


# A model and a sampler are asked for by other names than recipes have; the models' room knows which.
ASKED = tuple(each.name for each in fields(Ask))
_OF_RECIPES = tuple(name for name in ASKED if name in recipe.FIELDS and name != "model")


def check(name: str, value: Any) -> Any:
    """`value` as the Ask's field of this name holds it. Raises InputError."""
    if name == "seeds":
        parse_seeds(value, random.randrange)
    if name == "cut_long_prompts":
        check_bool(name, value)
    return recipe.check(name, value) if name in _OF_RECIPES else value
