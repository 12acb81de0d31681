"""Measure a pipeline folder: the table of the model card."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from .augment import paint, sample_scenes
from .composition import compose_of, distance
from .judge import train_judge
from .meanings import Meanings
from .presets import Preset
from .render import Pictures
from .resemblance import nearest_is_own, real_rounds
from .runtime import Place
from .sampling import make_pictures
from .words import STYLES

SUFFIXES = [f", {style.word}" for style in STYLES[1:]]


@dataclass(frozen=True)
class Extent:
    """How much is generated. A CPU measures fewer pictures than a GPU; the table says so."""

    concepts: int | None = None  # None: all of them
    seeds: int = 4
    rounds: int = 6  # prompts taken through both rounds, with every suffix
    words: int = 1  # held-out words of a concept
    judge_steps: int = 3000


def load_pipeline(folder: Path) -> DiffusionPipeline:
    pipe = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def spread(n: int, total: int) -> list[int]:
    """n places out of total, evenly spread and the same every time."""
    return [i * total // n for i in range(min(n, total))]


@torch.no_grad()
def reconstruction(pipe, preset: Preset, pictures: Pictures, n: int = 256) -> dict[str, float]:
    """PSNR in dB of pictures that pass through the autoencoder, and their mean L1."""
    generator = torch.Generator().manual_seed(preset.seed + 11)
    scenes = sample_scenes(n, pictures.table.cpu(), preset.odds, generator)
    real = paint(scenes, pictures, preset.size).cpu()
    rebuilt = torch.cat([pipe.vae.decode(pipe.vae.encode(x).latent_dist.mode()).sample for x in real.split(32)]).clamp(
        -1, 1
    )
    error = ((rebuilt - real) / 2).square().mean((1, 2, 3))
    return {
        "PSNR, mean over pictures (dB)": (-10 * error.log10()).mean().item(),
        "L1 on [-1, 1]": (rebuilt - real).abs().mean().item(),
    }


@torch.no_grad()
def judged(judge, made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Concept ranking [n, 5] and style [n] of pictures in [0, 1]."""
    logits = [judge(part * 2 - 1) for part in made.split(64)]
    concept = torch.cat([c for c, _ in logits])
    style = torch.cat([s for _, s in logits])
    return concept.topk(min(5, concept.shape[1])).indices, style[:, 1:].argmax(1) + 1


def rounds(pipe, judge, names: list[str], seeds: int, steps: int, guidance: float) -> dict:
    """First rounds, then every picture of theirs as the pick of a second round."""
    prompts = [article(name) for name in names]
    first = make_pictures(
        pipe,
        [p for p in prompts for _ in range(seeds)],
        list(range(seeds)) * len(prompts),
        steps,
        guidance,
    )
    seen = compose_of(first)
    picks = [slice(i, i + seeds) for i in range(0, len(first), seeds)]
    off_diagonal = ~torch.eye(seeds, dtype=torch.bool)
    apart = [distance(seen[pick], seen[pick])[off_diagonal] for pick in picks]
    colours = first.unflatten(0, (len(prompts), seeds))
    rms = (colours[:, :, None] - colours[:, None]).square().mean((-3, -2, -1)).sqrt()

    nearer, right, kept = {}, {}, []
    for style, suffix in enumerate(SUFFIXES, 1):
        second = make_pictures(
            pipe,
            [p + suffix for p in prompts for _ in range(seeds)],
            list(range(seeds)) * len(prompts),
            steps,
            guidance,
        )
        again = compose_of(second)
        own = torch.cat([nearest_is_own(again[pick], seen[pick], style) for pick in picks])
        nearer[suffix] = own.float().mean().item()
        kept += [distance(again[pick], seen[pick], style).diagonal().mean().item() for pick in picks]
        right[suffix] = (judged(judge, second)[1] == style).float().mean().item()
    return {
        "resemblance": sum(nearer.values()) / len(nearer),
        "resemblance by suffix": nearer,
        "style": sum(right.values()) / len(right),
        "style by suffix": right,
        "distance between seeds": torch.cat(apart).mean().item(),
        "distance pick to second round": sum(kept) / len(kept),
        "pixel RMS between seeds": rms[:, off_diagonal].mean().item(),
    }


def round_seconds(pipe, steps: int, guidance: float, lanes: int = 4) -> float:
    """Seconds of a four-picture round: the best of five after a warm-up."""
    took = []
    for _ in range(6):
        start = time.perf_counter()
        make_pictures(pipe, ["a dog"] * lanes, list(range(lanes)), steps, guidance)
        took.append(time.perf_counter() - start)
    return min(took[1:])


