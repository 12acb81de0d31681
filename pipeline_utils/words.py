"""How much of a prompt the text encoders read. A pipeline cuts the rest with a log line only."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

from pipeline_utils.errors import InputError

# The T5 encoder of a pipeline and the tokens it is given; the other tokenizers state their limit themselves.
_T5 = {"StableDiffusion3Pipeline": ("tokenizer_3", 256), "FluxPipeline": ("tokenizer_2", 512)}

# A word, or one sign or letter of a script that needs no spaces.
_WORD = re.compile(r"[a-z0-9]+|\S", re.ASCII | re.IGNORECASE)


def cut_words(pipe, prompt: str) -> tuple[str, int]:
    """The end of `prompt` that no text encoder of `pipe` reads ("" when all is read), and the limit in tokens.

    A model with several encoders reads a word when one of them does. The limit counts markers at both ends.
    """
    best, limit = 0, 0  # characters that are read, and by how many tokens
    ends = [match.end() for match in _WORD.finditer(prompt)]
    for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
        tokenizer = getattr(pipe, name, None)
        if tokenizer is None:
            continue
        special, tokens = _T5.get(type(pipe).__name__, ("", 0))
        room = tokens if name == special else tokenizer.model_max_length

        def length(end: int, tokenizer=tokenizer) -> int:
            return len(tokenizer(prompt[:end], truncation=False, verbose=False)["input_ids"])

        if length(len(prompt)) <= room:
            return "", room
        fitting = bisect_right(ends, room, key=length)
        read = ends[fitting - 1] if fitting else 0
        if room > limit:
            best, limit = read, room
    return prompt[best:].strip(), limit


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
