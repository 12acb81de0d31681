"""What a name, a hub id, a folder or a .safetensors file stands for. No torch, no gradio."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path

from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.models.catalog import ALIASES, ASSETS, BUNDLED, FAMILIES, HUB, ModelSpec, sampler_class
from pipeline_utils.recipe.recipe import Recipe, check_prompt, check_text

# Where the parts of the supported pipelines come from; a part from elsewhere is code that came with the model.
_LIBRARIES = ("diffusers", "transformers", "stable_diffusion", "unclip")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "spiece.model")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_PAGE = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<id>[\w.-]+/[\w.-]+)"
    r"(?:/(?:tree|commit|blob)/(?:(?P<commit>[0-9a-f]{40})|[^/?#]+))?(?:[/?#].*)?$",
    re.ASCII,
)
_PINNED = re.compile(r"([^@]+)@([0-9a-f]{40})")


def list_models() -> dict[str, ModelSpec]:
    """Every entry by name, the bundled model first."""
    return {spec.name: spec for spec in (resolve(BUNDLED), *HUB)}


def resolve(name: str, *, paths: bool = True) -> ModelSpec:
    """The spec that a catalog name, alias, hub id, folder or .safetensors file stands for.

    After a hub id or its alias, @ and a commit of 40 hex digits pin the revision. Nothing is downloaded or
    loaded. With paths=False no file is looked for, as befits a name that came from a visitor. Raises
    ModelError in one sentence.
    """
    if not isinstance(name, str) or not name.strip():
        raise ModelError("model: a name is needed, such as emoji-sd, a hub id, a folder or a .safetensors file.")
    name = tidied(name)
    if name == BUNDLED:
        return replace(from_folder(ASSETS / BUNDLED), name=BUNDLED, title="Emoji SD (bundled)")
    for spec in HUB:
        if ALIASES.get(name, name) == spec.name:
            moved = f"{name} was removed from the hub; these are the same weights. "
            return replace(spec, note=moved + spec.note) if name.startswith("runwayml/") else spec
    if paths and (found := _find(name)):
        return found
    if _HUB_ID.fullmatch(name) and ".." not in name:
        return ModelSpec(name, name, name)
    if (match := _PINNED.fullmatch(name)) and not (spec := resolve(match[1], paths=False)).is_local:
        return replace(spec, revision=match[2])
    raise ModelError(
        f"model: {name[:80]!r} is no catalog name, no existing folder or .safetensors file, "
        "and no hub id of the form owner/name or owner/name@commit."
    )


def is_path(name: str) -> bool:
    """Is this the way a folder or file is written, rather than a catalog name or hub id?"""
    path = name.startswith(("/", "./", "../", "~", ".\\")) or "\\" in name
    return path or name.lower().endswith(".safetensors")


def tidied(name: str) -> str:
    """`name` without quotes round it; for the address of a page of the hub, owner/name, and @ its commit."""
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1].strip()
    if match := _PAGE.match(name):
        return match["id"] + (f"@{match['commit']}" if match["commit"] else "")
    return name


def _find(name: str) -> ModelSpec | None:
    """The spec of the folder or file at `name`, None when there is nothing there."""
    try:
        path = Path(name).expanduser().resolve()
        if path.is_dir():
            return from_folder(path)
        if path.suffix.lower() == ".safetensors":
            return from_file(path)
        found = path.is_file()
    except (OSError, RuntimeError, ValueError):  # too long, no such home, a null character
        return None
    if found:
        raise ModelError(f"model: {path.name} is no folder and no .safetensors file; other formats are not loaded.")
    return None


def from_folder(folder: Path) -> ModelSpec:
    """The spec of a local diffusers folder, with its own defaults where it has a second_round.json."""
    name = folder.name or "model"
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"model: the folder {name} holds no model_index.json, so it is no diffusers pipeline.")
    spec = describe_folder(ModelSpec(f"local:{_make_safe(name)}", name, str(folder)), folder)
    return _add_own_values(spec, read_json(folder / "second_round.json", {}))


def from_file(path: Path) -> ModelSpec:
    """The spec of a single checkpoint. Its configuration is the folder of the same name beside it, or the hub's."""
    if not path.is_file():
        raise ModelError(f"model: there is no file {path.name}.")
    spec = ModelSpec(f"local:{_make_safe(path.stem)}", path.stem, str(path))
    beside = path.with_suffix("")
    if not (beside / "model_index.json").is_file():
        return spec
    spec = describe_folder(spec, beside)
    return replace(spec, lanes=choose_lanes(path.stat().st_size, spec.width * spec.height))


