"""Fetch the picture sets: npm packages at pinned versions, by ``npm pack``."""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PictureSet:
    """One openly licensed set. ``share``: how often, of the sets that draw a thing, a seed takes this one."""

    package: str
    version: str
    licence: str
    author: str
    share: float = 0.0

    @property
    def archive(self) -> str:
        """The file name that ``npm pack`` writes."""
        return f"{self.package.lstrip('@').replace('/', '-')}-{self.version}.tgz"


# In the order in which a thing takes its designs: the first sets that draw it.
SETS: tuple[PictureSet, ...] = (
    PictureSet("@lobehub/fluent-emoji-3d", "1.1.0", "MIT", "Microsoft; packaged by LobeHub", 0.35),
    PictureSet("@iconify-json/noto", "1.2.9", "Apache-2.0", "Google Inc", 0.30),
    PictureSet("@iconify-json/twemoji", "1.2.5", "CC BY 4.0", "Twitter", 0.25),
    PictureSet("@iconify-json/streamline-emojis", "1.2.4", "CC BY 4.0", "Streamline", 0.20),
    PictureSet("@iconify-json/fxemoji", "1.2.2", "Apache-2.0", "Mozilla", 0.20),
    PictureSet("@iconify-json/emojione", "1.2.3", "CC BY 4.0", "Emoji One", 0.20),
)
LABELS = PictureSet("emojibase-data", "17.0.0", "MIT", "Miles Johnson")


def fetch(folder: Path) -> None:
    """Download what is missing into ``folder``. Raises CalledProcessError where npm fails."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in (*SETS, LABELS):
        if not (folder / item.archive).exists():
            call = ["npm", "pack", "--silent", f"{item.package}@{item.version}"]
            subprocess.run(call, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def read_json(archive: Path, member: str) -> dict | list:
    """One JSON file out of an npm archive."""
    with tarfile.open(archive) as tar:
        return json.load(tar.extractfile(f"package/{member}"))
