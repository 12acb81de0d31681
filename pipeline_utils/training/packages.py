"""Fetch the picture sets: npm packages at pinned versions, by ``npm pack``."""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PictureSet:
    """One openly licensed set; ``style`` is the word a prompt uses for its look."""

    package: str
    version: str
    style: str
    licence: str
    author: str

    @property
    def archive(self) -> str:
        """The file name that ``npm pack`` writes."""
        return f"{self.package.lstrip('@').replace('/', '-')}-{self.version}.tgz"


# The order is the order of style ids in every checkpoint: append, never reorder.
SETS: tuple[PictureSet, ...] = (
    PictureSet("@lobehub/fluent-emoji-3d", "1.1.0", "3d", "MIT", "Microsoft; packaged by LobeHub"),
    PictureSet("@iconify-json/fluent-emoji-flat", "1.2.6", "flat", "MIT", "Microsoft"),
    PictureSet("@iconify-json/fluent-emoji-high-contrast", "1.2.6", "line art", "MIT", "Microsoft"),
    PictureSet("@iconify-json/twemoji", "1.2.5", "sticker", "CC BY 4.0", "Twitter"),
    PictureSet("@iconify-json/noto-v1", "1.2.5", "blob", "Apache-2.0", "Google Inc"),
    PictureSet("@iconify-json/noto", "1.2.9", "glossy", "Apache-2.0", "Google Inc"),
    PictureSet("@iconify-json/emojione-monotone", "1.2.1", "silhouette", "CC BY 4.0", "Emoji One"),
    PictureSet("@iconify-json/fluent-emoji", "1.2.7", "gradient", "MIT", "Microsoft"),
    PictureSet("@iconify-json/emojione", "1.2.3", "cartoon", "CC BY 4.0", "Emoji One"),
)
LABELS = PictureSet("emojibase-data", "17.0.0", "", "MIT", "Miles Johnson")


def fetch(folder: Path) -> list[Path]:
    """Download what is missing into ``folder``; return the archives in the order of SETS."""
    folder.mkdir(parents=True, exist_ok=True)
    archives = []
    for item in (*SETS, LABELS):
        archive = folder / item.archive
        if not archive.exists():
            subprocess.run(
                ["npm", "pack", "--silent", f"{item.package}@{item.version}"],
                cwd=folder,
                check=True,
            )
        archives.append(archive)
    return archives


def read_json(archive: Path, member: str) -> dict | list:
    """One JSON file out of an npm archive."""
    with tarfile.open(archive) as tar:
        return json.load(tar.extractfile(f"package/{member}"))
