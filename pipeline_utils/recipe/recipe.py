"""The recipe of one picture: everything that determines its pixels, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from pipeline_utils.errors import InputError

MAX_SEED = 2**32 - 1  # exact in every browser and in every generator
MAX_TEXT = 2_000  # characters of a prompt; text encoders read 77 to 512 tokens
MAX_STEPS = 500
MAX_GUIDANCE = 50.0
MIN_SIDE, MAX_SIDE = 16, 4096  # pixels
MAX_LANES = 16

DTYPES = ("float32", "bfloat16", "float16")
NOISE_DEVICES = ("cpu", "cuda")
OFFLOADS = ("none", "model")

# A model is named by a catalog name, a hub id or local:NAME; a path would tell about a machine.
_MODEL = re.compile(r"(local:)?[A-Za-z0-9][A-Za-z0-9._ -]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_REVISION = re.compile(r"[0-9a-f]{40}|sha256:[0-9a-f]{16,64}")
_SCHEDULER = re.compile(r"[A-Z][A-Za-z0-9]{2,60}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Frozen and validated: a Recipe that exists is one the engine can be asked for.

    model: catalog name, hub id (`owner/name`) or `local:NAME`; never a path.
    revision: hub commit (40 hex digits), or `sha256:` and the content hash of a local model.
    seed: 0 to 2**32 - 1; a fresh `torch.Generator(noise_device).manual_seed(seed)` makes the noise.
    variation_seed: another seed, towards whose noise the noise is turned; None for none.
    variation_strength: how far, between 0 and 1; 0 exactly where there is no variation_seed.
    scheduler: class name in diffusers, built from the model's own scheduler config.
    width, height: pixels. lanes: pictures in one pipeline call, always exactly that many.

    Raises InputError naming the first field that is refused.
    """

    model: str
    revision: str
    prompt: str
    negative_prompt: str = ""
    seed: int
    variation_seed: int | None = None
    variation_strength: float = 0.0
    noise_device: str = "cpu"
    num_inference_steps: int
    guidance_scale: float
    scheduler: str
    width: int
    height: int
    dtype: str
    lanes: int
    full_determinism: bool = False
    offload: str = "none"

    def __post_init__(self) -> None:
        check_model(self.model)
        check_revision(self.revision)
        check_prompt(self.prompt)
        check_text("negative_prompt", self.negative_prompt)
        check_int("seed", self.seed, 0, MAX_SEED)
        strength = check_float("variation_strength", self.variation_strength, 0.0, 1.0)
        object.__setattr__(self, "variation_strength", strength)
        self._check_variation()
        _choice("noise_device", self.noise_device, NOISE_DEVICES)
        check_int("num_inference_steps", self.num_inference_steps, 1, MAX_STEPS)
        guidance = check_float("guidance_scale", self.guidance_scale, 0.0, MAX_GUIDANCE)
        object.__setattr__(self, "guidance_scale", guidance)  # 7 and 7.0 are one recipe
        _match("scheduler", self.scheduler, _SCHEDULER, "the class name of a diffusers scheduler")
        check_int("width", self.width, MIN_SIDE, MAX_SIDE)
        check_int("height", self.height, MIN_SIDE, MAX_SIDE)
        _choice("dtype", self.dtype, DTYPES)
        check_int("lanes", self.lanes, 1, MAX_LANES)
        if not isinstance(self.full_determinism, bool):
            raise InputError("full_determinism", self.full_determinism, "true or false")
        _choice("offload", self.offload, OFFLOADS)

    def _check_variation(self) -> None:
        """One noise has one recipe: at strength 0 and 1 it is that of a single seed, and written as such."""
        strength = self.variation_strength
        if self.variation_seed is None:
            if strength != 0:
                raise InputError("variation_strength", strength, "0 where there is no variation_seed")
            return
        check_int("variation_seed", self.variation_seed, 0, MAX_SEED)
        if self.variation_seed == self.seed:
            raise InputError("variation_seed", self.variation_seed, "another seed than the first")
        if not 0 < strength < 1:
            raise InputError("variation_strength", strength, "above 0 and below 1 where there is a variation_seed")

    @classmethod
    def from_dict(cls, values: object) -> Recipe:
        """The recipe a JSON object describes. Raises InputError on anything missing, unknown or wrong."""
        if not isinstance(values, Mapping):
            raise InputError("recipe", values, "a JSON object")
        known = {f.name: f for f in fields(cls)}
        for name in values:
            if name not in known:
                raise InputError("recipe", name, "a field this version does not know")
        for name in known:
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


def canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_json(field: str, text: str) -> object:
    """`json.loads` for text from outside: no NaN, no repeated keys, no deep nesting, one kind of error."""
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
        raise InputError(field, text, f"it must be valid JSON ({reason})") from None


def check_model(name: object) -> str:
    _match("model", name, _MODEL, "a catalog name, a hub id like owner/name, or local:NAME")
    if ".." in name:
        raise InputError("model", name, "a path is never part of a recipe")
    return name


def check_revision(revision: object) -> str:
    _match("revision", revision, _REVISION, "a hub commit or sha256: and hex digits")
    return revision


def check_prompt(prompt: object) -> None:
    check_text("prompt", prompt)
    if not prompt.strip():
        raise InputError("prompt", prompt, "at least one word is needed")


def check_text(field: str, text: object, limit: int = MAX_TEXT) -> None:
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


def check_bool(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InputError(field, value, "true or false")


def check_int(field: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(field, value, f"a whole number from {low} to {high}")
    return value


def check_float(field: str, value: object, low: float, high: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # false for NaN too
        raise InputError(field, value, f"a number from {low:g} to {high:g}")
    return float(value) + 0.0  # -0.0 is 0.0


def _choice(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(field, value, "one of " + ", ".join(allowed))


def _match(field: str, value: object, pattern: re.Pattern, limit: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InputError(field, value, limit)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _unique_keys(pairs: list[tuple[str, object]]) -> dict:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result
