"""The model card, from what was measured."""

from __future__ import annotations

from ..data.looks import STYLES
from ..data.packages import LABELS, SETS
from ..data.scenes import DRAWS
from ..data.words import GROUNDS
from ..export import Defaults
from ..model.latents import Layout
from ..presets import Preset
from .evaluate import table

VERSION = 2
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


def card(preset: Preset, names: list[str], defaults: Defaults, report: dict | None, history: str) -> str:
    """README.md of the model folder. ``history``: what was done for this copy, beyond one plain run."""
    rows = "\n".join(f"| {s.package} {s.version} | {s.author} | [{s.licence}]({LINKS[s.licence]}) |" for s in SETS)
    layout = Layout(preset.content)
    measured = table(report) if report else "Not measured yet."
    if report and report["weakest"]:
        measured += f"\n\nWeakest things by that judge: {', '.join(report['weakest'])}."
    pictures = "\n\n".join(f"![{text}](../model-sheets/{name})\n\n{text}" for name, text in SHEETS.items())
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---

# emoji-sd {VERSION}

A small text-to-image model, trained from scratch on openly licensed emoji drawings: a plain
`StableDiffusionPipeline` of {preset.side} x {preset.side} pixels that runs on any laptop's processor. It
exists so that Second Round is of use in its first minute and so that everything the app promises can be
shown on a real model.

```python
import torch
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("assets/emoji-sd", dtype=torch.float32, use_safetensors=True)
seeds = [0, 1, 2, 3]
pictures = pipe(
    ["a dog, line art"] * 4,
    generator=[torch.Generator("cpu").manual_seed(s) for s in seeds],
    num_inference_steps={defaults.num_inference_steps},
    guidance_scale={defaults.guidance_scale},
).images
```

## What it can do

- {len(names)} things: {", ".join(names)}; and other words for them.
- Styles, as suffixes: {", ".join(f"`, {style}`" for style in STYLES[1:])}.
- Backgrounds: {", ".join(ground.phrases[0] for ground in GROUNDS)}.
- The seed decides the design, the size, the place, the direction and, where none is named, the
  background. It decides alike under every style.

## What it cannot do

- It knows nothing beyond the list; an unknown word is passed over or gives the nearest thing.
- No scenes, people, letters, pairs or counts; no colours of a thing; {preset.side} x {preset.side} pixels and
  nothing else. A picture to begin from means nothing to it.
- It predicts latents, not noise, in few steps: ancestral samplers lose the seed's composition.
- ", highly realistic" is a studio-lit drawing, not a photograph.
- Prompts are cut after {preset.text.length - 2} tokens.

## Measured

Errors are shares of the variance of the latents, and what is right is read from them. Things and styles
are judged by a small classifier trained on real drawings in all styles, that has met no generated picture;
it is kinder than people are.

{measured}

## How it was made

`python -m pipeline_utils.training all` fetches the sets, renders them with transparency, and trains:

1. latents with meanings: {preset.content} principal components of the drawing, centred; the ground's colour; a
   code of the style; the place; fixed coordinates; and {len(DRAWS)} channels in which the noise carries what the
   seed decides ({", ".join(DRAWS)}), {layout.channels} in all;
2. a byte-pair tokenizer and a `CLIPTextModel` (width {preset.text.width}, {preset.text.layers} layers);
3. a `UNet2DConditionModel` (widths {preset.unet.widths}) that predicts the latents themselves, on states
   that a sampler reaches by the model's own guesses;
4. the decoder of an `AutoencoderKL` (widths {preset.decoder.widths}) that paints style and ground and moves
   the drawing to its place.

{history}

## Data and attribution

| set | author | licence |
|---|---|---|
{rows}
| {LABELS.package} {LABELS.version} (names, key words) | {LABELS.author} | [{LABELS.licence}]({LINKS[LABELS.licence]}) |

Sets under share-alike terms were left out. The drawings were rendered, recoloured, placed and filtered
for training. Pictures of this model can resemble single drawings closely (see the last sheet): keep this
attribution when you publish them.

## Sheets

{pictures}
"""
