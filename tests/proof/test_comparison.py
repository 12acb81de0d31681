"""How two pictures differ: pixels, PSNR, SSIM."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline_utils.errors import InputError
from pipeline_utils.proof.comparison import compare, differing_pixels, l_inf, ssim


def noise(seed: int, size=(48, 64)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_equal_pictures_have_no_difference():
    found = compare(Image.fromarray(noise(0)), Image.fromarray(noise(0)))
    assert (found.l_inf, found.differing_pixels, found.pixels, found.psnr) == (0, 0, 48 * 64, float("inf"))
    assert found.ssim == pytest.approx(1)
    assert not np.asarray(found.image).any()


def test_one_changed_value_is_one_differing_pixel_and_is_bright_in_the_difference():
    a = noise(0)
    b = a.copy()
    b[5, 7, 1] ^= 4
    found = compare(Image.fromarray(a), Image.fromarray(b))
    assert (found.l_inf, found.differing_pixels) == (4, 1)
    shown = np.asarray(found.image)
    assert shown[5, 7, 1] == 255
    assert shown.sum() == 255


def test_psnr_is_as_defined():
    a = np.full((32, 32, 3), 100, np.uint8)
    assert compare(Image.fromarray(a), Image.fromarray(a + 5)).psnr == pytest.approx(10 * np.log10(255**2 / 25))


def test_ssim_falls_with_noise_and_ignores_small_brightness_changes():
    smooth = np.asarray(Image.fromarray(noise(1, (8, 8))).resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    rough = smooth + np.random.default_rng(2).normal(0, 25, smooth.shape)

    def against(other):
        return compare(Image.fromarray(smooth.astype(np.uint8)), Image.fromarray(other.clip(0, 255).astype(np.uint8)))

    assert against(smooth + 2).ssim > 0.98
    assert 0.2 < against(rough).ssim < 0.95
    assert against(255 - smooth).ssim < 0.2


def test_ssim_of_known_pictures_agrees_with_the_definition_computed_pixel_by_pixel():
    a, b = (noise(seed, (12, 13))[..., 0].astype(float) for seed in (3, 4))
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / 4.5)
    window /= window.sum()
    total = []
    for y in range(2):
        for x in range(3):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            total.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    assert ssim(a, b) == pytest.approx(np.mean(total))


def test_pictures_of_other_sizes_cannot_be_compared():
    with pytest.raises(InputError, match="16x16"):
        compare(Image.new("RGB", (16, 16)), Image.new("RGB", (32, 32)))


def test_gaps_and_differing_pixels_are_counted_as_said():
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0] = (1, 2, 0)
    b[1, 1, 2] = 7
    assert l_inf(a, b) == 7
    assert differing_pixels(a, b) == 2
    assert differing_pixels(np.full((1, 1, 3), 0.1), np.full((1, 1, 3), 0.1 + 1e-6)) == 0
