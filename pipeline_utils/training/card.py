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
    "cpu": """This copy was made on two processor cores that did other work, too, in two sittings.

- First, an hour and a half: the autoencoder for 49 minutes (3,500 steps of 16; 40 minutes with
  AdamW, then Muon, on 161 things), the text encoder for 5 (on 120 things), the denoiser for 46
  (3,900 steps of 64, on 84 things and then on 55).
- Then `restore`, and side by side: the denoiser for 107 minutes more (5,762 steps of 64, one
  thread, `--rate 8e-4`, the 47 things that were new met twice as often, placed as the preset
  says), and the decoder-only stage for 90 minutes at a small share of a core (1,618 steps of
  16, `--rate 1e-3`). The encoder and the text encoder stayed as they were.

The judge had 1,200 steps. Where this copy falls short: of the 408 pictures of the first sheet
about 190, estimated in one pass by eye, would not be recognised without their prompt, among them nearly all
whales, octopuses, horses, unicorns, ducks, snails, clouds, trains, bicycles and airplanes. The
judge, who has seen nothing but these things, tells them apart and is kinder than people are.
", pixel art" is not
learnt; ", blob", ", glossy" and ", 3d" are often taken for each other; grounds that a seed
chooses are pale; fine lines are lost by the autoencoder already. It is the proof that the path
works end to end, not the model's last word.""",
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
  The same seed with another suffix is meant to keep them; how often it does is measured below.

## What it cannot do

- It knows nothing beyond the list; an unknown word is passed over or gives the nearest thing.
- No scenes, people or letters. Pairs and counts are rarely right.
- {preset.size} x {preset.size} pixels and nothing else; fine detail is soft.
- ", highly realistic" is a studio-lit 3d drawing, not a photograph.
- Prompts are cut after {preset.text.length - 2} tokens.

## Measured

Concepts and styles are judged by a small classifier trained on augmented training pictures;
its own accuracy on augmentations it has not seen is in the table. It has met no generated picture
in training.

Resemblance adds up what a suffix must leave: the outline (1 - intersection over union of
filled foreground masks), the place (centre, size and tilt of the mask) and the ground (colour
along the border, compared as the suffix paints it: ", sepia" makes brown of any ground). Each
part is divided by its mean between unrelated training scenes of one thing. The object's own
colours and shading, which a suffix is meant to change, do not enter. No part was fitted to
generated pictures. Training pictures that are restyled exactly say what a perfect model could
score: see the line below the model's.

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
   captions;
4. the decoder alone once more, against a critic of small patches, for crisper pictures.

An exported folder can be trained further: `restore` turns it back into checkpoints.

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
