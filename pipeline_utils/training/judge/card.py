"""The model card, from what was measured: card.md, filled in."""

from __future__ import annotations

from pathlib import Path

from ..data.looks import STYLES
from ..data.packages import LABELS, SETS
from ..data.scenes import DRAWS
from ..data.words import GROUNDS
from ..export import Defaults
from ..model.latents import Layout
from ..presets import Preset
from .evaluate import latents_lines, markdown, table

VERSION = 2
TEMPLATE = (Path(__file__).parent / "card.md").read_text("utf-8")
LINKS = {
    "MIT": "https://opensource.org/license/mit",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
}
SHEETS = {
    "things.webp": "Every thing under seeds 0 to 3, without a style.",
    "styles.webp": "Things by styles, each thing under one seed.",
    "rounds.webp": "Two rounds: four seeds of one prompt, then each seed with suffixes.",
    "rounds-night.webp": "The same with a named background.",
    "nearest-training.webp": "Memorisation: each generated picture, followed by the three drawings nearest to it.",
}


def card(
    preset: Preset, names: list[str], defaults: Defaults, report: dict | None, latents: dict | None, history: str
) -> str:
    """README.md of the model folder. ``report``, ``latents``: what was measured, as far as it was.

    ``history``: what was done for this copy, beyond one plain run.
    """
    measured = "Not measured yet."
    if report:
        measured = table(report)
    elif latents:
        measured = markdown(latents_lines(latents, defaults.num_inference_steps)) + "\n\nPictures were not judged yet."
    if report and report["weakest"]:
        measured += f"\n\nWeakest things by that judge: {', '.join(report['weakest'])}."
    sets = [f"| {s.package} {s.version} | {s.author} | [{s.licence}]({LINKS[s.licence]}) |" for s in (*SETS, LABELS)]
    return TEMPLATE.format(
        version=VERSION,
        side=preset.side,
        steps=defaults.num_inference_steps,
        guidance=defaults.guidance_scale,
        count=len(names),
        things=", ".join(names),
        styles=", ".join(f"`, {style}`" for style in STYLES[1:]),
        grounds=", ".join(ground.phrases[0] for ground in GROUNDS),
        longest=preset.text.length - 2,
        measured=measured,
        content=preset.content,
        carried=len(DRAWS),
        draws=", ".join(DRAWS),
        channels=Layout(preset.content).channels,
        text=preset.text,
        unet=preset.unet,
        decoder=preset.decoder,
        history=history,
        rows="\n".join(sets),
        pictures="\n\n".join(f"![{text}](../model-sheets/{name})\n\n{text}" for name, text in SHEETS.items()),
    )
