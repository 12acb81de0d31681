"""How far two pictures are apart, in numbers and as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline_utils.errors import InputError


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
    a, b = (np.asarray(image.convert("RGB"), dtype=np.float64) for image in (one, other))  # height, width, 3
    gap = np.abs(a - b)
    l_inf = int(gap.max())
    error = float((gap**2).mean())
    shown = (gap * (255 / max(l_inf, 1))).round().astype(np.uint8)
    return Difference(
        l_inf=l_inf,
        differing_pixels=int(gap.any(axis=2).sum()),
        pixels=one.width * one.height,
        psnr=float("inf") if error == 0 else float(10 * np.log10(255**2 / error)),
        ssim=ssim(_luminance(a), _luminance(b)),
        image=Image.fromarray(shown),
    )


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity of two (height, width) arrays of 0 to 255, at least 11 x 11.

    Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error visibility to structural
    similarity, IEEE Transactions on Image Processing 13 (2004): an 11 x 11 Gaussian window of 1.5
    pixels, K1 = 0.01, K2 = 0.03.
    """
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _blurred(a), _blurred(b)
    var_a = _blurred(a * a) - mean_a**2
    var_b = _blurred(b * b) - mean_b**2
    cov = _blurred(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def _blurred(values: np.ndarray) -> np.ndarray:
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    for axis in (0, 1):  # a Gaussian is the product of its rows and columns
        values = np.lib.stride_tricks.sliding_window_view(values, 11, axis) @ window
    return values


def _luminance(rgb: np.ndarray) -> np.ndarray:
    return rgb @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
