"""Unfinished pictures for the page: tiny ones, as data, in a part of the page that nobody sees."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

_EXACT = 32  # pixels: up to here without loss, since lossy WebP halves the resolution of colours


def previews(pictures: np.ndarray, places: Sequence[int]) -> str:
    """Data for page_preview.js: `pictures`, uint8 [n, height, width, 3], are how these places look now."""
    return "".join(
        f'<i data-place="{place}" data-picture="{_data(pixels)}"></i>'
        for place, pixels in zip(places, pictures, strict=True)
    )


def _data(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=max(pixels.shape) <= _EXACT, quality=80, method=1)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
