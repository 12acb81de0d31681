"""What a round tells while it is made. No torch, so that the page can be built before it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from pipeline_utils.models.runtime import Loaded
    from pipeline_utils.recipe.recipe import Recipe


@dataclass(frozen=True)
class Step:
    """One denoising step is done: `done` of `total` in the whole round; it served `pictures` (their indices).

    previews: how those pictures look now, uint8 [pictures, height, width, 3], where they were asked for
    and the last ones are not too recent.
    """

    done: int
    total: int
    pictures: tuple[int, ...]
    previews: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Finished:
    """Picture `index` of the round, and the fingerprint of the machine that made it.

    flagged: the model's safety checker blacked it out.
    """

    index: int
    image: Image.Image
    fingerprint: dict[str, str | int]
    flagged: bool = False


@dataclass(frozen=True)
class Refused:
    """Picture `index` of the round came out as numbers that are no picture; `reason` is a sentence."""

    index: int
    reason: str


class LanesDisagree(Exception):
    """The model has one lane from now on, so a round that was built for more is to be built again."""


Event = Step | Finished | Refused
# What makes a round: engine.make, or a stand-in that makes it elsewhere.
Make = Callable[["Loaded", Sequence["Recipe"], threading.Event, bool, Callable[[Event], None]], None]
