"""How much of a prompt the text encoders read. A pipeline cuts the rest with a log line only."""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from pipeline_utils.errors import InputError

# The T5 encoder of a pipeline and the tokens it is given; the other tokenizers state their limit themselves.
_T5 = {"StableDiffusion3Pipeline": ("tokenizer_3", 256), "FluxPipeline": ("tokenizer_2", 512)}
_NAMES = {  # of encoders, where there are several
    "StableDiffusionXLPipeline": {"tokenizer": "CLIP-L", "tokenizer_2": "CLIP-G"},
    "StableDiffusion3Pipeline": {"tokenizer": "CLIP-L", "tokenizer_2": "CLIP-G", "tokenizer_3": "T5"},
    "FluxPipeline": {"tokenizer": "CLIP", "tokenizer_2": "T5"},
}

# A word, or one sign or letter of a script that needs no spaces.
_WORD = re.compile(r"[a-z0-9]+|\S", re.ASCII | re.IGNORECASE)

_lock = threading.Lock()
_copies: WeakKeyDictionary = WeakKeyDictionary()


@dataclass(frozen=True)
class Meter:
    """What one text encoder makes of a prompt.

    used, limit: tokens, with the markers at both ends. tail: the end that it does not read, "" when it reads all.
    """

    encoder: str
    used: int
    limit: int
    tail: str


def meters(pipe, prompt: str) -> list[Meter]:
    """One for each text encoder of `pipe`, in its order."""
    kind = type(pipe).__name__
    special, tokens = _T5.get(kind, ("", 0))
    ends = [match.end() for match in _WORD.finditer(prompt)]
    found = []
    for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
        tokenizer = getattr(pipe, name, None)
        left_out = getattr(pipe, name.replace("tokenizer", "text_encoder"), tokenizer) is None
        if tokenizer is None or left_out:
            continue
        limit = tokens if name == special else tokenizer.model_max_length
        with _lock:
            # A tokenizer remembers how it was last asked to cut, and a round may be using the pipeline's own now.
            if tokenizer not in _copies:
                _copies[tokenizer] = deepcopy(tokenizer)
            own = _copies[tokenizer]

            def length(end: int, own=own) -> int:
                return len(own(prompt[:end], truncation=False, verbose=False)["input_ids"])

            used, read = length(len(prompt)), len(prompt)
            if used > limit:
                fitting = bisect_right(ends, limit, key=length)
                read = ends[fitting - 1] if fitting else 0
        found.append(Meter(_NAMES.get(kind, {}).get(name, "Text encoder"), used, limit, prompt[read:].strip()))
    return found


def cut_words(pipe, prompt: str) -> tuple[str, int]:
    """The end of `prompt` that no text encoder of `pipe` reads ("" when all is read), and the limit in tokens.

    A model with several encoders reads a word when one of them does. The limit counts markers at both ends.
    """
    furthest = min(meters(pipe, prompt), key=lambda meter: (len(meter.tail), -meter.limit))
    return furthest.tail, furthest.limit


def check_words(pipe, prompts: Iterable[str], field: str = "prompt") -> None:
    """Raises InputError naming the words that would be cut, for the first prompt that is too long."""
    for prompt in prompts:
        tail, limit = cut_words(pipe, prompt)
        if tail:
            raise InputError(
                field,
                prompt,
                f"the model reads {limit} tokens and would not see “{tail[:200]}”; "
                "shorten it, or allow cutting long prompts",
            )
