"""Which things the model knows: a name, the pictures' label, code points and key words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .packages import LABELS, read_json

# What people type first. The name stands in captions; where the set's label says
# something else ("dog face"), it follows a colon.
EVERYDAY = """
dog:dog face; cat:cat face; lion; pig:pig face; rabbit:rabbit face; bear; panda; fox; frog; penguin; owl;
fish:tropical fish; whale:spouting whale; octopus; turtle; butterfly; bee:honeybee; rose; sunflower; cactus;
tree:deciduous tree; mushroom; apple:red apple; banana; orange:tangerine; strawberry; watermelon;
burger:hamburger; pizza; donut:doughnut; cake:birthday cake; robot; ghost; alien; skull; smiley:grinning face;
heart:red heart; star; sun; moon:crescent moon; rainbow; snowman:snowman without snow; fire; planet:ringed
planet; house; castle; car:automobile; bus; rocket; ufo:flying saucer; balloon; gift:wrapped gift; diamond:gem
stone; umbrella; pumpkin:jack-o-lantern;
tiger:tiger face; horse:horse face; unicorn; cow:cow face; mouse:mouse face; monkey:monkey face; duck; shark;
crab; snake; dinosaur:sauropod; ladybug:lady beetle; snail; elephant; palm tree; lemon; cherries; grapes;
pineapple; avocado; tomato; carrot; cheese:cheese wedge; egg:cooking; ice cream:soft ice cream; cookie;
coffee:hot beverage; cloud; snowflake; lightning:high voltage; earth:globe showing Americas; train:locomotive;
bicycle; boat:sailboat; airplane; helicopter; soccer ball; basketball; guitar; crown; key; light bulb; candle;
clock:alarm clock; book:open book; bell; christmas tree:Christmas tree
"""

SKIPPED_GROUPS = (None, 2, 9)  # regional indicators, skin and hair components, flags


@dataclass(frozen=True)
class Concept:
    """``name`` is the caption's word, ``tags`` are key words of the label set."""

    name: str
    label: str
    hexcode: str
    tags: tuple[str, ...]

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")


def plain(label: str) -> str:
    """A label as people would type it: lower case, letters, digits, blanks and hyphens."""
    label = label.lower().replace("’", "").replace("é", "e").replace("ñ", "n").replace("ü", "u")
    label = re.sub(r"[:;,.()!“”&]+", " ", label)
    return " ".join(re.sub(r"[^a-z0-9\- ]+", "", label).split())


def load_concepts(folder: Path, which: str) -> list[Concept]:
    """The concepts of a preset, in a fixed order (concept ids are positions in it)."""
    entries = read_json(folder / LABELS.archive, "en/data.json")
    entries = [e for e in entries if e.get("group") not in SKIPPED_GROUPS]
    entries.sort(key=lambda e: e.get("order", 0))
    by_label = {e["label"]: e for e in entries}
    if which == "everyday":
        pairs = [" ".join(item.split()).partition(":") for item in EVERYDAY.split(";")]
        wanted = [(name, label or name) for name, _, label in pairs]
        unknown = [label for _, label in wanted if label not in by_label]
        if unknown:
            raise ValueError(f"labels that the label set does not have: {unknown}")
    else:
        everyday = {c.label: c.name for c in load_concepts(folder, "everyday")}
        wanted = [(everyday.get(e["label"]) or plain(e["label"]), e["label"]) for e in entries]
    return [
        Concept(
            name,
            label,
            by_label[label]["hexcode"],
            tuple(map(plain, by_label[label].get("tags", ()))),
        )
        for name, label in wanted
        if name
    ]
