"""The widely read `parameters` text of a PNG, as stable-diffusion-webui writes it.

    a red fox, watercolor
    Negative prompt: blurry
    Steps: 20, Sampler: DDIM, CFG scale: 7.0, Seed: 0, Size: 64x64, Model: emoji-sd, ...

It is written for other tools and sites. The form has no escapes, so a prompt that itself holds a line
"Negative prompt:" is misread from it by everyone; our own reading uses the `recipe` record alone.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

from pipeline_utils.recipe.recipe import Recipe

LABELS = {  # of schedulers, as other tools name them. "Euler FlowMatch" is what SD.Next calls it
    "DDIMScheduler": "DDIM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "EulerDiscreteScheduler": "Euler",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "UniPCMultistepScheduler": "UniPC",
    "PNDMScheduler": "PLMS",
    "LCMScheduler": "LCM",
    "FlowMatchEulerDiscreteScheduler": "Euler FlowMatch",
    "HeunDiscreteScheduler": "Heun",
    "LMSDiscreteScheduler": "LMS",
    "DDPMScheduler": "DDPM",
}
_SCHEDULERS = {label.lower(): name for name, label in LABELS.items()}
_SPACINGS = ("karras", "exponential", "polyexponential")  # once part of the sampler's label

_NEGATIVE = "Negative prompt:"
# Linear on any text: the parts exclude each other, and nothing is tried twice.
_PAIR = re.compile(r'\s*([^:,"{}]{1,60}):\s*("(?:\\.|[^\\"])*+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"[0-9]{1,5}x[0-9]{1,5}")
_NUMBERS = {int: re.compile(r"[0-9]{1,20}"), float: re.compile(r"[0-9]{1,6}(\.[0-9]{1,20})?(e-[0-9]{1,3})?")}
_VALUES = {"Steps": _NUMBERS[int], "Seed": _NUMBERS[int], "CFG scale": _NUMBERS[float], "Size": _SIZE}
_READ = (
    "Steps", "Sampler", "CFG scale", "Seed", "Variation seed", "Variation seed strength", "Size", "Model",
    "Model hash", "Schedule type", "RNG", "Batch size", "Batch pos",
)  # fmt: skip


def write(recipe: Recipe) -> str:
    """The text for a recipe. The record beside it stays the truth; this leaves much out."""
    lines = [recipe.prompt]
    if recipe.negative_prompt:
        lines.append(f"{_NEGATIVE} {recipe.negative_prompt}")
    settings = {
        "Steps": recipe.num_inference_steps,
        "Sampler": LABELS.get(recipe.scheduler, recipe.scheduler),
        "CFG scale": recipe.guidance_scale,
        "Seed": recipe.seed,
        "Size": f"{recipe.width}x{recipe.height}",
        "Model": recipe.model.removeprefix("local:"),  # a colon in a value confuses readers
    }
    digits = recipe.revision.removeprefix("sha256:")
    # Sites look models up by the first ten digits of a file's SHA-256, with which the revision of a single checkpoint
    # begins. A hub commit and the hash of a folder are no such thing, and would mislead them.
    settings |= {"Model hash": digits[:10]} if len(digits) == 64 else {"Model revision": digits}
    if recipe.variation_seed is not None:
        settings |= {"Variation seed": recipe.variation_seed, "Variation seed strength": recipe.variation_strength}
    settings["Version"] = "Second Round"
    lines.append(", ".join(f"{key}: {value}" for key, value in settings.items()))
    return "\n".join(lines)


def parse(text: str) -> tuple[dict, list[str]]:
    """(what the text says, sentences on what it cannot say), for text from anywhere, never raising.

    A text without a line of settings is a prompt; one in JSON is of another kind, and nothing in it is used.

    The dict always has prompt, negative_prompt, steps, sampler, scheduler (the class in diffusers),
    cfg_scale, seed, variation_seed, variation_strength, width, height, model and model_hash; None where
    the text is silent.
    """
    lines = text.strip().split("\n")
    at, settings = _settings(lines)
    readable = bool(settings) or (any(map(str.isalnum, text)) and not _is_json(text))
    prompt, negative = _prompts("\n".join(lines[:at])) if readable else (None, None)
    scheduler, spacing = _scheduler(settings.get("Sampler", ""), settings.get("Schedule type", ""))
    width, height = settings["Size"].split("x") if _SIZE.fullmatch(settings.get("Size", "")) else (None, None)
    found = {
        "prompt": prompt,
        "negative_prompt": negative,
        "steps": _number(int, settings.get("Steps")),
        "sampler": settings.get("Sampler"),
        "scheduler": scheduler,
        "cfg_scale": _number(float, settings.get("CFG scale")),
        "seed": _number(int, settings.get("Seed")),
        "variation_seed": _number(int, settings.get("Variation seed")),
        "variation_strength": _number(float, settings.get("Variation seed strength")),
        "width": _number(int, width),
        "height": _number(int, height),
        "model": settings.get("Model"),
        "model_hash": settings.get("Model hash"),
    }
    return found, _unknown(found, settings, spacing)


def _settings(lines: list[str]) -> tuple[int, dict[str, str]]:
    """(index of the line of settings, its pairs and those of the lines after it); what no setting has is a prompt.

    Commas and colons are part of prompts too, as in (masterpiece:1.2), so a line of settings is told by their names.
    """
    found = []  # (how many names are known, index, pairs)
    for at, line in enumerate(lines):
        pairs = _pairs(line)
        known = sum(name in pairs for name in _READ)
        usable = any(check.fullmatch(pairs.get(name, "")) for name, check in _VALUES.items())
        if (known > 2 or usable) and (len(pairs) > 2 or line.lstrip().startswith("Steps:")):
            found.append((known, at, pairs))
    if not found:
        return len(lines), {}
    sure = [each for each in found if each[0] > 2]
    _, at, settings = (sure or found)[-1]  # a prompt may look like one; the settings come after it
    for line in lines[at + 1 :]:  # extensions add lines of one pair, such as "Template: ...", a prompt as it was typed
        key, colon, value = line.partition(":")
        if colon and key.strip() not in _READ:
            settings.setdefault(key.strip()[:60], value.strip())
    return at, settings


def _pairs(line: str) -> dict[str, str]:
    pairs, at = {}, 0
    while at < len(line):
        match = _PAIR.match(line, at)
        if match:
            pairs.setdefault(match[1].strip(), _unquoted(match[2].strip()))
            at = match.end()
        else:  # not a pair: go on after the next comma
            at = line.find(",", at) + 1 or len(line)
    return pairs


def _unquoted(value: str) -> str:
    with suppress(ValueError):
        if value.startswith('"'):
            return json.loads(value)
    return value


def _prompts(text: str) -> tuple[str, str]:
    prompt, *negative = re.split(rf"(?m)^[^\S\n]*{_NEGATIVE}", text, maxsplit=1)
    return prompt.strip(), "".join(negative).strip()


def _scheduler(label: str, spacing: str) -> tuple[str | None, str | None]:
    """(class in diffusers, the spacing of noise levels where one is named)."""
    name = label.lower()
    for word in _SPACINGS:
        if name.endswith(" " + word):
            name, spacing = name.removesuffix(" " + word), word
    return _SCHEDULERS.get(name), spacing if spacing.lower() not in ("", "automatic") else None


def _is_json(text: str) -> bool:
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(text), dict | list)
    return text.lstrip().startswith('{"')  # cut short, or nested deeply


def _number(kind: type, text: str | None) -> int | float | None:
    return kind(text) if text and _NUMBERS[kind].fullmatch(text) else None


def _unknown(found: dict, settings: dict[str, str], spacing: str | None) -> list[str]:
    if found["prompt"] is None:
        return ["The parameters are not in the form of stable-diffusion-webui, so nothing in them is used."]
    unknown = []
    silent = [name.replace("_", " ") for name in ("steps", "cfg_scale", "seed", "width") if found[name] is None]
    if silent:
        unknown.append(f"Not in the file: {', '.join(silent)}.")
    if found["sampler"] is None:
        unknown.append("The sampler is not named.")
    elif found["scheduler"] is None:
        unknown.append(f"The sampler {found['sampler'][:60]} has no counterpart here.")
    if spacing:
        unknown.append(f"The noise levels were spaced by {spacing[:60]}; here the model's own spacing is used.")
    if found["model"] is None:
        unknown.append("The model is not named.")
    else:
        unknown.append(f"Whether a model here is the same as {found['model'][:60]} cannot be told from a name.")
    drawn = settings.get("RNG")
    if drawn is None:
        unknown.append("Where the noise was drawn is not said; by default it is the GPU, with other noise.")
    elif drawn != "CPU":
        how = "as an NVIDIA GPU draws it" if drawn == "NV" else "on a GPU" if drawn == "GPU" else f"by {drawn[:40]}"
        unknown.append(f"The noise was drawn {how}, with other numbers than a CPU's.")
    batch = "" if "Batch size" in settings else "size of the batch, the "
    unknown.append(f"The {batch}numeric type and the versions of the libraries are not said.")
    other = [key[:40] for key in settings if key not in (*_READ, "Version")]
    if other:
        more = f" and {len(other) - 10} more" if len(other) > 10 else ""
        unknown.append(f"These settings are not used: {', '.join(other[:10])}{more}.")
    return unknown
