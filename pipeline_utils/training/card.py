"""The model card, from what was measured."""

from __future__ import annotations

from .evaluate import table
from .export import Defaults
from .packages import LABELS, SETS
from .presets import Preset
from .words import BACKGROUNDS, LOOKS, STYLES, TINTS

LINKS = {
    "MIT": "https://opensource.org/license/mit",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
}
SHEETS = (
    ("concepts.webp", "Every concept under seeds 0 to 3, without a style word."),
    ("concepts-styles.webp", "Concepts by styles: one seed, every trained suffix."),
    ("rounds.webp", "Two rounds: four seeds of one prompt, then each seed with suffixes."),
    ("rounds-night.webp", "The same with a named background."),
    (
        "nearest-training.webp",
        "Memorisation: each generated picture, followed by the three training pictures that "
        "are nearest after both are cut to the object.",
    ),
)


# What was done for the copy in the repository, as far as it differs from one plain run.
HISTORY = {
    "cpu": """This copy was trained in one and a half hours on two processor cores that did other work,
too: the autoencoder for 49 minutes (3,500 steps of 16; the first 40 minutes with AdamW, then
Muon, on a wider list of 161 things), the text encoder for 5 (on 120 things), the denoiser for
46 (3,900 steps of 64; the first 1,850 on 84 things with wider placement, then on those
listed, placed as the preset says). The decoder-only stage was left out. The judge was
trained on 84 things, cut to those listed and tuned for 350 steps more, before any generated
picture was judged. It is the
proof that the path works end to end, not the model's last word.""",
    "gpu": "One run of the preset on one GPU.",
    "smoke": "A rehearsal: these weights know nothing.",
}


def card(preset: Preset, names: list[str], defaults: Defaults, report: dict | None) -> str:
    """README.md of the model folder."""
    rows = "\n".join(
        f"| {s.package} {s.version} | {s.style} | {s.author} | [{s.licence}]({LINKS[s.licence]}) |" for s in SETS
    )
    styles = ", ".join(f"`, {s.word}`" for s in STYLES[1:])
    measured = table(report) if report else "Not measured yet."
    weakest = ""
    if report and report["weakest concepts"]:
        weakest = f"\n\nWeakest concepts by that judge: {', '.join(report['weakest concepts'])}."
    pictures = "\n\n".join(f"![{text}](../model-sheets/{name})\n\n{text}" for name, text in SHEETS)
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---

# emoji-sd

A small text-to-image model, trained from scratch on openly licensed emoji drawings: a plain
`StableDiffusionPipeline` of {preset.size} x {preset.size} pixels that runs on any laptop's
processor. It exists so that Second Round is of use in its first minute and so that
everything the app promises can be shown on a real model.

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
- Styles, as suffixes: {styles}. Without one the seed chooses the design.
- Backgrounds: {", ".join(b[1][0] for b in BACKGROUNDS)}.
- Colours of the thing: {", ".join(t for t, _ in TINTS)} ("a blue apple"), sizes ("a small dog").
- The seed decides placement, scale, tilt, direction, and the background where none is named.
  The same seed with another suffix keeps them.

## What it cannot do

- It knows nothing beyond the list; an unknown word is passed over or gives the nearest thing.
- No scenes, people or letters. Pairs and counts are rarely right.
- {preset.size} x {preset.size} pixels and nothing else; fine detail is soft.
- ", highly realistic" is a studio-lit 3d drawing, not a photograph.
- Prompts are cut after {preset.text.length - 2} tokens.

## Measured

Concepts and styles are judged by a small classifier trained on augmented real pictures; its
own accuracy on augmentations it has not seen is in the table. Resemblance uses the
distance of filled foreground masks (1 - intersection over union at 32 x 32): a suffix is
meant to change colour, shading and texture, so these must not enter, while placement,
scale, tilt and outline must. Goals that are not reached are goals for a longer training:
", flat", ", blob", ", glossy", ", silhouette" and ", pixel art" are hardly told apart yet.

{measured}{weakest}

## How it was made

`python -m pipeline_utils.training all --preset {preset.name}` fetches the sets, renders them
with transparency, and trains in turn:

1. an `AutoencoderKL` (f = {2 ** (len(preset.vae.widths) - 1)}, {preset.vae.latent_channels}
   latent channels, widths {preset.vae.widths});
2. a byte-pair tokenizer and a `CLIPTextModel` (width {preset.text.width},
   {preset.text.layers} layers) that learns what captions show and, from a text-similarity
   model, what words mean;
3. a `UNet2DConditionModel` (widths {preset.unet.widths}) on velocity with zero terminal SNR,
   trailing timesteps, averaged weights and {100 * preset.caption_dropout:.0f} % dropped
   captions.

Pictures are drawn anew all the time: background, placement, scale, tilt and direction at
random, the background named in the caption {100 * preset.odds.background_named:.0f} % of the
time; {len(LOOKS) - 1} looks are made by image processing.

{HISTORY[preset.name]}

## Data and attribution

| set | look | author | licence |
|---|---|---|---|
{rows}
| {LABELS.package} {LABELS.version} | names, key words | {LABELS.author} | [{LABELS.licence}]({LINKS[LABELS.licence]}) |

Sets under share-alike terms were left out. The drawings were rendered, recoloured, placed
and filtered for training. Pictures of this model can resemble single drawings closely (see
the last sheet): keep this attribution when you publish them.

## Sheets

{pictures}
"""
