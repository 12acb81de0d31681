"""How far two pictures are apart: pixel by pixel, in numbers and as a picture, and in composition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline_utils.errors import InputError

_SIDE = 64  # pixels a picture is reduced to for resemblance, so that texture counts little and any two sizes meet
_SIGMA = 1.5  # pixels of a Gaussian window
# Of the way from another seed's resemblance to that of equal pictures; `bench resemblance` says what comes of them.
KEPT, DRIFTED = 0.2, 0.1
_USUAL = 0.4
_FLOOR = 4.0  # squared levels of 0 to 255: what varies less is flat


def l_inf(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two arrays of one shape."""
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


def differing_pixels(a: np.ndarray, b: np.ndarray) -> int:
    """How many pixels differ, the colours of a pixel counted once. a, b: [..., 3], uint8 or from 0 to 1."""
    a, b = (x if x.dtype == np.uint8 else (x * 255).round().astype(np.uint8) for x in (a, b))
    return int((a != b).any(axis=-1).sum())


@dataclass(frozen=True)
class Difference:
    """l_inf: largest difference of one colour value, 0 to 255. psnr: dB, inf when equal. ssim: 1 when equal.

    image: RGB, black where equal, and so bright that the largest difference is white.
    """

    l_inf: int
    differing_pixels: int
    pixels: int
    psnr: float
    ssim: float
    image: Image.Image


def compare(one: Image.Image, other: Image.Image) -> Difference:
    """Two RGB pictures of one size. Raises InputError when the sizes differ."""
    if one.size != other.size:
        raise InputError("picture", "{}x{}".format(*one.size), "{}x{} as the other".format(*other.size))
    a, b = (np.asarray(image.convert("RGB")) for image in (one, other))  # height, width, 3
    gap = np.abs(a.astype(np.float64) - b)
    error, most = float((gap**2).mean()), int(l_inf(a, b))
    return Difference(
        l_inf=most,
        differing_pixels=differing_pixels(a, b),
        pixels=one.width * one.height,
        psnr=float("inf") if error == 0 else float(10 * np.log10(255**2 / error)),
        ssim=ssim(_luminance(a), _luminance(b)),
        image=Image.fromarray((gap * (255 / max(most, 1))).round().astype(np.uint8)),
    )


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity of two (height, width) arrays of 0 to 255, at least 11 x 11.

    Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error visibility to structural
    similarity, IEEE Transactions on Image Processing 13 (2004): an 11 x 11 Gaussian window of 1.5
    pixels, K1 = 0.01, K2 = 0.03.
    """
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _windowed(a), _windowed(b)
    var_a = _windowed(a * a) - mean_a**2
    var_b = _windowed(b * b) - mean_b**2
    cov = _windowed(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def _windowed(values: np.ndarray) -> np.ndarray:
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    window /= window.sum()
    for axis in (0, 1):  # a Gaussian is the product of its rows and columns
        values = np.lib.stride_tricks.sliding_window_view(values, 11, axis) @ window
    return values


def _luminance(rgb: np.ndarray) -> np.ndarray:
    return rgb @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def resemblance(one: Image.Image, other: Image.Image) -> float:
    """0 to 1: how much of the outline, placement and layout is the same. 1 for equal pictures; symmetric.

    The structure term of SSIM on luminance at 64 x 64, where light and dark may change places, as a dark ground
    makes them; places where neither picture has structure weigh little. Colour, brightness and contrast alone do
    not lower it. Over 256 second-round pictures of the bundled model (8 prompts, 4 seeds, 8 suffixes) 256 are
    nearest to their own pick, where SSIM finds the pick of 220, edges that of 255 and a mask of the foreground
    that of 211. `python -m pipeline_utils.bench resemblance` prints it.
    """
    a, b = _reduced(one), _reduced(other)
    if np.array_equal(a, b):
        return 1.0
    mean_a, mean_b = _blurred(a), _blurred(b)
    var_a = np.maximum(_blurred(a * a) - mean_a**2, 0) + _FLOOR
    var_b = np.maximum(_blurred(b * b) - mean_b**2, 0) + _FLOOR
    shared = np.abs(_blurred(a * b) - mean_a * mean_b) + _FLOOR
    deviation = np.sqrt(var_a * var_b)
    weight = np.sqrt(deviation)
    return float(np.clip((shared / deviation * weight).sum() / weight.sum(), 0, 1))


def composition(alike: float, usual: float | None = None) -> str:
    """What became of a picture's composition, in a word or two.

    alike: resemblance of the two. usual: of the first to other seeds of its prompt, which is where "another picture"
    begins, whatever the prompt and the model; a middling value where none are here.
    """
    usual = _USUAL if usual is None else min(usual, 1 - 1e-6)
    share = (alike - usual) / (1 - usual)
    return "kept" if share >= KEPT else "drifted" if share >= DRIFTED else "another picture"


def percent(value: float) -> int:
    """`value` for people; 100 is kept for pictures that are equal."""
    return 100 if value == 1 else min(99, round(100 * value))


def _reduced(image: Image.Image) -> np.ndarray:
    # BOX, since it is quick and drops no pixel; [height, width]
    return np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64)


def _blurred(values: np.ndarray) -> np.ndarray:
    return _BLUR @ values @ _BLUR.T


def _gaussian() -> np.ndarray:
    """The matrix that blurs the columns of a picture; at the borders, by what is inside it."""
    at = np.arange(_SIDE)
    window = np.exp(-((at[:, None] - at[None]) ** 2) / (2 * _SIGMA**2))
    return window / window.sum(axis=1, keepdims=True)


_BLUR = _gaussian()
