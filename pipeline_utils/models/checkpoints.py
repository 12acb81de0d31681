"""Single .safetensors files in the layout of the original code: what their names tell, and loading them."""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_utils.errors import ModelError
from pipeline_utils.models.catalog import ModelSpec
from pipeline_utils.models.sources import choose_lanes, read_json

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline, SchedulerMixin

_MARKERS = {"v_pred": ("prediction_type", "v_prediction"), "ztsnr": ("rescale_betas_zero_snr", True)}
_CLIP = "cond_stage_model.transformer."
_SHORT = ("embeddings.", "encoder.", "final_layer_norm.")  # in NovelAI's files they follow at once


def is_file(spec: ModelSpec) -> bool:
    return spec.is_local and Path(spec.source).suffix.lower() == ".safetensors"


def markers(path: Path) -> dict[str, object]:
    """What empty weights such as v_pred and ztsnr say of the sampler's configuration."""
    names = _header(path)
    return {key: value for name, (key, value) in _MARKERS.items() if name in names}


def is_plain(path: Path) -> bool:
    """Can diffusers read the file as it is, under its own name and with the names in it?"""
    return path.suffix == ".safetensors" and not any(map(_is_short, _header(path)))


def load(spec: ModelSpec, options: dict) -> tuple[ModelSpec, DiffusionPipeline]:
    """The pipeline of a checkpoint; its shape comes from the folder beside it, or the hub's. Raises ModelError."""
    import diffusers

    path = Path(spec.source)
    names = _header(path)
    if not any(name.startswith("model.diffusion_model.") for name in names) and not spec.family:
        raise ModelError(f"{spec.title} holds no whole Stable Diffusion model; an adapter or a part is not enough.")
    xl = any(name.startswith("conditioner.embedders.1.") for name in names)
    family = spec.family or ("StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline")
    kind = getattr(diffusers, family)
    if not hasattr(kind, "from_single_file"):
        raise ModelError(f"{spec.title}: a {family} is loaded from a folder, not from a single file.")
    beside = path.with_suffix("")
    how = {"config": str(beside)} if spec.family else {"local_files_only": False}
    with _readable(path, names) as file:
        pipe = kind.from_single_file(str(file), **{**options, **how})
    written = read_json(beside / "scheduler" / "scheduler_config.json", {}) if spec.family else {}
    if found := markers(path):
        pipe.scheduler = _marked(spec, pipe.scheduler, found, written)
    if spec.family:
        return spec, pipe
    side = pipe.unet.config.sample_size * pipe.vae_scale_factor
    own = {"family": family, "scheduler": type(pipe.scheduler).__name__, "width": side, "height": side}
    lanes = choose_lanes(path.stat().st_size, side * side)
    return replace(spec, **own, max_pixels=4 * side * side, lanes=lanes), pipe


def _marked(spec: ModelSpec, scheduler: SchedulerMixin, found: dict, written: dict) -> SchedulerMixin:
    for key, value in found.items():
        if written.get(key, value) != value:
            raise ModelError(
                f"{spec.title}: its weights say {key} {value}, the configuration beside it says {written[key]}. "
                "Correct the configuration."
            )
        if key not in scheduler.config:
            kind = type(scheduler).__name__
            raise ModelError(f"{spec.title}: its weights say {key} {value}, which its {kind} does not know.")
    return type(scheduler).from_config({**scheduler.config, **found, "_use_default_values": []})


def _is_short(name: str) -> bool:
    return name.startswith(tuple(_CLIP + part for part in _SHORT))


@contextmanager
def _readable(path: Path, names: Iterable[str]) -> Iterator[Path]:
    """A file that diffusers reads: `path`, or what stands for it while the block lasts."""
    if is_plain(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, path.stem + ".safetensors")
        if not any(map(_is_short, names)):  # only its ending is another
            file.symlink_to(path.resolve())
        else:
            longer = {name: name.replace(_CLIP, _CLIP + "text_model.") if _is_short(name) else name for name in names}
            with open(path, "rb") as old, open(file, "wb") as new:
                (size,) = struct.unpack("<Q", old.read(8))
                head = {longer.get(name, name): about for name, about in json.loads(old.read(size)).items()}
                text = json.dumps(head).encode()
                text += b" " * (-len(text) % 8)
                new.write(struct.pack("<Q", len(text)) + text)
                shutil.copyfileobj(old, new, 1 << 24)
        yield file


def _header(path: Path) -> list[str]:
    """The names of the weights in a file. Raises SafetensorError where it is damaged."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return list(file.keys())
