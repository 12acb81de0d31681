"""What a file or a pasted text says was made, to be checked. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from PIL import Image

from pipeline_utils.errors import InputError
from pipeline_utils.picture.picture import Reading, check_fingerprint
from pipeline_utils.recipe.recipe import Recipe, parse_json


@dataclass(frozen=True)
class Claim:
    """What is to be checked: that `recipe` makes `image`, or pixels of the hash `stored_sha256`.

    recipe is None for a file with `parameters` only; image is None for a pasted recipe. flagged: the record says
    that a safety checker blacked the picture out.
    """

    recipe: Recipe | None = None
    image: Image.Image | None = None
    stored_sha256: str | None = None
    fingerprint: dict | None = None
    unknown: list[str] = field(default_factory=list)
    flagged: bool = False

    @classmethod
    def of(cls, reading: Reading) -> Claim:
        picture = reading.picture
        if picture is None:
            return cls(image=reading.image, unknown=list(reading.unknown))
        where, flagged = dict(picture.fingerprint), picture.flagged is True
        return cls(picture.recipe, reading.image, picture.pixel_sha256, where, flagged=flagged)

    @classmethod
    def from_text(cls, text: str) -> Claim:
        """From pasted JSON: a recipe, or the whole record of a picture. Raises InputError."""
        values = parse_json("recipe", text)
        if not isinstance(values, dict) or "recipe" not in values:
            return cls(Recipe.from_dict(values))
        sha256, made_by = values.get("pixel_sha256"), values.get("fingerprint")
        if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)):
            raise InputError("pixel_sha256", sha256, "64 hex digits")
        if made_by is not None:
            if not isinstance(made_by, dict):
                raise InputError("fingerprint", made_by, "a flat JSON object")
            check_fingerprint(made_by)
        flagged = values.get("flagged") is True
        return cls(Recipe.from_dict(values["recipe"]), None, sha256, made_by, flagged=flagged)
