"""Everything that determines a training run, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from .data.scenes import CELLS, Odds

ODDS = Odds()


@dataclass(frozen=True)
class TextShape:
    """CLIPTextModel with a byte-pair vocabulary of its own."""

    vocabulary: int = 6144
    width: int = 256
    layers: int = 2
    heads: int = 4
    length: int = 32  # tokens; every prompt is padded to it, in training and in the pipeline


@dataclass(frozen=True)
class UnetShape:
    """UNet2DConditionModel; ``attention`` says which levels attend to the text."""

    widths: tuple[int, ...] = (128, 192, 224)
    layers: tuple[int, ...] = (2, 1, 1)
    attention: tuple[bool, ...] = (False, True, True)
    head_width: int = 32
    groups: int = 16


@dataclass(frozen=True)
class DecoderShape:
    """The decoder of an AutoencoderKL, the widths from pixels to latents."""

    widths: tuple[int, ...] = (16, 32, 64, 128, 192)
    groups: int = 8


@dataclass(frozen=True)
class Level:
    """One stretch of the decoder's training: up to which of its blocks, for how many samples."""

    block: int
    samples: int
    batch: int
    rate: float


@dataclass(frozen=True)
class Run:
    """One optimiser run, counted in samples: a machine may stop and go on at any time.

    The rate is constant after a warm-up and falls to 2 % over the last ``fall`` of the samples.
    """

    samples: int
    batch: int
    rate: float
    fall: float = 0.3
    warmup: int = 100  # steps
    ema: float = 0.998
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Preset:
    """A whole run. ``things``: how many of the list; ``content``: principal components of a cell."""

    name: str
    things: int
    side: int = 128
    content: int = 40
    text: TextShape = TextShape()
    unet: UnetShape = UnetShape()
    decoder: DecoderShape = DecoderShape()
    odds: Odds = ODDS
    unet_run: Run = Run(samples=3_000_000, batch=160, rate=1.2e-3)
    decoder_run: tuple[Level, ...] = (
        Level(block=0, samples=24_000, batch=32, rate=2.0e-3),
        Level(block=1, samples=16_000, batch=24, rate=1.6e-3),
        Level(block=2, samples=14_000, batch=16, rate=1.4e-3),
        Level(block=4, samples=600_000, batch=12, rate=1.0e-3),
    )
    pool: int = 4096  # painted pictures at hand for the decoder, renewed bit by bit
    judge_steps: int = 3000
    seed: int = 20

    @property
    def cell(self) -> int:
        """Pixels of a picture's side that one latent position stands for."""
        return self.side // CELLS


PRESETS: dict[str, Preset] = {
    "few": Preset("few", things=24, unet_run=Run(samples=300_000, batch=160, rate=1.2e-3)),
    "some": Preset("some", things=100, unet_run=Run(samples=1_200_000, batch=160, rate=1.2e-3)),
    "all": Preset("all", things=240, unet_run=Run(samples=3_000_000, batch=160, rate=1.2e-3)),
}
