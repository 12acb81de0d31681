"""The model card, from what was measured."""

from __future__ import annotations

from .coupling import VARIABLES
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
    "cpu": """This copy was made on two processor cores in four sittings, each of which kept of the
earlier ones what fitted:

- the tokenizer and the text encoder, trained for 5 minutes in the first sitting (on 120 things);
- the denoiser's inner weights, from 9,700 steps of 64 on latents of an autoencoder that had learned
  its own (PSNR 26 dB; a third of all style words could not be told from what it rebuilt). The first
  and the last layer were carried over by least squares. Then 900 steps with components evened out by
  0.6 instead of 0.3, and 8,000 steps in 95 minutes on the present latents, the first 1,700 with
  timesteps drawn evenly, the first 3,900 with any size, tilt and place. Then its first level got two
  more layers each way, which began as identities, and 700 steps followed with directions of the noise
  in all their detail, and 7,800 steps in 92 minutes as the preset says: broad directions, the reader,
  the two larger sizes (the first 1,100 with a smaller third one), the last 2,500 at a falling rate;
- the autoencoder's weights, carried over likewise, then 3,000 steps of 16 in 34 minutes, the first
  1,300 on the more strongly evened components.

Where this copy falls short: about a quarter of the things, judged in one pass over the first sheet
by eye, would not be recognised without their prompt (whales, horses, unicorns, sharks, snakes, snails,
elephants, trains, airplanes, helicopters, keys, pizzas among them; candles and ice cream can come out
nearly empty). Edges are soft and grainy. ", glossy", ", pastel", ", line art", ", blob" and ", silhouette"
are the styles most often taken for another. ", neon", ", trending", ", watercolor", ", pastel" and
", sepia" overpaint the ground that they should keep, which costs them most of their resemblance. At
guidance 3 resemblance is 81 % and style 77 %, but shapes are softer. The denoiser was still learning
when it was stopped. The judge knows nothing but these things and is kinder than people are.""",
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
    side = 2 ** (len(preset.vae.widths) - 1)
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
- The seed decides placement, scale, tilt, direction, and the design and the background where
  none is named, and it decides alike under every suffix: see "One seed, one composition".

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

1. the latents are fixed: the {preset.vae.latent_channels} principal components of
   {side} x {side} pixels, evened out a little;
2. an `AutoencoderKL` (f = {side}, widths {preset.vae.widths}) whose halves follow them, the
   decoder against a critic of small patches, for crisp pictures;
3. a byte-pair tokenizer and a `CLIPTextModel` (width {preset.text.width},
   {preset.text.layers} layers) that learns what captions show and, from a text-similarity
   model, what words mean;
4. a `UNet2DConditionModel` (widths {preset.unet.widths}, layers {preset.unet.layers}) on velocity
   with zero terminal SNR, trailing timesteps, averaged weights and
   {100 * preset.caption_dropout:.0f} % dropped captions.

An exported folder can be trained further: `restore` turns it back into checkpoints.

Pictures are drawn anew all the time: background, placement, scale, tilt and direction at
random, the background named in the caption {100 * preset.odds.background_named:.0f} % of the
time; {len(LOOKS) - 1} looks are made by image processing.

### One seed, one composition

Noise and training picture are not drawn apart. What a caption leaves open ({", ".join(VARIABLES[:6])}
and the ground's colour) is a function of {len(VARIABLES)} fixed projections of the noise, each of
them standard normal, so that the noise as a whole stays white: a coupling of noise and data, as in
stochastic interpolants. The projections are broad strokes of the noise, and in training a linear
reader on the denoiser's innermost level asks for them: without it some were never noticed. One seed
is thereby one composition, with any suffix. Samplers that follow
the learned velocity without noise of their own (DDIM, Euler, DPM++ 2M) keep it; ancestral ones
lose some of it. A size or a tilt that the prompt names wins over the seed's.

### This copy

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
