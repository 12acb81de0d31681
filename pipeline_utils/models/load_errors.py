"""What goes wrong while a model loads, each said in one plain sentence."""

from __future__ import annotations

import errno
import logging
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError

from pipeline_utils.errors import CapacityError, ModelError, UserError
from pipeline_utils.models.catalog import ModelSpec

NO_MEMORY = ("does not fit into memory", "Memory ran out")  # what is said, here and by the engine
INCOMPLETE = " lacks some of its weights; copy or download it again."  # after the title of a model
_PATH = re.compile(r"(?<![\w:/.])(?:/[^\s'\":/]+)+/([^\s'\":/]+)")


@contextmanager
def loading(spec: ModelSpec) -> Iterator[None]:
    """Any failure in the block becomes a ModelError or CapacityError; the cause stays chained for the log."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise _explain(spec, error) from error


@contextmanager
def complete(spec: ModelSpec) -> Iterator[None]:
    """Raises ModelError when transformers fills weights that the files lack with random numbers.

    It says so in its log only, and such a model would make other pictures at every start.
    """
    watch, logger = _Watch(), logging.getLogger("transformers")
    level, shown = logger.level, [(handler, handler.level) for handler in logger.handlers]
    for handler, own in shown:
        handler.setLevel(max(own, level))  # what it advises on its packages meanwhile is for nobody
    logger.addHandler(watch)
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(watch)
        logger.setLevel(level)
        for handler, own in shown:
            handler.setLevel(own)
    if watch.found:
        raise ModelError(spec.title + INCOMPLETE)


class _Watch(logging.Handler):
    found = False

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.found |= "MISSING" in text or "newly initialized" in text


def ran_out(error: BaseException | None) -> bool:
    """Was it memory, of the GPU or of the machine, that was missing?"""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "MPS backend out of memory")
    )


def _explain(spec: ModelSpec, error: Exception) -> UserError:
    # diffusers wraps what the hub and safetensors raise, so the whole chain is looked at.
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    name = spec.title
    text = " ".join(str(link) for link in chain)
    if any(map(ran_out, chain)):
        return CapacityError(
            f"{name} does not fit into memory. Choose a smaller model, start with --offload model, "
            "or close other programs that use the GPU."
        )
    if any(isinstance(link, OSError) and link.errno == errno.ENOSPC for link in chain):
        return CapacityError(f"The disk is full, so {name} cannot be downloaded; make room and try again.")
    damaged = has(SafetensorError) or "Error while deserializing header" in text
    unsafe = "safetensors" in text and ("Could not find" in text or "no file named" in text)
    pickled = unsafe and re.search(r"\.(bin|ckpt|pth?)\b", text)
    no_index = has(EntryNotFoundError) and not has(LocalEntryNotFoundError)
    for found, sentence in (
        (has(GatedRepoError), " is gated: accept its licence on the hub, log in with `hf auth login`, and try again."),
        (has(RepositoryNotFoundError), ": the hub knows no model of this name, or it is private. Check the spelling."),
        (has(RevisionNotFoundError), f": the hub has no commit {spec.revision[:12]} of it; perhaps it was taken away."),
        ("trust_remote_code" in text, " brings its own code, which is not run here."),
        ("meta tensor" in text, INCOMPLETE),
        (pickled, " has no safetensors weights; pickled weights can run code and are not loaded."),
        (unsafe, " has no safetensors weights for some of its parts."),
        (damaged, ": a .safetensors file of it is damaged or was cut short; copy or download it again."),
        (no_index, " is no diffusers pipeline: it has no model_index.json."),
    ):
        if found:
            return ModelError(name + sentence)
    # The hub library's HTTP client is httpx or httpx2, by version.
    no_answer = any(kind.__name__ == "TransportError" for link in chain for kind in type(link).__mro__)
    if no_answer or has(LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, ConnectionError, TimeoutError):
        if Path(spec.source).suffix.lower() == ".safetensors":
            return ModelError(
                f"{name}: the hub, which has the configuration of such files, cannot be reached. Check the network, "
                f"or put the configuration beside the file as a folder named {Path(spec.source).stem}."
            )
        copy = "the copy here is not whole" if has(IncompleteSnapshotError) else "there is no copy here"
        return ModelError(
            f"{name}: the model hub cannot be reached and {copy}. "
            "Check the network, or give a local folder or .safetensors file."
        )
    first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    reason = textwrap.shorten(_PATH.sub(r"\1", first), 200, placeholder=" …")
    return ModelError(f"{name} cannot be loaded: {reason}")
