"""Does the number under a tile tell a pick from the other seeds' pictures, and what would do so less well?"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline_utils.engine.pool import Models
from pipeline_utils.models import runtime
from pipeline_utils.picture.picture import Picture
from pipeline_utils.proof.comparison import composition, resemblance, ssim
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.settings import Settings
from pipeline_utils.shelf.shelf import Shelf
from pipeline_utils.studio import Made, RoundEvent, Studio

PROMPTS = (
    "a fox",
    "a burger",
    "a dog",
    "a rocket",
    "a house",
    "coffee",
    "a car",
    "a smiley",
)
SUFFIXES = (
    ", artsy",
    ", trending",
    ", line art",
    ", sticker",
    ", watercolor",
    ", neon",
    ", pencil sketch",
    ", pop art",
)
SEEDS = 4
WORDS = ("kept", "drifted", "another picture")


def report(model: str, steps: int | None, prompts: int) -> None:
    """Makes first rounds and the second round of each of their pictures, then prints a line for each measure."""
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(model=model, data=Path(data))
        device = runtime.start(settings)
        studio = Studio(settings, Models(settings, device), Shelf(settings.data / "pictures"))
        rounds: list[tuple[list[Image.Image], list[tuple[int, Image.Image]]]] = []
        for prompt in PROMPTS[: max(1, prompts)]:
            picks = _pictures(studio.first_round(Ask(prompt, f"0-{SEEDS - 1}", num_inference_steps=steps)))
            styled = []
            for seed, pick in enumerate(picks):
                made = _pictures(studio.second_round(pick, SUFFIXES))
                styled += [(seed, each.image) for each in made if each.lineage.suffix]
            rounds.append(([pick.image for pick in picks], styled))
            print(f"{prompt}: {len(styled)} second-round pictures", flush=True)
    print("\nmeasure            own pick is nearest   own above another   own   others   ms a pair")
    for name, measure in {"resemblance": resemblance, "SSIM": _ssim, "edges": _edges, "foreground mask": _mask}.items():
        print(_line(name, measure, rounds))
    print("\n" + f"{'in words':20}" + "".join(f"{word:>18}" for word in WORDS))
    for name, own in {"with the own pick": True, "with another seed": False}.items():
        said = Counter(_words(rounds, own))
        print(f"{name:20}" + "".join(f"{said[word] / said.total():18.0%}" for word in WORDS))


def _pictures(events: Iterable[RoundEvent]) -> list[Picture]:
    made = sorted((event for event in events if isinstance(event, Made)), key=lambda event: event.index)
    return [event.picture for event in made]


def _words(rounds: Sequence, own: bool) -> Iterator[str]:
    """What the page would say of each second-round picture beside its own pick, or beside the others."""
    for picks, styled in rounds:
        apart = [[resemblance(one, other) for other in picks if other is not one] for one in picks]
        for seed, image in styled:
            for at, pick in enumerate(picks):
                if (at == seed) == own:
                    yield composition(resemblance(pick, image), float(np.mean(apart[at])))


def _line(name: str, measure: Callable[[Image.Image, Image.Image], float], rounds: Sequence) -> str:
    own, others, nearest, began, pairs = [], [], 0, time.perf_counter(), 0
    for picks, styled in rounds:
        for seed, image in styled:
            values = [measure(image, pick) for pick in picks]
            pairs += len(values)
            own.append(values[seed])
            others += values[:seed] + values[seed + 1 :]
            nearest += int(np.argmax(values)) == seed
    each = (time.perf_counter() - began) / pairs * 1000
    above = (np.array(own)[:, None] > np.array(others)[None]).mean()  # the area under the ROC curve
    share = f"{nearest} of {len(own)}"
    return f"{name:18} {share:>19} {above:19.3f} {np.mean(own):5.2f} {np.mean(others):8.2f} {each:11.1f}"


def _gray(image: Image.Image, side: int) -> np.ndarray:
    return np.asarray(image.convert("L").resize((side, side), Image.Resampling.BOX), dtype=np.float64)


def _ssim(one: Image.Image, other: Image.Image) -> float:
    return ssim(_gray(one, 64), _gray(other, 64))


def _edges(one: Image.Image, other: Image.Image) -> float:
    """Correlation of the strength of edges at 32 x 32."""
    a, b = (np.hypot(*np.gradient(_gray(image, 32))) for image in (one, other))
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _mask(one: Image.Image, other: Image.Image) -> float:
    """Intersection over union of what differs from the colour of the border, at 32 x 32."""
    a, b = (_foreground(image) for image in (one, other))
    return float((a & b).sum() / max(1, (a | b).sum()))


def _foreground(image: Image.Image) -> np.ndarray:
    rgb = np.asarray(image.resize((32, 32), Image.Resampling.BOX), dtype=np.float64)  # height, width, 3
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    distance = np.linalg.norm(rgb - np.median(border, axis=0), axis=2)
    return distance > max(20.0, distance.max() / 4)
