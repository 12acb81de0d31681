"""The number under a tile: high where the composition stayed, whatever became of the colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from pipeline_utils.bench.__main__ import main
from pipeline_utils.proof.comparison import composition, percent, resemblance


def scene(offset: int = 0, side: int = 128, width: int | None = None) -> Image.Image:
    """A house, a sun and a hill; `offset` moves them."""
    image = Image.new("RGB", (width or side, side), (225, 235, 245))
    draw, u = ImageDraw.Draw(image), side / 128
    draw.ellipse([u * (80 + offset), u * 10, u * (110 + offset), u * 40], fill=(250, 200, 40))
    draw.rectangle([u * (20 + offset), u * 60, u * (70 + offset), u * 100], fill=(170, 60, 50))
    draw.polygon(
        [(u * (15 + offset), u * 60), (u * (75 + offset), u * 60), (u * (45 + offset), u * 30)], fill=(70, 60, 60)
    )
    draw.rectangle([0, u * 100, width or side, side], fill=(90, 150, 80))
    return image


def recoloured(image: Image.Image) -> Image.Image:
    red, green, blue = image.split()
    return Image.merge("RGB", (green, red, ImageEnhance.Brightness(blue).enhance(0.6)))


KEPT = {
    "recoloured": recoloured,
    "sepia": lambda image: ImageOps.colorize(image.convert("L"), (40, 25, 10), (255, 240, 210)),
    "negative": ImageOps.invert,
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "paler": lambda image: ImageEnhance.Contrast(image).enhance(0.5),
    "softer": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
}
BROKEN = {
    "moved": lambda _: scene(30),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "blank": lambda image: Image.new("RGB", image.size, (200, 200, 200)),
    "noise": lambda image: Image.effect_noise(image.size, 80).convert("RGB"),
}


@pytest.mark.parametrize("change", KEPT)
def test_what_keeps_the_composition_stays_alike(change):
    assert resemblance(scene(), KEPT[change](scene())) > 0.75


@pytest.mark.parametrize("change", BROKEN)
def test_what_breaks_the_composition_does_not(change):
    assert resemblance(scene(), BROKEN[change](scene())) < 0.6


def test_in_words_a_composition_is_kept_or_not_beside_other_seeds_of_its_prompt():
    """A score means little alone: where seeds differ much, half of it is much, and where they hardly do, little."""
    assert composition(1.0, 0.2) == composition(0.6, 0.2) == "kept"
    assert composition(0.35, 0.2) == "drifted"
    assert composition(0.2, 0.2) == composition(0.05, 0.2) == "another picture"
    assert composition(0.6, 0.7) == "another picture"
    assert composition(1.0, 1.0) == "kept"
    assert composition(resemblance(scene(), recoloured(scene()))) == "kept"
    assert composition(resemblance(scene(), ImageOps.mirror(scene())), resemblance(scene(), scene(30))) != "kept"


def test_equal_pictures_are_alike_in_full_and_a_speck_is_enough_for_less():
    assert resemblance(scene(), scene()) == 1
    almost = scene()
    almost.paste((240, 235, 245), (0, 0, 4, 4))
    assert 0.99 < resemblance(scene(), almost) < 1
    assert percent(resemblance(scene(), almost)) == 99
    assert percent(1.0) == 100


def test_the_order_of_two_pictures_does_not_matter():
    for change in (KEPT | BROKEN).values():
        other = change(scene())
        assert resemblance(scene(), other) == resemblance(other, scene())


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (512, 64), (1000, 1000)])
def test_pictures_of_any_size_are_compared(size):
    value = resemblance(scene(), scene().resize(size))
    assert 0 <= value <= 1
    assert resemblance(scene(), scene(side=512)) > 0.9


def test_every_pair_of_random_pictures_gives_a_number_from_0_to_1():
    draw = np.random.default_rng(0)
    for _ in range(50):
        one, other = (Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(2))
        assert 0 <= resemblance(one, other) <= 1


def test_the_benchmark_prints_how_often_the_own_pick_is_nearest(tiny_sd_folder, capsys):
    assert main(["resemblance", "--model", str(tiny_sd_folder), "--prompts", "1", "--steps", "2"]) == 0
    said = capsys.readouterr().out
    assert "a fox: 32 second-round pictures" in said
    for measure in ("resemblance", "SSIM", "edges", "foreground mask"):
        assert f"\n{measure} " in said
