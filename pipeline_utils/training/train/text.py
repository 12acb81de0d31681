"""The text encoder's first lessons, before the denoiser sees a picture.

It learns from captions what they name (thing, ground, look), and from a text-similarity model
which single words are near a thing, so that "pup" lands where "dog" is although no caption
ever says it. The heads that teach it are thrown away.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..data.captions import Wording
from ..data.looks import STYLES
from ..data.meanings import Meanings
from ..data.scenes import Scenes, Stage
from ..data.words import GROUNDS, with_article
from ..model.text import build_text, token_ids
from ..presets import Preset
from .runs import Training, Workers, prefixed

SHARPNESS = 0.05  # temperature of the nearness of a word to the things
NEAR = 0.45  # cosine under which a word is no hint at any thing
WORDS = 0.4  # of the captions, the share that say a dictionary word in place of a name


class Teacher(nn.Module):
    """Linear read-outs from a caption's summary [n, width]: thing, ground (0: none said), look."""

    def __init__(self, width: int, things: int):
        super().__init__()
        self.thing = nn.Linear(width, things)
        self.ground = nn.Linear(width, len(GROUNDS) + 1)
        self.look = nn.Linear(width, len(STYLES))

    def loss(self, summary, things, ground, look) -> torch.Tensor:
        """things [n, things]: how much of each is meant; ground, look: ids [n]."""
        loss = -(things * self.thing(summary).log_softmax(1)).sum(1).mean()
        loss = loss + 0.5 * F.cross_entropy(self.ground(summary), ground)
        return loss + 0.5 * F.cross_entropy(self.look(summary), look)


class Lessons:
    """Draws captions, in some of which a word of the dictionary stands for the thing."""

    def __init__(self, wording: Wording, meanings: Meanings):
        self.wording, self.words = wording, meanings.words
        nearness = meanings.embeddings.float() @ meanings.anchors.T  # [words, things]
        best = nearness.amax(1)
        self.things = torch.where((best > NEAR)[:, None], (nearness / SHARPNESS).softmax(1), 0.0)
        # Near words matter most, but the rest must be met to be known as harmless.
        self.odds = (best - 0.25).clamp(min=0.02) ** 2

    def draw(self, scenes: Scenes, generator: torch.Generator) -> tuple[list[str], torch.Tensor]:
        """Captions, and how much of each thing they mean [n, things]."""
        seed = int(torch.randint(2**31, (), generator=generator))
        said = self.wording.captions(scenes, seed)
        things = F.one_hot(scenes.thing, self.things.shape[1]).float()
        things[scenes.silent] = 0
        words = torch.multinomial(self.odds, len(said), True, generator=generator)
        swapped = (torch.rand(len(said), generator=generator) < WORDS) & ~scenes.silent
        for row in swapped.nonzero().flatten().tolist():
            style = f", {STYLES[scenes.look[row]]}" if scenes.look[row] else ""
            ground = f" {GROUNDS[scenes.said[row]].phrases[0]}" if scenes.said[row] >= 0 else ""
            said[row] = with_article(self.words[words[row]]) + ground + style
        things[swapped] = self.things[words[swapped]]
        return said, things


def lesson_losses(text: CLIPTextModel, teacher: Teacher, end: int, ids, things, ground, look):
    """The same questions at the caption's end and at the last padded place: the UNet attends to all
    of them, so that all of them should know what is meant. ids [n, length]."""
    hidden = text(ids).last_hidden_state
    first = (ids == end).int().argmax(1)
    ends = hidden[torch.arange(len(hidden)), first], hidden[:, -1]
    yield sum(teacher.loss(summary, things, ground, look) for summary in ends)


def train_text(
    preset: Preset, stage: Stage, lessons: Lessons, tokenizer: CLIPTokenizer, path: Path, workers: Workers
) -> None:
    """Train, resuming from ``path``."""
    torch.manual_seed(preset.seed + 2)
    run, text = preset.text_run, build_text(preset, tokenizer)
    teacher = Teacher(preset.text.width, len(lessons.wording.names))
    named = prefixed(text=text, teacher=teacher)
    optimiser = torch.optim.AdamW(named.values(), betas=(0.9, 0.98), weight_decay=run.weight_decay, fused=True)
    training = Training(run, named, [optimiser], path, workers, preset.seed + 3)
    training.resume()

    def draw() -> tuple:
        scenes = stage.random(run.batch, preset.odds, training.generator)
        said, things = lessons.draw(scenes, training.generator)
        return token_ids(tokenizer, said), things, scenes.said + 1, scenes.look

    training.loop(draw, lambda *part: lesson_losses(text, teacher, tokenizer.eos_token_id, *part))
