"""Which weights are meant: the content hash of folders and files, and the commits of hub models in the cache."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from pipeline_utils.models.sources import list_parts, read_json

_DECISIVE = (".json", ".txt", ".model", ".safetensors")  # files of a part that decide pixels
_TOKENIZERS = ({"tokenizer.json"}, {"vocab.json", "merges.txt"}, {"spiece.model"})  # one of these is whole


def content_hash(path: Path) -> str:
    """`sha256:` and hex digits over what decides the pixels in a pipeline folder, 32 of them, or single checkpoint.

    That is model_index.json and, in the folders of the parts it lists, every .json, .txt, .model and
    .safetensors file, by relative name and content; for a checkpoint, the file and the configuration
    folder beside it, whose 32 digits come after the first 32 of the file's own SHA-256, by which other tools
    know it. Names and places of folder and file do not count, nor do model cards and previews.
    """
    whole = hashlib.sha256()

    def add(name: str, file: Path) -> None:
        whole.update(json.dumps([name, _file_hash(file)]).encode())

    folder, own = path, ""
    if path.is_file():
        own = _file_hash(path)[:32]
        add("", path)
        folder = path.with_suffix("")
    if (folder / "model_index.json").is_file():
        add("model_index.json", folder / "model_index.json")
        for part in sorted(list_parts(folder)):
            for file in sorted((folder / part).rglob("*")):
                if file.suffix in _DECISIVE:
                    add(file.relative_to(folder).as_posix(), file)
    return f"sha256:{own}{whole.hexdigest()[:32]}"


def names(revision: str, content: str) -> bool:
    """Does a recipe's revision mean this content hash? Older ones of a checkpoint lack its own SHA-256."""
    return revision in (content, f"sha256:{content[-32:]}")


def short(revision: str) -> str:
    if len(revision) == 71:  # of a checkpoint, which may differ from another in its configuration alone
        return f"{revision[:13]}…{revision[-6:]}"
    return revision[:19] if revision.startswith("sha256:") else revision[:12]


def cached(source: str, revision: str, dtype: str) -> tuple[Path, str | None] | None:
    """Folder and variant of a hub model, where every file that loading it in `dtype` reads is in the cache.

    revision: a commit, or "" for the newest that the cache knows of.
    """
    for variant in variants(dtype):
        try:
            folder = download(source, revision, variant, local_files_only=True)
            if _list_files(folder, variant) is not None:
                return folder, variant
        except Exception:  # whatever is wrong with it, it is not here; loading it says why
            continue
    return None


def variants(dtype: str) -> tuple[str | None, ...]:
    """Kinds of weights to look for: half the bytes where halves are wanted; full ones round to the same numbers.

    Others are taken where a model has no full ones.
    """
    return ("fp16", None, "non_ema") if dtype == "float16" else (None, "fp16", "non_ema")


def download(source: str, revision: str, variant: str | None, **options: bool) -> Path:
    """The folder of a hub model at a commit, "" for the newest. ValueError where there is no such variant."""
    from diffusers import DiffusionPipeline

    # The folder is named by the commit.
    return Path(
        DiffusionPipeline.download(source, revision=revision or None, variant=variant, use_safetensors=True, **options)
    )


def same(source: str, one: str, other: str, dtype: str) -> bool:
    """Are two commits of a hub model one model: does loading read files of the same content?

    True for equal commits; else both must be in the cache, since nothing is downloaded.
    """
    if one == other:
        return True
    here = [cached(source, commit, dtype) for commit in (one, other)]
    if None in here:
        return False
    first, second = (_list_files(*each) for each in here)
    return first.keys() == second.keys() and all(
        file.resolve() == second[name].resolve() or _file_hash(file) == _file_hash(second[name])
        for name, file in first.items()
    )


def _list_files(folder: Path, variant: str | None) -> dict[str, Path] | None:
    """The files that loading a pipeline folder reads, by relative name; None where one is missing."""
    found, parts = [folder / "model_index.json"], list_parts(folder)
    if not parts or (variant and not any(folder.glob(f"*/*.{variant}*.safetensors"))):
        return None
    for part, (_, kind) in parts.items():
        files = [file for file in (folder / part).rglob("*") if file.is_file() and file.suffix in _DECISIVE]
        found += [file for file in files if file.suffix != ".safetensors" and ".index." not in file.name]
        names = {file.name for file in files}
        if kind.endswith("Scheduler"):
            whole = "scheduler_config.json" in names
        elif "Tokenizer" in kind:
            whole = any(needed <= names for needed in _TOKENIZERS)
        elif kind.endswith(("Processor", "Extractor")):
            whole = "preprocessor_config.json" in names
        else:
            weights = _weights(folder / part, variant)
            found += weights
            whole = "config.json" in names and bool(weights) and all(file.is_file() for file in weights)
        if not whole:
            return None
    return {file.relative_to(folder).as_posix(): file for file in found}


def _weights(part: Path, variant: str | None) -> list[Path]:
    """The weights of one part, and the index of their shards; of another kind where the variant is not there."""
    dot = f".{variant}" if variant else ""
    for stem in ("diffusion_pytorch_model", "model"):
        index = part / f"{stem}.safetensors.index{dot}.json"
        if index.is_file():
            return [index, *(part / str(name) for name in sorted(set(read_json(index).get("weight_map", {}).values())))]
        if (part / f"{stem}{dot}.safetensors").is_file():
            return [part / f"{stem}{dot}.safetensors"]
    return _weights(part, None) if variant else []


def _file_hash(file: Path) -> str:
    stat = file.stat()
    return _hashed(str(file.resolve()), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hashed(file: str, size: int, mtime_ns: int) -> str:
    """Hashing gigabytes takes seconds, so a file that did not change is hashed once."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
