"""What is claimed of a picture, the verdict of its replay, and the sentence that says it. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from pipeline_utils.errors import InputError
from pipeline_utils.picture.picture import Reading, check_fingerprint, pixel_sha256
from pipeline_utils.proof.pins import differing_lines, pip_line
from pipeline_utils.recipe.recipe import Recipe, parse_json

if TYPE_CHECKING:  # commands that only read files do without numpy, and answer at once
    from pipeline_utils.proof.comparison import Difference

ALIKE = 0.95  # SSIM from which two pictures are called alike
_LINES = 3  # differing lines of a fingerprint that a sentence names


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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a replay found.

    difference: of the file's pixels and the replay's; None without a file, or when its size was
    changed. followed: the recipe of the replay; changed: where it had to differ, in words. differing: lines of
    the fingerprints as (name, there, here), the likeliest reason first. flagged_there, flagged_here: a safety
    checker blacked it out.
    """

    needs_download: bool = False
    sentence: str = ""
    recipe: Recipe | None = None
    followed: Recipe | None = None
    difference: Difference | None = None
    replay: Image.Image | None = None
    stored_sha256: str | None = None
    actual_sha256: str | None = None
    replayed_sha256: str | None = None
    fingerprint_here: dict = field(default_factory=dict)
    fingerprint_there: dict = field(default_factory=dict)
    differing: list[tuple[str, object, object]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    flagged_there: bool = False
    flagged_here: bool = False

    @classmethod
    def of(cls, claim: Claim, fingerprint_here: dict, **found) -> Verdict:
        """What can be told of a claim, and what its replay found."""
        there = claim.fingerprint or {}
        return cls(
            recipe=claim.recipe,
            stored_sha256=claim.stored_sha256,
            actual_sha256=pixel_sha256(claim.image) if claim.image else None,
            fingerprint_here=fingerprint_here,
            fingerprint_there=there,
            differing=differing_lines(there, fingerprint_here),
            unknown=claim.unknown,
            flagged_there=claim.flagged,
            **found,
        )

    @property
    def replayed(self) -> bool:
        """False when nothing was made, and `sentence` says why."""
        return self.replay is not None

    @property
    def edited(self) -> bool:
        """The file's pixels are not those it was saved with."""
        return self.actual_sha256 is not None and self.stored_sha256 not in (None, self.actual_sha256)

    @property
    def identical(self) -> bool:
        """The file is as it was saved, and the replay gave the same pixels."""
        wanted = self.actual_sha256 or self.stored_sha256
        return self.replayed and not self.edited and self.replayed_sha256 == wanted

    @property
    def getting_back(self) -> str:
        """What may give its bits again: the command for the packages of before; "" where they cannot be the reason."""
        unequal = self.replayed and self.replayed_sha256 != self.stored_sha256
        return pip_line(self.fingerprint_there, self.fingerprint_here) if unequal else ""

    def to_dict(self) -> dict:
        """JSON values; the numbers are None where nothing could be measured."""
        found = self.difference
        equal = found is not None and found.l_inf == 0
        return {
            "identical": self.identical,
            "replayed": self.replayed,
            "edited": self.edited,
            "needs_download": self.needs_download,
            "sentence": self.sentence,
            "l_inf": found.l_inf if found else None,
            "differing_pixels": found.differing_pixels if found else None,
            "pixels": found.pixels if found else None,
            "psnr": round(found.psnr, 3) if found and not equal else None,  # infinity is no JSON
            "ssim": round(found.ssim, 6) if found else None,
            "recipe": self.recipe.to_dict() if self.recipe else None,
            "stored_sha256": self.stored_sha256,
            "actual_sha256": self.actual_sha256,
            "replayed_sha256": self.replayed_sha256,
            "fingerprint_here": self.fingerprint_here,
            "fingerprint_there": self.fingerprint_there,
            "differing": [{"name": n, "there": t, "here": h} for n, t, h in self.differing],
            "getting_back": self.getting_back,
            "changed": self.changed,
            "unknown": self.unknown,
            "flagged_there": self.flagged_there,
            "flagged_here": self.flagged_here,
        }


_FLAGGED = {
    (False, False): "",
    (True, True): " It is black, there and here, since the model's safety checker blacked it out.",
    (True, False): " The model's safety checker blacked it out when it was made, and not here.",
    (False, True): " The model's safety checker blacked it out here.",
}


def sentence(verdict: Verdict) -> str:
    """What a finished replay found, for a person."""
    return _found(verdict) + _FLAGGED[verdict.flagged_there, verdict.flagged_here]


def _found(verdict: Verdict) -> str:
    elsewhere = _elsewhere(verdict)
    original = verdict.replayed_sha256 == verdict.stored_sha256
    if verdict.identical:
        count = verdict.recipe.width * verdict.recipe.height
        although = f", although {elsewhere}" if elsewhere else ""
        return f"Identical: made again, all {count:,} pixels have the same bits{although}."
    if verdict.edited and verdict.actual_sha256 == verdict.replayed_sha256:
        return "The pixels came out the same, but the hash in the file is of others, so its record was changed."
    if verdict.edited and original:
        return (
            "The file was edited after it was made: the recipe still gives the picture that was saved, bit "
            f"for bit, but the file {_measured(verdict)}."
        )
    if verdict.edited:
        return (
            "The file was edited after it was made, and the replay gives neither its pixels nor those that "
            f"were saved{_because(elsewhere)}: the file {_measured(verdict)}."
        )
    if verdict.actual_sha256 is None and verdict.stored_sha256 is None:
        return "Made; there is no picture to compare it with."
    if verdict.actual_sha256 is None:
        return f"Not identical: the hash of the replay is another than the one in the record{_because(elsewhere)}."
    if not elsewhere:
        known = "on the same fingerprint" if verdict.fingerprint_there else "though where it was made is not known"
        return f"Not identical, {known}: the file {_measured(verdict)}."
    alike = verdict.difference is not None and verdict.difference.ssim >= ALIKE
    return f"{'Alike' if alike else 'Not alike'}, not identical, since {elsewhere}: the file {_measured(verdict)}."


def in_words(differing: list[tuple[str, object, object]]) -> str:
    """What `differing_lines` found: "torch 2.12.0 there, 2.13.0 here; and 1 more"."""
    named = [f"{name} {_said(there)} there, {_said(here)} here" for name, there, here in differing[:_LINES]]
    more = len(differing) - _LINES
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _because(elsewhere: str) -> str:
    return f", perhaps since {elsewhere}" if elsewhere else ""


def _elsewhere(verdict: Verdict) -> str:
    """What was different here, as the end of a sentence; "" when nothing was."""
    parts = []
    if verdict.differing:
        parts.append(f"it was made elsewhere ({in_words(verdict.differing)})")
    if verdict.changed:
        parts.append("it had to be made " + ", ".join(verdict.changed))
    return " and ".join(parts)


def _said(value: object) -> str:
    return "not known" if value is None else str(value)


def _measured(verdict: Verdict) -> str:
    found = verdict.difference
    if found is None:
        return "has another size than its recipe says"
    return (
        f"differs in {found.differing_pixels:,} of {found.pixels:,} pixels, by at most {found.l_inf} of 255 "
        f"(PSNR {found.psnr:.1f} dB, SSIM {found.ssim:.4f})"
    )
