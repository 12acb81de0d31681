"""Everything that determines a training run, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class VaeShape:
    """AutoencoderKL: the number of widths fixes the reduction f = 2 ** (len - 1)."""

    widths: tuple[int, ...]
    layers: int
    latent_channels: int
    groups: int = 8


@dataclass(frozen=True)
class TextShape:
    """CLIPTextModel with a byte-pair vocabulary of its own."""

    vocabulary: int = 4096
    width: int = 256
    layers: int = 2
    heads: int = 4
    length: int = 48  # tokens; every prompt is padded to it, in training and in the pipeline


@dataclass(frozen=True)
class UnetShape:
    """UNet2DConditionModel; ``attention`` says which levels attend to the text."""

    widths: tuple[int, ...]
    attention: tuple[bool, ...]
    layers: int | tuple[int, ...] = 1  # of each level, or level by level
    head_width: int = 32
    groups: int = 16


@dataclass(frozen=True)
class Odds:
    """How often a training picture shows something, and how far its placement strays."""

    background_named: float = 0.5  # of the pictures, the share whose background is in the caption
    background_white: float = 0.35  # of unnamed backgrounds
    tint: float = 0.10
    company: float = 0.04  # pairs and counts
    placement_named: float = 0.15
    synonym: float = 0.25
    scale: tuple[float, float] = (0.55, 0.95)
    shift: float = 0.20  # of the picture's side, before the scale limits it
    tilt: float = 20.0  # degrees
    flip: float = 0.5
    # Few sizes and tilts, and places whole latents apart, each drawn pixel for pixel alike
    # wherever it stands, are soon learned; 0: any size, tilt and place.
    sizes: int = 0
    tilts: int = 0
    step: float = 0.0  # of the picture's side, from place to place
    favoured: tuple[int, ...] = ()  # concept ids met twice as often: newcomers to a trained model
    practice: dict[str, float] = field(default_factory=dict)  # style words met so many times as often


# The scenes from which latents, and the noise's directions, are found: they stay as they are when
# a preset's odds change, or trained weights would be of no use.
SURVEY = Odds(company=0.0, tint=0.05, placement_named=0.05, scale=(0.62, 0.95), shift=0.16, tilt=16.0)


@dataclass(frozen=True)
class Schedule:
    """One optimiser run: constant rate after a warm-up, then a decay over the last part."""

    batch: int
    rate: float
    warmup: int = 100
    decay: float = 0.3  # the share of the minutes over which the rate falls to 2 %
    weight_decay: float = 0.01
    muon: bool = True  # else AdamW for all parameters


@dataclass(frozen=True)
class Preset:
    """A whole run. ``concepts`` is ``everyday`` (curated) or ``all``."""

    name: str
    size: int
    concepts: str
    vae: VaeShape
    text: TextShape
    unet: UnetShape
    vae_run: Schedule
    text_run: Schedule
    unet_run: Schedule
    odds: Odds = field(default_factory=Odds)
    minutes: dict[str, float] = field(default_factory=dict)
    critic_from: int = 2000  # the autoencoder's steps before its critic: one of blurs teaches nothing
    ema: float = 0.999
    caption_dropout: float = 0.1
    seed: int = 20

    @property
    def source(self) -> int:
        """Side of the stored pictures: 1.5 times what is drawn, so that scaling stays crisp."""
        return self.size * 3 // 2

    @property
    def latent_size(self) -> int:
        return self.size // 2 ** (len(self.vae.widths) - 1)


PRESETS: dict[str, Preset] = {
    "cpu": Preset(
        name="cpu",
        size=64,
        concepts="everyday",
        vae=VaeShape(widths=(24, 48, 96, 96), layers=1, latent_channels=48),
        text=TextShape(),
        # The first level is narrow and cheap, and all detail passes through it: it is deep.
        unet=UnetShape(widths=(96, 160, 224), attention=(False, True, True), layers=(3, 1, 1)),
        vae_run=Schedule(batch=16, rate=2e-3, warmup=200),
        text_run=Schedule(batch=192, rate=1e-3, muon=False),
        unet_run=Schedule(batch=64, rate=1e-3, muon=False),
        # A CPU has few samples to spend: none go into company, few into colours.
        odds=Odds(
            company=0.0,
            tint=0.05,
            placement_named=0.05,
            scale=(0.78, 0.94),
            shift=0.2,
            tilt=13.0,
            sizes=2,
            tilts=3,
            step=1 / 8,
            # Styles that were the last to be told apart, and one that was soon known.
            practice={"sticker": 1.3, "glossy": 1.3, "line art": 1.5, "neon": 1.5, "pastel": 1.5, "pixel art": 0.6},
        ),
        minutes={"vae": 40, "text": 6, "unet": 60},
    ),
    "gpu": Preset(
        name="gpu",
        size=128,
        concepts="all",
        vae=VaeShape(widths=(32, 64, 96, 128, 128), layers=2, latent_channels=96),
        text=TextShape(vocabulary=6144, width=320, layers=4, heads=5),
        unet=UnetShape(widths=(128, 224, 288), attention=(True, True, True)),
        vae_run=Schedule(batch=256, rate=1e-3, warmup=300),
        text_run=Schedule(batch=2048, rate=1e-3, warmup=300, muon=False),
        unet_run=Schedule(batch=2048, rate=1e-3, warmup=500),
        odds=Odds(company=0.12, tint=0.12, scale=(0.45, 0.97), shift=0.22, tilt=25.0),
        minutes={"vae": 8, "text": 2, "unet": 18},
        ema=0.9995,
    ),
    "smoke": Preset(
        name="smoke",
        size=32,
        concepts="everyday",
        vae=VaeShape(widths=(8, 16, 16), layers=1, latent_channels=8),
        text=TextShape(vocabulary=600, width=32, layers=1, heads=2, length=24),
        unet=UnetShape(widths=(16, 32), attention=(True, True), head_width=8, groups=8),
        vae_run=Schedule(batch=4, rate=1e-3, warmup=2),
        text_run=Schedule(batch=8, rate=1e-3, warmup=2),
        unet_run=Schedule(batch=4, rate=1e-3, warmup=2),
        critic_from=1,
        minutes={"vae": 0.05, "text": 0.05, "unet": 0.05},
    ),
}
