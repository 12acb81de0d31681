"""The recipe of one picture: everything that determines its pixels, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from pipeline_utils.errors import InputError

MAX_SEED = 2**32 - 1  # exact in every browser and in every generator
MAX_TEXT = 2_000  # characters of a prompt; text encoders read 77 to 512 tokens
MAX_STEPS = 500
MAX_GUIDANCE = 50.0
MIN_SIDE, MAX_SIDE = 16, 4096  # pixels
MAX_LANES = 16

DTYPES = ("float32", "bfloat16", "float16")
NOISE_DEVICES = ("cpu", "cuda", "mps", "xpu")
OFFLOADS = ("none", "model")

# A model is named by a catalog name, a hub id or local:NAME; a path would tell about a machine.
_MODEL = re.compile(r"(local:)?[A-Za-z0-9][A-Za-z0-9._ -]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_REVISION = re.compile(r"[0-9a-f]{40}|sha256:[0-9a-f]{16,64}")
_SCHEDULER = re.compile(r"[A-Z][A-Za-z0-9]{2,60}")


def check_match(field: str, value: object, pattern: re.Pattern, limit: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InputError(field, value, limit)
    return value


def check_model(field: str, name: object) -> str:
    check_match(field, name, _MODEL, "a catalog name, a hub id like owner/name, or local:NAME")
    if ".." in name:
        raise InputError(field, name, "a path is never part of a recipe")
    return name


def check_text(field: str, text: object, limit: int = MAX_TEXT) -> str:
    if not isinstance(text, str):
        raise InputError(field, text, "text is needed")
    if len(text) > limit:
        raise InputError(field, text, f"at most {limit} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(field, ascii(text), "it holds half a character (a lone surrogate)") from None
    if any((ord(c) < 32 and c not in "\t\n\r") or ord(c) == 127 for c in text):
        raise InputError(field, text, "control characters cannot be part of it")
    return text


def check_prompt(field: str, prompt: object) -> str:
    if not check_text(field, prompt).strip():
        raise InputError(field, prompt, "at least one word is needed")
    return prompt


def check_bool(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InputError(field, value, "true or false")
    return value


def check_int(field: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(field, value, f"a whole number from {low} to {high}")
    return value


def check_float(field: str, value: object, low: float, high: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # false for NaN too
        raise InputError(field, value, f"a number from {low:g} to {high:g}")
    return float(value) + 0.0  # -0.0 is 0.0


def check_choice(field: str, value: object, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise InputError(field, value, "one of " + ", ".join(allowed))
    return value


def _check_second(field: str, seed: object) -> int | None:
    return None if seed is None else check_int(field, seed, 0, MAX_SEED)


def _held(check: Callable[..., Any], *limits: object, default: Any = MISSING, called: bool = False) -> Any:
    """A field of a recipe, and what it may hold: `check(name, value, *limits)` gives the value, or raises.

    called: the pipeline is called with it, under this name.
    """
    return field(default=default, metadata={"check": check, "limits": limits, "called": called})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Frozen and validated: a Recipe that exists is one the engine can be asked for.

    model: catalog name, hub id (`owner/name`) or `local:NAME`; never a path.
    revision: hub commit (40 hex digits), or `sha256:` and the content hash of a local model: 32 digits, or 64 that
    begin with the SHA-256 of the file itself for a single checkpoint.
    seed: 0 to 2**32 - 1; a fresh `torch.Generator(noise_device).manual_seed(seed)` makes the noise.
    variation_seed: another seed, towards whose noise the noise is turned; None for none.
    variation_strength: how far, between 0 and 1; 0 exactly where there is no variation_seed.
    scheduler: class name in diffusers, built from the model's own scheduler config.
    width, height: pixels. lanes: pictures in one pipeline call, always exactly that many.

    Raises InputError naming the first field that is refused.
    """

    model: str = _held(check_model)
    revision: str = _held(check_match, _REVISION, "a hub commit or sha256: and hex digits")
    prompt: str = _held(check_prompt)
    negative_prompt: str = _held(check_text, default="")
    seed: int = _held(check_int, 0, MAX_SEED)
    variation_seed: int | None = _held(_check_second, default=None)
    variation_strength: float = _held(check_float, 0.0, 1.0, default=0.0)
    noise_device: str = _held(check_choice, NOISE_DEVICES, default="cpu")
    num_inference_steps: int = _held(check_int, 1, MAX_STEPS, called=True)
    guidance_scale: float = _held(check_float, 0.0, MAX_GUIDANCE, called=True)
    scheduler: str = _held(check_match, _SCHEDULER, "the class name of a diffusers scheduler")
    width: int = _held(check_int, MIN_SIDE, MAX_SIDE, called=True)
    height: int = _held(check_int, MIN_SIDE, MAX_SIDE, called=True)
    dtype: str = _held(check_choice, DTYPES)
    lanes: int = _held(check_int, 1, MAX_LANES)
    full_determinism: bool = _held(check_bool, default=False)
    offload: str = _held(check_choice, OFFLOADS, default="none")

    def __post_init__(self) -> None:
        for name in FIELDS:
            object.__setattr__(self, name, check(name, getattr(self, name)))  # 7 and 7.0 are one recipe
        self._check_variation()

    def _check_variation(self) -> None:
        """One noise has one recipe: at strength 0 and 1 it is that of a single seed, and written as such."""
        strength = self.variation_strength
        if self.variation_seed is None:
            if strength != 0:
                raise InputError("variation_strength", strength, "0 where there is no variation_seed")
            return
        if self.variation_seed == self.seed:
            raise InputError("variation_seed", self.variation_seed, "another seed than the first")
        if not 0 < strength < 1:
            raise InputError("variation_strength", strength, "above 0 and below 1 where there is a variation_seed")

    @classmethod
    def from_dict(cls, values: object) -> Recipe:
        """The recipe a JSON object describes. Raises InputError on anything missing, unknown or wrong."""
        if not isinstance(values, Mapping):
            raise InputError("recipe", values, "a JSON object")
        for name in values:
            if name not in FIELDS:
                raise InputError("recipe", name, "a field this version does not know")
        for name in FIELDS:
            if name not in values:
                raise InputError("recipe", "", f"the field {name} is missing")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        return cls.from_dict(parse_json("recipe", text))

    def to_dict(self) -> dict:
        return dict(vars(self))  # flat; asdict would copy each value deeply

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, UTF-8; equal recipes give equal text."""
        return canonical_json(self.to_dict())

    @property
    def id(self) -> str:
        """Twelve hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]


FIELDS = {field.name: field.metadata for field in fields(Recipe)}
CALLED = tuple(name for name, about in FIELDS.items() if about["called"])


def check(name: str, value: object) -> Any:
    """`value` as a recipe's field of this name holds it. Raises InputError."""
    return FIELDS[name]["check"](name, value, *FIELDS[name]["limits"])


def canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_json(field: str, text: str) -> object:
    """`json.loads` for text from outside: no NaN, no repeated keys, no deep nesting, one kind of error."""
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
        raise InputError(field, text, f"it must be valid JSON ({reason})") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _unique_keys(pairs: list[tuple[str, object]]) -> dict:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result