def describe_folder(spec: ModelSpec, folder: Path) -> ModelSpec:
    """`spec` completed from the JSON files of a diffusers folder: family, sampler, and the pipeline's own size.

    Raises ModelError when the folder is no text-to-image pipeline that the app supports.
    """
    family = read_json(folder / "model_index.json").get("_class_name")
    parts = list_parts(folder)
    if isinstance(family, list) or any(library not in _LIBRARIES for library, _ in parts.values()):
        raise ModelError(f"{spec.title} brings its own code, which is not run here.")
    if family not in FAMILIES:
        raise ModelError(
            f"{spec.title} is {str(family)[:60]!r}, which makes no pictures from prompts here; "
            f"supported are {', '.join(FAMILIES)}."
        )
    for name in parts:
        files = [name] if not name.startswith("tokenizer") else [f"{name}/{file}" for file in _TOKENIZER_FILES]
        if not any((folder / file).exists() for file in files):
            raise ModelError(f"{spec.title} is incomplete: its {name} is missing.")
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json", {}).get("_class_name")
    width, height = _read_size(family, folder)
    step = FAMILIES[family].size_step
    spec = replace(
        spec,
        family=family,
        scheduler=scheduler or FAMILIES[family].schedulers[0],
        own_scheduler=scheduler or "",
        width=width,
        height=height,
        size_step=max(step, _vae_scale(folder) * (step // 8)),
        max_pixels=width * height if FAMILIES[family].fixed_size else max(4 * width * height, 64 * 64),
        lanes=choose_lanes(sum(_weigh(folder / part) for part in parts), width * height),
    )
    return _check_defaults(spec, "its configuration")


def local_variant(folder: Path) -> str | None:
    """The variant of the weights to load from a folder, such as fp16; None for the full ones, where all are there.

    Raises ModelError naming what is missing, and what is there.
    """
    found = {part: _variants(folder / part) for part in list_parts(folder) if (folder / part / "config.json").is_file()}
    for variant in (None, "fp16", "non_ema", *sorted({kind for kinds in found.values() for kind in kinds if kind})):
        if all({variant, None} & kinds for kinds in found.values()):
            return variant
    # Else the first part that has none, or that has another kind than the first.
    part = min(found, key=lambda part: (len(found[part]) > 0, None in found[part]))
    files = sorted(file.name for file in (folder / part).iterdir() if file.is_file())
    there = ", ".join(files[:4])
    if any(file.endswith((".bin", ".ckpt", ".pt", ".pth")) for file in files):
        there += "; pickled weights can run code and are not loaded"
    kind = "of the same kind as the others " if found[part] else ""
    raise ModelError(f"{folder.name} has no safetensors weights {kind}in {part}, which holds {there}.")


def _variants(part: Path) -> set[str | None]:
    """The kinds of safetensors weights in the folder of a part, None for full ones."""
    names = [re.sub(r"-\d{5}-of-\d{5}", "", file.name) for file in part.glob("*.safetensors")]
    return {name.split(".")[1] if name.count(".") > 1 else None for name in names}


def choose_lanes(weights: int, pixels: int) -> int:
    """Pictures in one call of a model outside the catalog. weights: bytes of its files. pixels: of a picture.

    One at a time from the size of SDXL on, above 6 GB or 768 x 768 pixels, so that memory is not at risk; else 4.
    """
    return 1 if weights > 6_000_000_000 or pixels > 768 * 768 else 4


def _weigh(part: Path) -> int:
    """Bytes of the weights in the folder of a part; a variant such as .fp16 counts where it stands alone."""
    sizes = {file.name: file.stat().st_size for file in part.glob("*.safetensors") if file.is_file()}
    return sum({name: size for name, size in sizes.items() if name.count(".") == 1}.values()) or sum(sizes.values())


def list_parts(folder: Path) -> dict[str, tuple[str, str]]:
    """(library, class) by name of the parts that a model_index.json lists, which are folders beside it."""
    return {
        name: (str(value[0]), str(value[1]))
        for name, value in read_json(folder / "model_index.json").items()
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and value[0] is not None
    }


def absent(folder: Path) -> list[str]:
    """Text encoders and tokenizers that a model_index.json lists as null: the pipeline is told that there are none."""
    index = read_json(folder / "model_index.json", {})
    return [
        name for name, value in index.items() if name.startswith(("text_", "token")) and value in (None, [None] * 2)
    ]


def _make_safe(name: str) -> str:
    """`name` as recipes may hold it: ASCII, no path, at most 96 characters.

    Where it cannot stand as it is, eight digits of its hash tell it from others that read the same.
    """
    safe = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._ -]+", "-", name)[:90]).strip(" ._-")
    return name if safe == name else mark_name(safe or "model", hashlib.sha256(os.fsencode(name)).hexdigest())


def mark_name(name: str, digits: str) -> str:
    """`name` with eight digits that tell it from another model of the same name."""
    return f"{name[:87]}-{digits[:8]}"


def read_json(path: Path, default: dict | None = None) -> dict:
    """The JSON object in `path`, or `default` where there is no file. Raises ModelError."""
    label = f"{path.parent.name}/{path.name}"
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if default is None:
            raise ModelError(f"The folder {path.parent.name} holds no {path.name}.") from None
        return default
    except OSError as error:
        raise ModelError(f"{label} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{label} is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ModelError(f"{label} holds no JSON object.")
    return value


def _read_size(family: str, folder: Path) -> tuple[int, int]:
    """(width, height) in pixels that the pipeline itself would take; 0 for what is no number."""
    if FAMILIES[family].fixed_size:
        side = read_json(folder / "super_res_last" / "config.json", {}).get("sample_size")
        return (side, side) if type(side) is int else (0, 0)
    # Flux reads no size from its transformer.
    part = {"StableDiffusion3Pipeline": "transformer", "FluxPipeline": ""}.get(family, "unet")
    config = read_json(folder / part / "config.json", {}) if part else {}
    size = config.get("sample_size") or FAMILIES[family].latent_side
    scale = _vae_scale(folder)
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    return tuple(side * scale if type(side) is int else 0 for side in (width, height))


def _vae_scale(folder: Path) -> int:
    """Pixels for a latent, each way; 0 for what is no number of blocks."""
    blocks = read_json(folder / "vae" / "config.json", {}).get("block_out_channels", "1234")
    return 2 ** (len(blocks) - 1) if isinstance(blocks, list | str) and len(blocks) < 10 else 0


def _add_own_values(spec: ModelSpec, own: dict) -> ModelSpec:
    """`spec` with the defaults that the model's author wrote into second_round.json; other keys are notes."""
    changes = {k: own[k] for k in ("num_inference_steps", "guidance_scale", "width", "height") if k in own}
    try:
        if "sampler" in own:
            changes["scheduler"] = sampler_class(own["sampler"])
            if changes["scheduler"] not in spec.schedulers:
                raise InputError("sampler", own["sampler"], f"a {spec.family} works with {', '.join(spec.schedulers)}")
        for key, field, check in (
            ("example_prompts", "examples", lambda text: check_prompt("prompt", text)),
            ("default_suffixes", "suffixes", lambda text: check_text("suffix", text, 200)),
        ):
            if key in own:
                if not isinstance(own[key], list) or not own[key]:
                    raise InputError(key, own[key], "a list of texts")
                for text in own[key]:
                    check(text)
                changes[field] = tuple(own[key])
    except InputError as error:
        raise ModelError(f"{spec.title}: second_round.json is wrong: {error}") from None
    return _check_defaults(replace(spec, **changes), "second_round.json")


def _check_defaults(spec: ModelSpec, where: str) -> ModelSpec:
    """`spec`, when the recipe of its own defaults is one it accepts. Raises ModelError."""
    try:
        spec.check(Recipe(model="x", revision=40 * "0", prompt="x", seed=0, dtype="float32", lanes=1, **spec.defaults))
    except InputError as error:
        raise ModelError(f"{spec.title}: {where} is wrong: {error}") from None
    return spec
