"""The text encoder: a small CLIPTextModel taught meanings before the UNet sees a picture.

It learns from captions what they show (concept, colour, background, style, size, tilt,
number), and from a text-similarity model what words mean, so that "pup" lands where "dog"
is although no caption ever says it. Heads used for teaching are thrown away.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .augment import Scenes, sample_scenes
from .captions import SLOTS, Book, Tokens, compose
from .meanings import Meanings
from .presets import Preset
from .progress import SAVE_EVERY, Average, Budget, adopt, load_checkpoint, save_checkpoint, set_rate
from .runtime import Place
from .words import BACKGROUNDS, STYLES, TINTS

SHARPNESS = 0.05  # temperature of the nearness of a word to the concepts
NEAR = 0.45  # cosine under which a word is no hint at any concept
WORDS = 0.4  # of a batch, the share of dictionary words in place of a concept's name


def build_text(preset: Preset, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    shape = preset.text
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=3 * shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=shape.length,
            hidden_act="gelu",
            projection_dim=shape.width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class Teacher(nn.Module):
    """Linear read-outs from a caption's summary [n, width]."""

    def __init__(self, width: int, concepts: int, meaning: int):
        super().__init__()
        self.concept = nn.Linear(width, concepts)
        self.meaning = nn.Linear(width, meaning)
        self.facts = nn.ModuleDict(
            {
                "tint": nn.Linear(width, len(TINTS) + 1),
                "background": nn.Linear(width, len(BACKGROUNDS) + 1),
                "style": nn.Linear(width, len(STYLES)),
                "size": nn.Linear(width, 3),
                "tilt": nn.Linear(width, 2),
                "count": nn.Linear(width, 3),
            }
        )


@dataclass
class Lesson:
    """Prompts and what is to be read from them.

    ids [n, length]; concepts [n, concepts] sums to 1, or to 0 where the word is none;
    meaning [n, 384] unit vectors; facts: class ids [n] by the Teacher's names.
    """

    ids: torch.Tensor
    concepts: torch.Tensor
    meaning: torch.Tensor
    facts: dict[str, torch.Tensor]


class Lessons:
    """Draws lessons. Single words are appended to the book's fragments as further ones."""

    def __init__(self, preset: Preset, book: Book, tokens: Tokens, words: Tokens, meanings: Meanings):
        self.preset, self.book, self.meanings = preset, book, meanings
        longest = max(tokens.table.shape[1], words.table.shape[1])
        pad = lambda t: F.pad(t, (0, longest - t.shape[1]))  # noqa: E731
        self.tokens = Tokens(
            torch.cat([pad(tokens.table), pad(words.table)]),
            torch.cat([tokens.lengths, words.lengths]),
            tokens.start,
            tokens.end,
            tokens.length,
        )
        nearness = meanings.embeddings.float() @ meanings.anchors.T  # [words, concepts]
        best = nearness.max(1).values
        soft = (nearness / SHARPNESS).softmax(1)
        self.soft = torch.where((best > NEAR)[:, None], soft, 0.0)
        # Near words matter most, but the rest must be met to be known as harmless.
        self.odds = (best - 0.25).clamp(min=0.02) ** 2
        sizes = {**dict.fromkeys(("small", "tiny"), 1), **dict.fromkeys(("big", "large"), 2)}
        self.sizes = torch.tensor([sizes.get(text, 0) for text in book.fragments])

    def draw(self, scenes: Scenes, generator: torch.Generator) -> Lesson:
        n = len(scenes)
        rows = compose(scenes, self.book, self.preset.odds, generator)
        concept = F.one_hot(scenes.concept, len(self.meanings.anchors)).float()
        partner = F.one_hot(scenes.partner.clamp(min=0), len(self.meanings.anchors)).float()
        paired = (scenes.partner >= 0)[:, None]
        meaning = self.meanings.anchors[scenes.concept]
        concept = torch.where(paired, (concept + partner) / 2, concept)
        meaning = torch.where(paired, F.normalize(meaning + self.meanings.anchors[scenes.partner], dim=1), meaning)

        # A dictionary word in place of the name, or, harmless, in place of the prefix.
        word = torch.multinomial(self.odds, n, True, generator=generator)
        lone = (torch.rand(n, generator=generator) < WORDS) & ~paired[:, 0] & (scenes.count == 1)
        bare = lone & (torch.rand(n, generator=generator) < 0.3)
        rows[:, 5] = torch.where(lone, len(self.book.fragments) + word, rows[:, 5])
        rows = torch.where(bare[:, None] & (torch.arange(SLOTS) != 5), 0, rows)
        concept = torch.where(lone[:, None], self.soft[word], concept)
        meaning = torch.where(lone[:, None], self.meanings.embeddings[word].float(), meaning)
        stray = torch.randint(len(self.odds), (n,), generator=generator)
        strayed = (torch.rand(n, generator=generator) < 0.1) & ~bare & (rows[:, 2] == 0)
        strayed &= self.soft[stray].sum(1) == 0
        rows[:, 2] = torch.where(strayed, len(self.book.fragments) + stray, rows[:, 2])

        told = rows < len(self.book.fragments)
        kept = torch.where(told, rows, 0)
        facts = {
            "tint": torch.where(rows[:, 4] > 0, scenes.tint + 1, 0),
            "background": torch.where(rows[:, 8] > 0, scenes.background + 1, 0),
            "style": torch.where(rows[:, 9] > 0, scenes.style, 0),
            "size": self.sizes[kept[:, 2]],
            "tilt": (rows[:, 3] > 0).long(),
            "count": torch.where(bare, 0, scenes.count - 1),
        }
        return Lesson(self.tokens.assemble(rows), concept, meaning, facts)


