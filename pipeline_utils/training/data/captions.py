"""Captions: what a person might type for a scene."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .looks import STYLES
from .scenes import Odds, Scenes
from .words import FILLERS, GROUNDS, PREFIXES, with_article


@dataclass(frozen=True)
class Wording:
    """How captions speak. ``synonyms``: of each thing, the words that captions use beside its name."""

    names: list[str]
    synonyms: list[list[str]]
    odds: Odds

    def caption(self, thing: int, look: int, said: int, chance: random.Random) -> str:
        """One way to say it: "a photo of a cute dog on a red background, neon"."""
        name = self.names[thing]
        if self.synonyms[thing] and chance.random() < self.odds.synonym:
            name = chance.choice(self.synonyms[thing])
        if chance.random() < 0.06:
            name = f"{chance.choice(FILLERS)} {name}"
        manner = chance.random()
        text = name if manner < 0.25 else f"the {name}" if manner > 0.97 else with_article(name)
        if manner >= 0.25 and chance.random() < 0.08:
            text = f"{chance.choice(PREFIXES)} {text}"
        if said >= 0:
            text += f"{', ' if chance.random() < 0.25 else ' '}{chance.choice(GROUNDS[said].phrases)}"
        return f"{text}, {STYLES[look]}" if look else text

    def captions(self, scenes: Scenes, seed: int) -> list[str]:
        """One for each scene, drawn with ``seed``; empty where the scene is silent."""
        chance = random.Random(seed)
        rows = zip(*(t.tolist() for t in (scenes.thing, scenes.look, scenes.said, scenes.silent)), strict=True)
        return ["" if silent else self.caption(*what, chance) for *what, silent in rows]

    def spoken(self) -> list[str]:
        """Every word and phrase that captions are made of, for the tokenizer."""
        grounds = [phrase for ground in GROUNDS for phrase in ground.phrases]
        words = [word for row in self.synonyms for word in row]
        return [*self.names, *words, *STYLES[1:], *grounds, *PREFIXES, *FILLERS, "a", "an", "the", ","]
