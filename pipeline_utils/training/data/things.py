"""Which things the model knows: a name, the pictures' label, code points and key words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .packages import LABELS, read_json

# The hardest to learn come first: most look to one side, or consist of thin parts. A small preset takes the
# first so many. The name stands in captions; where the set's label says something else, it follows a colon.
THINGS = (Path(__file__).parent / "things.txt").read_text("utf-8")

SKIPPED_GROUPS = (None, 2, 9)  # regional indicators, skin and hair components, flags


@dataclass(frozen=True)
class Thing:
    """``name`` is the caption's word, ``tags`` are key words of the label set."""

    name: str
    label: str
    hexcode: str
    tags: tuple[str, ...] = ()

    @property
    def slugs(self) -> tuple[str, ...]:
        """The file names by which sets may know it, the surest first."""
        said = [re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") for text in (self.label, self.name)]
        return tuple(dict.fromkeys(slug for s in said for slug in (s, s.replace("-", ""), f"{s}-1")))


def plain(label: str) -> str:
    """A label as people would type it: lower case, letters, digits, blanks and hyphens."""
    label = label.lower().replace("’", "").replace("é", "e").replace("ñ", "n").replace("ü", "u")
    label = re.sub(r"[:;,.()!“”&]+", " ", label)
    return " ".join(re.sub(r"[^a-z0-9\- ]+", "", label).split())


def entries(folder: Path) -> dict[str, dict]:
    """The label set's entries by label."""
    rows = read_json(folder / LABELS.archive, "en/data.json")
    return {row["label"]: row for row in rows if row.get("group") not in SKIPPED_GROUPS}


def load_things(folder: Path, count: int) -> list[Thing]:
    """The first ``count`` things; a thing's id is its place. Raises ValueError for a label that is not in the set."""
    known = entries(folder)
    pairs = [" ".join(item.split()).partition(":") for item in THINGS.split(";")]
    wanted = [(name, label or name) for name, _, label in pairs][:count]
    if unknown := [label for _, label in wanted if label not in known]:
        raise ValueError(f"labels that the label set does not have: {unknown}")
    return [
        Thing(name, label, known[label]["hexcode"], tuple(map(plain, known[label].get("tags", ()))))
        for name, label in wanted
    ]


def rivals(folder: Path, things: list[Thing]) -> list[str]:
    """Names of what the model does not know: a word nearer to one of them means none of its things."""
    taken = {thing.label for thing in things}
    return [name for label in entries(folder) if label not in taken and (name := plain(label))]