def text_loss(text: CLIPTextModel, teacher: Teacher, end: int, ids, concepts, meaning, *facts):
    """The same questions at the caption's end and at the last padded place: the UNet attends
    to all of them, so that all of them should know what is meant. Arguments as in Lesson."""
    hidden = text(ids).last_hidden_state  # [n, length, width]
    first = (ids == end).int().argmax(1)
    loss = 0.0
    for summary in (hidden[torch.arange(len(hidden)), first], hidden[:, -1]):
        logits = teacher.concept(summary).float()
        loss = loss - (concepts * logits.log_softmax(1)).sum(1).mean()
        cosine = F.cosine_similarity(teacher.meaning(summary).float(), meaning)
        loss = loss + 3 * (1 - cosine).mean()
        for head, fact in zip(teacher.facts.values(), facts, strict=True):
            loss = loss + 0.5 * F.cross_entropy(head(summary).float(), fact)
    return loss


@torch.no_grad()
def concept_accuracy(text: CLIPTextModel, teacher: Teacher, lesson: Lesson) -> float:
    """Read from the last place, over the prompts that mean one concept."""
    logits = teacher.concept(text(lesson.ids).last_hidden_state[:, -1])
    clear = lesson.concepts.amax(1) > 0.5
    return (logits.argmax(1) == lesson.concepts.argmax(1))[clear].float().mean().item()


def train_text(
    preset: Preset,
    table: torch.Tensor,
    lessons: Lessons,
    tokenizer: CLIPTokenizer,
    folder: Path,
    budget: Budget,
    place: Place,
) -> None:
    """Train, resuming from ``folder/text.pt``."""
    torch.manual_seed(preset.seed + 3)
    text = build_text(preset, tokenizer).to(place.device)
    meaning = lessons.meanings.anchors.shape
    teacher = Teacher(preset.text.width, meaning[0], meaning[1]).to(place.device)
    both = nn.ModuleList([text, teacher])
    average = Average(both, 0.995)
    optimiser = torch.optim.AdamW(both.parameters(), betas=(0.9, 0.98), weight_decay=preset.text_run.weight_decay)
    generator = torch.Generator().manual_seed(preset.seed + 4)
    path = folder / "text.pt"
    state = load_checkpoint(path) or {}
    if "model" not in state:
        adopt(average, both, state.get("average", []))
    else:
        both.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average.values = [v.to(place.device) for v in state["average"]]
        generator.set_state(state["generator"])
        budget.resume(state["budget"])

    def save() -> None:
        save_checkpoint(
            path,
            model=both.state_dict(),
            average=average.values,
            optimiser=optimiser.state_dict(),
            generator=generator.get_state(),
            budget=budget.state(),
        )

    compute = partial(text_loss, text, teacher, tokenizer.eos_token_id)
    parameters = list(both.parameters())
    saved = time.monotonic()
    while budget.progress < 1:
        scenes = sample_scenes(preset.text_run.batch, table, preset.odds, generator)
        lesson = lessons.draw(scenes, generator)
        lesson = Lesson(
            lesson.ids.to(place.device),
            lesson.concepts.to(place.device),
            lesson.meaning.to(place.device),
            {k: v.to(place.device) for k, v in lesson.facts.items()},
        )
        set_rate(optimiser, budget.rate(preset.text_run))
        batch = (lesson.ids, lesson.concepts, lesson.meaning, *lesson.facts.values())
        loss = place.backward(compute, parameters, *batch)
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.update(both, budget.step)
        budget.step += 1
        if budget.step % 50 == 0:
            right = concept_accuracy(text, teacher, lesson)
            print(
                f"text step {budget.step} loss {loss.item():.3f} concept {right:.2f} {budget.seconds:.0f} s",
                flush=True,
            )
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()


def load_text(preset: Preset, tokenizer: CLIPTokenizer, folder: Path) -> CLIPTextModel:
    """The averaged weights of a trained text encoder."""
    state = load_checkpoint(folder / "text.pt")
    text = build_text(preset, tokenizer)
    average = Average(text, 0)
    average.values = state["average"][: len(average.values)]  # the teacher's come after
    average.copy_to(text)
    return text.eval().requires_grad_(False)