def evaluate(
    folder: Path,
    preset: Preset,
    pictures: Pictures,
    meanings: Meanings,
    work: Path,
    place: Place,
    extent: Extent,
) -> dict:
    """Everything the model card states, as a dictionary."""
    pipe = load_pipeline(folder)
    defaults = json.loads((folder / "second_round.json").read_text())
    steps, guidance = defaults["num_inference_steps"], defaults["guidance_scale"]
    names = pictures.names
    report: dict = {"steps": steps, "guidance": guidance, "concepts known": len(names)}
    report["round seconds"] = round_seconds(pipe, steps, guidance)
    report["megabytes"] = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    report["vae"] = reconstruction(pipe, preset, pictures)
    judge, report["judge"] = train_judge(preset, pictures, work / "judge.pt", place, extent.judge_steps)

    # Concepts: the plain prompt, every concept, several seeds.
    chosen = spread(extent.concepts or len(names), len(names))
    rows = [row for row in chosen for _ in range(extent.seeds)]
    seeds = list(range(extent.seeds)) * len(chosen)
    made = make_pictures(pipe, [article(names[r]) for r in rows], seeds, steps, guidance)
    torch.save((made * 255).round().byte(), work / "made.pt")  # the sheets show them, too
    top, _ = judged(judge, made)
    hits = top == torch.tensor(rows)[:, None]
    report["concept"] = {
        "pictures": len(rows),
        "top-1": hits[:, 0].float().mean().item(),
        "top-5": hits.any(1).float().mean().item(),
    }
    per = hits.any(1).float().unflatten(0, (len(chosen), extent.seeds)).mean(1)
    report["weakest concepts"] = [names[chosen[i]] for i in per.argsort()[:15].tolist() if per[i] < 1]

    # Synonyms: words no caption ever had.
    asked = [(r, w) for r in range(len(names)) for w in meanings.held_out[r][: extent.words]]
    made = make_pictures(pipe, [article(w) for _, w in asked], [i % 4 for i in range(len(asked))], steps, guidance)
    hits = judged(judge, made)[0] == torch.tensor([r for r, _ in asked])[:, None]
    report["synonyms"] = {
        "pictures": len(asked),
        "top-1": hits[:, 0].float().mean().item(),
        "top-5": hits.any(1).float().mean().item(),
    }

    # Rounds: style, resemblance, diversity.
    through = [names[i] for i in spread(extent.rounds, len(names))]
    report["rounds"] = rounds(pipe, judge, through, extent.seeds, steps, guidance)
    report["rounds"]["prompts"] = through
    report["resemblance of real pictures"] = real_rounds(preset, pictures)
    return report


def table(report: dict) -> str:
    """The report as a Markdown table."""
    share = lambda x: f"{100 * x:.1f} %"  # noqa: E731
    judge, concept, words, both = (report[k] for k in ("judge", "concept", "synonyms", "rounds"))
    n = len(both["prompts"])
    lines = [
        ("autoencoder, PSNR of reconstructions", f"{report['vae']['PSNR, mean over pictures (dB)']:.1f} dB", ""),
        ("judge on unseen augmentations of real pictures: concept top-1 / top-5",
         f"{share(judge['concept top-1'])} / {share(judge['concept top-5'])}", ""),
        ("judge on unseen augmentations of real pictures: style", share(judge["style"]), ""),
        (f"concept top-5 ({concept['pictures']} generated pictures)", share(concept["top-5"]), "85 %"),
        ("concept top-1", share(concept["top-1"]), ""),
        (f"held-out words, concept top-5 ({words['pictures']} pictures)", share(words["top-5"]), ""),
        ("held-out words, concept top-1", share(words["top-1"]), ""),
        (f"style ({n} prompts x 4 seeds x {len(SUFFIXES)} suffixes)", share(both["style"]), "95 %"),
        ("resemblance: a second-round picture is nearest to its own pick of four",
         share(both["resemblance"]), "90 %"),
        ("the same for real pictures: another look / another set that draws alike / any other set",
         " / ".join(share(report["resemblance of real pictures"][k]) for k in ("looks", "alike", "others")), ""),
        ("mean distance between seeds (0 same, 1 as between unrelated real scenes)",
         f"{both['distance between seeds']:.2f}", ""),
        ("mean distance of a second-round picture to its pick",
         f"{both['distance pick to second round']:.2f}", ""),
        ("mean pixel RMS between seeds (on [0, 1])", f"{both['pixel RMS between seeds']:.2f}", ""),
        (f"a four-picture round at {report['steps']} steps, best of five, fp32, one CPU thread",
         f"{report['round seconds']:.1f} s", "3 s"),
        ("size of the folder", f"{report['megabytes']:.0f} MB", "64 MB"),
    ]  # fmt: skip
    head = "| measure | result | goal |\n|---|---|---|\n"
    return head + "\n".join(f"| {a} | {b} | {c} |" for a, b, c in lines)
