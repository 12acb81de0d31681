"""Measure a pipeline folder: the table of the model card."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ..data.looks import STYLES
from ..data.meanings import Meanings
from ..data.scenes import Stage
from ..data.words import with_article
from ..export import load_pipeline, make_pictures
from ..presets import Preset
from ..train.runs import Workers
from .judge import distance, judged, ruler, train_judge

SUFFIXES = [f", {style}" for style in STYLES[1:]]


@dataclass(frozen=True)
class Extent:
    """How much is generated."""

    seeds: int = 4
    rounds: int = 6  # prompts taken through both rounds, with every suffix
    real: int = 200  # real pictures that the judge is tried on


def spread(n: int, total: int) -> list[int]:
    """n places out of total, evenly spread and the same every time."""
    return [i * total // n for i in range(min(n, total))]


def evaluate(
    folder: Path,
    preset: Preset,
    stage: Stage,
    meanings: Meanings,
    latents: dict[int, dict[str, float]],
    path: Path,
    workers: Workers,
    extent: Extent,
) -> tuple[dict, torch.Tensor]:
    """The report, and the pictures of every thing under the first seeds [things * seeds, 3, s, s].

    ``latents``: what was measured on the denoiser itself; ``path``: of the judge.
    """
    pipe, own = load_pipeline(folder), json.loads((folder / "second_round.json").read_text())
    steps, guidance = own["num_inference_steps"], own["guidance_scale"]
    make = lambda prompts, seeds: make_pictures(pipe, prompts, seeds, steps, guidance)  # noqa: E731
    names, generator = stage.drawings.names, torch.Generator().manual_seed(preset.seed + 8)
    judge = train_judge(preset, stage, path, workers)
    unit = ruler(judge, stage, generator)
    report: dict = {"steps": steps, "guidance": guidance, "latents": {str(k): v for k, v in latents.items()}}

    # 1. The judge itself, on real pictures.
    real = stage.random(extent.real, preset.odds, generator)
    things, looks, _ = judged(judge, stage.paint(real))
    report["judge"] = {
        "top-1": (things[:, 0] == real.thing).float().mean().item(),
        "style": (looks == real.look).float().mean().item(),
    }

    # 2. Every thing, plain, under the first seeds.
    thing = torch.arange(len(names)).repeat_interleave(extent.seeds)
    made = make([with_article(names[i]) for i in thing.tolist()], list(range(extent.seeds)) * len(names))
    top, _, seen = judged(judge, made)
    hits = top == thing[:, None]
    report["things"] = {
        "pictures": len(made),
        "top-1": hits[:, 0].float().mean().item(),
        "top-5": hits.any(1).float().mean().item(),
    }
    each = hits[:, 0].float().view(-1, extent.seeds).mean(1)
    report["weakest"] = [names[i] for i in each.argsort()[:15].tolist() if each[i] < 1]
    others = ~torch.eye(extent.seeds, dtype=torch.bool)
    picks = seen.split(extent.seeds)
    report["distance between seeds"] = torch.cat([distance(p, p, unit)[others] for p in picks]).mean().item()

    # 3. Words that no caption ever had.
    asked = [(row, words[0]) for row, words in enumerate(meanings.held_out) if words]
    if asked:
        again = make([with_article(word) for _, word in asked], [i % extent.seeds for i in range(len(asked))])
        hits = judged(judge, again)[0] == torch.tensor([row for row, _ in asked])[:, None]
        report["held-out words"] = {"pictures": len(asked), "top-5": hits.any(1).float().mean().item()}

    # 4. Second rounds: style, and whether a picture is nearest to its own pick.
    through = spread(extent.rounds, len(names))
    right, own_pick = {}, {}
    for number, suffix in enumerate(SUFFIXES, 1):
        prompts = [with_article(names[i]) + suffix for i in through for _ in range(extent.seeds)]
        _, looks, second = judged(judge, make(prompts, list(range(extent.seeds)) * len(through)))
        right[suffix] = (looks == number).float().mean().item()
        groups = second.split(extent.seeds)
        nearest = [distance(g, picks[i], unit).argmin(1) for g, i in zip(groups, through, strict=True)]
        own_pick[suffix] = (torch.stack(nearest) == torch.arange(extent.seeds)).float().mean().item()
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    report["rounds"] = {"prompts": len(through), "style": mean(right.values()), "resemblance": mean(own_pick.values())}
    report["by style"] = {suffix: [right[suffix], own_pick[suffix]] for suffix in SUFFIXES}

    # 5. Time and size.
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        make([with_article(names[0])] * 4, [0, 1, 2, 3])
        seconds.append(time.perf_counter() - start)
    report["round seconds"] = min(seconds)
    report["megabytes"] = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    return report, made


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


def latents_lines(latents: dict[str, dict[str, float]], steps: int) -> list[tuple[str, str, str]]:
    """What was measured on the denoiser: measure, result, goal."""
    first, last = latents["1"], latents[str(steps)]
    rights = (("place right", "95 %"), ("direction right", "97 %"), ("design right", "97 %"))
    return [
        ("error of the shape at t = 999, in shares of the variance", f"{first['error of the shape']:.3f}", "0.12"),
        (f"error of the ground, {steps} steps", f"{last['error of the ground']:.3f}", "0.1"),
        ("mirror margin", f"{last['mirror margin']:.3f}", ""),
        *((f"{name}, {steps} steps", share(last[name]), goal) for name, goal in rights),
    ]


def table(report: dict) -> str:
    """The report as a Markdown table."""
    lines = [
        *latents_lines(report["latents"], report["steps"]),
        ("judge on real pictures: thing / style",
         f"{share(report['judge']['top-1'])} / {share(report['judge']['style'])}", ""),
        (f"thing, top-1 / top-5 ({report['things']['pictures']} pictures)",
         f"{share(report['things']['top-1'])} / {share(report['things']['top-5'])}", "- / 97 %"),
        ("style", share(report["rounds"]["style"]), "95 %"),
        ("resemblance: a second-round picture is nearest to its own pick of four",
         share(report["rounds"]["resemblance"]), "92 %"),
        ("distance between seeds (0 same, 1 as between unrelated real scenes)",
         f"{report['distance between seeds']:.2f}", "0.8"),
        (f"a round of four at {report['steps']} steps", f"{report['round seconds']:.1f} s", ""),
        ("size of the folder", f"{report['megabytes']:.0f} MB", "64 MB"),
    ]  # fmt: skip
    if words := report.get("held-out words"):
        lines.insert(8, (f"held-out words, top-5 ({words['pictures']} pictures)", share(words["top-5"]), "85 %"))
    return markdown(lines)


def markdown(lines: list[tuple[str, str, str]]) -> str:
    head = "| measure | result | goal |\n|---|---|---|\n"
    return head + "\n".join(f"| {a} | {b} | {c} |" for a, b, c in lines)
