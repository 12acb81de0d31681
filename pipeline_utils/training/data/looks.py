"""Styles as image processing: every look paints a cut-out drawing on a ground, 128 x 128.

A look maps ``(colour, alpha, ground)`` to a picture [n, 3, s, s], all in [0, 1]: colour
[n, 3, s, s] premultiplied by alpha [n, 1, s, s], ground [n, 3, s, s]. The decoder has to
learn each of them, so none has a fine texture: colours are mapped, contours drawn, rims
and shadows spread, and grounds divided in a few large fields. Each keeps the ground's colour
in some form, since a pick must be known again in another style, and each sets the drawing off
from its ground by a contour, a rim or a shadow, whatever their colours.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

GREY = (0.299, 0.587, 0.114)
INK = 0.07


def blur(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur, separable, with the border continued outwards."""
    reach = max(1, int(2.5 * sigma + 0.5))
    steps = torch.arange(-reach, reach + 1, dtype=x.dtype)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    x = F.pad(x, (reach,) * 4, mode="replicate")
    x = F.conv2d(x, kernel.unsqueeze(2), groups=x.shape[1])
    return F.conv2d(x, kernel.unsqueeze(3), groups=x.shape[1])


def dilate(x: torch.Tensor, reach: int) -> torch.Tensor:
    return F.max_pool2d(x, 2 * reach + 1, 1, reach)


def grey(x: torch.Tensor) -> torch.Tensor:
    """Luma [n, 1, s, s]."""
    return (x * x.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)


def saturate(x: torch.Tensor, by: float) -> torch.Tensor:
    base = grey(x)
    return (base + (x - base) * by).clamp(0, 1)


def edges(x: torch.Tensor) -> torch.Tensor:
    """Sobel magnitude, the largest of the channels [n, 1, s, s], about 1 at a full step."""
    kernel = x.new_tensor([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]) / 4
    both = torch.stack([kernel, kernel.T]).unsqueeze(1)  # [2, 1, 3, 3]
    n, c, h, w = x.shape
    padded = F.pad(x.reshape(n * c, 1, h, w), (1,) * 4, mode="replicate")
    return F.conv2d(padded, both).norm(dim=1).reshape(n, c, h, w).amax(1, keepdim=True)


def over(colour: torch.Tensor, alpha: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    return colour + ground * (1 - alpha)


def shifted(x: torch.Tensor, down: int, right: int = 0) -> torch.Tensor:
    """Moved by whole pixels; what comes in is empty."""
    return F.pad(x, (right, -right, down, -down))


def plane(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x, y in (-1, 1), shaped [1, 1, 1, s] and [1, 1, s, 1]."""
    side = like.shape[-1]
    line = (torch.arange(side, dtype=like.dtype) + 0.5) / side * 2 - 1
    return line.view(1, 1, 1, side), line.view(1, 1, side, 1)


def corners(like: torch.Tensor, by: float) -> torch.Tensor:
    """1 in the middle, darker towards the corners."""
    x, y = plane(like)
    return 1 - by * (x**2 + y**2) / 2


def colours(*codes: str) -> torch.Tensor:
    """``#rrggbb`` codes as [k, 3] in [0, 1]."""
    return torch.tensor([[int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)] for code in codes])


def one(code: str) -> torch.Tensor:
    return colours(code).view(1, 3, 1, 1)


def toned(tone: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Each tone [n, 1, s, s] in [0, 1] as a colour of a scale [k, 3], between which it glides."""
    place = tone.clamp(0, 1) * (len(scale) - 1)
    out = torch.zeros_like(tone).expand(-1, 3, -1, -1).clone()
    for k, colour in enumerate(scale):
        out += (1 - (place - k).abs()).clamp(min=0) * colour.view(1, 3, 1, 1)
    return out


def opaque(colour: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Colours continued a little beyond the drawing, not premultiplied."""
    near, weight = blur(colour, 1.5), blur(alpha, 1.5)
    return torch.where(alpha > 0.5, colour / alpha.clamp(min=0.5), near / weight.clamp(min=0.02)).clamp(0, 1)


def contours(colour: torch.Tensor, alpha: torch.Tensor, width: int, inner: float = 2.2) -> torch.Tensor:
    """Lines [n, 1, s, s] round the drawing and along its inner edges, 1 on them."""
    inside = (edges(blur(over(colour, alpha, torch.ones_like(colour)), 0.9)) * inner - 0.18).clamp(0, 1)
    outside = (edges(blur(alpha, 0.9)) * 2.6 - 0.12).clamp(0, 1)
    lines = torch.maximum(inside, outside)
    return (blur(dilate(lines, width) if width else lines, 0.5) * 1.25).clamp(0, 1)


def relief(colour: torch.Tensor, alpha: torch.Tensor, round_by: float) -> torch.Tensor:
    """Light from the upper left on a drawing swollen like a cushion: about -1 to 1 [n, 1, s, s]."""
    height = blur(alpha, round_by) * 1.6 + blur(grey(colour), round_by / 3) * 0.5
    lit = shifted(height, -2, -2) - shifted(height, 2, 2)
    return (lit * round_by * 0.55).clamp(-1, 1) * alpha


def shadow(alpha: torch.Tensor, down: int, soft: float) -> torch.Tensor:
    return blur(shifted(alpha, down), soft)


def plain(colour, alpha, ground):
    """The drawing as it is, with a soft shadow round it: on a dark ground, a soft light."""
    rim = blur(dilate(alpha, 1), 1.8) * (1 - alpha)
    opposite = (grey(ground) < 0.4).float()
    return over(colour, alpha, torch.lerp(ground, opposite.expand_as(ground), 0.42 * rim))


def highly_realistic(colour, alpha, ground):
    """A model in a studio: lit from the left, shining, on a dark floor with a deep shadow."""
    _, y = plane(alpha)
    light = relief(colour, alpha, 5.0)
    body = colour * (1 + 0.55 * light.clamp(max=0)) + alpha * 0.5 * light.clamp(min=0) ** 2
    wall = saturate(ground, 0.8) * (0.62 - 0.42 * ((y - 0.25) * 9).sigmoid()) + 0.06
    wall = wall + 0.32 * (-((y + 0.2) ** 2) * 4).exp() * wall
    return over(body.clamp(0, 1), alpha, wall * (1 - 0.75 * shadow(alpha, 9, 5.0)))


def artsy(colour, alpha, ground):
    """A canvas cut across: strong flat colours on one side, their opposites on the other."""
    x, y = plane(alpha)
    side = ((x + 0.35 * y) * 40).sigmoid()
    flat = (saturate(opaque(colour, alpha), 1.7) * 4).round() / 4
    body = flat * (1 - side) + (1 - flat)[:, [1, 2, 0]] * side
    strong = saturate(ground, 1.8)
    back = strong * (1 - side) + (0.9 - 0.8 * strong) * side
    line = contours(colour, alpha, 1, 0.8)
    return over(body * alpha, alpha, back) * (1 - line) + line * torch.where(side > 0.5, 0.95, INK)


def trending(colour, alpha, ground):
    """A film poster: teal shadows, orange light, a bright rim, the ground's glow in the dark."""
    x, y = plane(alpha)
    tone = grey(colour) / alpha.clamp(min=0.05)
    graded = saturate(opaque(colour, alpha), 0.7) * 0.55 + 0.55 * toned(
        tone, colours("#04222e", "#0f6a78", "#ff9a3c", "#ffe9c4")
    )
    rim = (alpha - shifted(blur(alpha, 1.5), 3, -3)).clamp(0, 1)
    glow = (-(x**2 + y**2) * 2.2).exp()
    night = one("#06131c") + saturate(ground, 1.5) * 0.75 * glow
    return (over(graded.clamp(0, 1) * alpha, alpha, night) + rim * one("#ffd9a0")).clamp(0, 1)


def colorful(colour, alpha, ground):
    """All hues across the drawing, and once more, paler, across the ground."""
    x, y = plane(alpha)
    thirds = torch.tensor([0.0, 1 / 3, 2 / 3]).view(1, 3, 1, 1)
    hue = lambda turn: ((torch.cos((turn - thirds) * 2 * math.pi) + 0.55) / 1.45).clamp(0, 1)  # noqa: E731
    light = grey(opaque(colour, alpha))
    body = (hue((x + y) * 0.5) * (0.35 + 0.75 * light) + 0.35 * light**3).clamp(0, 1)
    back = 0.45 * ground + 0.55 * (0.55 + 0.45 * hue((x - y) * 0.3 + 0.4))
    rim = blur(dilate(alpha, 2), 0.8).clamp(0, 1)
    return over(body * alpha, alpha, over(rim.expand(-1, 3, -1, -1), rim, back))


def sticker(colour, alpha, ground):
    """Cut out with a broad white rim, and a shadow under it."""
    rim = ((blur(dilate((alpha > 0.3).float(), 5), 1.2) - 0.35) / 0.3).clamp(0, 1)
    back = ground * (1 - 0.5 * shadow(rim, 5, 4.0))
    return over(colour, alpha, rim + (1 - rim) * back)


def line_art(colour, alpha, ground):
    """Black lines, white inside."""
    inside = ((alpha - 0.3) / 0.4).clamp(0, 1)
    return over(inside.expand(-1, 3, -1, -1), inside, ground) * (1 - 0.94 * contours(colour, alpha, 1))


def silhouette(colour, alpha, ground):
    """One black shape; a pale one on a dark ground."""
    dark = grey(ground.mean((2, 3), keepdim=True)) < 0.33
    inside = ((alpha - 0.3) / 0.4).clamp(0, 1)
    return over(torch.where(dark, 0.96, INK) * inside, inside, ground)


def pencil_sketch(colour, alpha, ground):
    """Graphite: thin lines and soft grey shading on paper."""
    tone = grey(opaque(colour, alpha))
    shade = (0.62 * (1 - tone) + 0.30 * (-relief(colour, alpha, 4.0)).clamp(min=0)) * alpha
    paper = 0.86 + 0.10 * ground
    lines = contours(colour, alpha, 0, 1.6)
    return (paper * (1 - shade.clamp(0, 0.8)) * (1 - 0.72 * lines)).clamp(0, 1)


def watercolor(colour, alpha, ground):
    """Thin washes that gather at their rims, and a wet patch of the ground on white paper."""
    x, y = plane(alpha)
    mask = blur(alpha, 1.8)
    wet = blur(over(colour, alpha, torch.ones_like(ground)), 2.0)
    gathered = (4 * mask * (1 - mask)) ** 2
    wash = 1 - (1 - wet) * 0.72 - 0.42 * gathered * (1 - 0.5 * wet)
    reach = (2.6 - 3.4 * (x**4 + y**4) - 0.5 * (3.5 * x + 1).sin() * (4.3 * y).sin()).sigmoid()
    patch = ((reach - 0.55) * 7).sigmoid()
    rim = 4 * patch * (1 - patch)
    paper = 1 - (1 - saturate(ground, 1.2)) * (0.62 * patch + 0.34 * rim)
    return (wash * mask + paper * (1 - mask)).clamp(0, 1)


def neon(colour, alpha, ground):
    """Glowing tubes along the lines, the ground's colour at night."""
    tubes = contours(colour, alpha, 1, 1.8)
    local = blur(colour, 3.0) / blur(alpha, 3.0).clamp(min=0.05)
    light = saturate((local / local.amax(1, keepdim=True).clamp(min=0.2)).clamp(0, 1), 2.4) * tubes
    return (ground * 0.12 + light + blur(light, 5.0) * 1.2 + 0.35 * tubes**3).clamp(0, 1)


def sepia(colour, alpha, ground):
    """An old photograph: brown tones, dark corners."""
    tone = grey(plain(colour, alpha, ground)) * corners(alpha, 0.75)
    return toned(tone, colours("#26140a", "#7a5634", "#c9a878", "#f7e6c3"))


def chalkboard(colour, alpha, ground):
    """White chalk lines and a dusty filling on a dark green board."""
    board = one("#1d3a30") * (0.85 + 0.3 * ground)
    lines = contours(colour, alpha, 1, 1.8)
    filled = board + (0.40 * opaque(colour, alpha) + 0.04) * alpha * (1 - 0.3 * board)
    return over(lines * one("#f4f1e4"), lines, filled).clamp(0, 1)


def stained_glass(colour, alpha, ground):
    """Glowing panes in lead: thick black lines, and a ground of large panes."""
    x, y = plane(alpha)
    lines = contours(colour, alpha, 2, 1.5)
    turn = torch.atan2(y + 0.001, x) / math.pi * 4 + 0.5  # eight rays
    ray = ((turn - turn.round()).abs() * (x**2 + y**2).sqrt() * 0.79 * 64 < 2.0).float()
    ring = (((x**2 + y**2).sqrt() - 0.86).abs() * 64 < 2.0).float()
    lead = torch.maximum(lines, blur(torch.maximum(ray, ring), 0.6) * (1 - alpha))
    bright = torch.where(turn.floor() % 2 == 0, 1.05, 0.72) * corners(alpha, 0.35)
    back = saturate(ground * 0.85, 2.2) * bright
    body = 0.14 + 0.86 * saturate(opaque(colour, alpha), 1.8) * (0.75 + 0.35 * blur(alpha, 6.0))
    return (over(body * alpha, alpha, back).clamp(0, 1) * (1 - lead) + lead * 0.05).clamp(0, 1)


def x_ray(colour, alpha, ground):
    """Light and dark turned round, blue-white on black."""
    tone = (1 - grey(opaque(colour, alpha))) * 0.55 + 0.22
    tone = tone * alpha + contours(colour, alpha, 0, 2.0) * 0.55 + 0.25 * blur(alpha, 4.0) * (1 - alpha)
    return (toned(tone, colours("#020508", "#17435c", "#7cc4dd", "#f2feff")) + 0.06 * ground * (1 - alpha)).clamp(0, 1)


def blueprint(colour, alpha, ground):
    """White lines on blue squared paper."""
    side = alpha.shape[-1]
    near = (torch.arange(side) % (side // 8) < 1).float()
    grid = torch.maximum(near.view(1, 1, 1, side), near.view(1, 1, side, 1))
    paper = one("#1746a2") * (0.72 + 0.36 * ground)
    paper = paper + 0.16 * grid * (1 - alpha) + 0.07 * alpha
    lines = contours(colour, alpha, 0, 2.6)
    return over(lines * one("#f3f8ff"), lines, paper).clamp(0, 1)


def pop_art(colour, alpha, ground):
    """A screen print in purple, pink and yellow; large dots of the ground's colour."""
    side = alpha.shape[-1]
    grid = (torch.arange(side) + 0.5) / (side // 8) * 2 * math.pi
    wave = (grid.cos() * -0.5 + 0.5).view(1, 1, 1, side)
    dots = ((wave * wave.mT - 0.42) * 5 + 0.5).clamp(0, 1)
    tone = grey(opaque(colour, alpha))
    step = lambda at: ((tone - at) * 24).sigmoid()  # noqa: E731
    body = (
        one("#4a148c") + step(0.33) * (one("#ff2d87") - one("#4a148c")) + step(0.62) * (one("#ffe33d") - one("#ff2d87"))
    )
    back = one("#ffffff") * (1 - dots) + saturate(ground * 0.9, 2.4) * dots
    line = contours(colour, alpha, 1, 0.0)
    return over(body.clamp(0, 1) * alpha, alpha, back) * (1 - line)


def gold(colour, alpha, ground):
    """A golden statue: warm metal with bright and dark bands of light."""
    light = relief(colour, alpha, 4.0)
    tone = grey(opaque(colour, alpha)) * 0.45 + 0.28 + 0.55 * light
    body = toned(tone, colours("#3a1c00", "#9c5d00", "#f0b323", "#ffe98a", "#fffdf0"))
    line = contours(colour, alpha, 0, 1.6)
    back = (saturate(ground, 0.9) * 0.34 + 0.02) * corners(alpha, 0.7)
    return over(body * alpha * (1 - 0.45 * line), alpha, back + one("#ffcf5a") * 0.30 * blur(alpha, 7.0))


def comic(colour, alpha, ground):
    """Thick ink, flat strong colours, rays behind."""
    x, y = plane(alpha)
    turn = torch.atan2(y + 0.001, x) / math.pi * 8
    ray = ((turn * math.pi).sin() * (x**2 + y**2).sqrt() * 9).sigmoid()
    strong = saturate(ground * 0.92, 1.9)
    back = strong * (1 - ray) + (0.45 * strong + 0.55) * ray
    flat = (saturate(opaque(colour, alpha), 1.5) * 4).round() / 4
    return over(flat * alpha, alpha, back) * (1 - 0.95 * contours(colour, alpha, 2, 1.1))


def noir(colour, alpha, ground):
    """A black-and-white film: hard light from one side, deep shadows."""
    x, y = plane(alpha)
    light = relief(colour, alpha, 5.0)
    tone = ((grey(opaque(colour, alpha)) - 0.42) * 5 + 2.2 * light).sigmoid()
    beam = (((x - 0.5 * y) + 0.1) * 5).sigmoid()
    back = (0.05 + 0.55 * (1 - beam)) * (0.4 + 0.6 * grey(ground))
    rim = (blur(dilate(alpha, 1), 0.7) - alpha).clamp(0, 1) * (1 - 0.6 * beam)
    return (
        (tone * alpha + back * (1 - alpha) * (1 - 0.8 * shadow(alpha, 4, 4.0)) + 0.5 * rim * beam)
        .expand(-1, 3, -1, -1)
        .clamp(0, 1)
    )


def pixel_art(colour, alpha, ground):
    """Blocks of 4 x 4 pixels, hard edges, few shades, a dark contour."""
    small = F.avg_pool2d(alpha, 4)
    body = saturate(F.avg_pool2d(colour, 4) / small.clamp(min=0.05), 1.25)
    hard = (small > 0.45).float()
    line, back = dilate(hard, 1) - hard, F.avg_pool2d(ground, 4)
    picture = over((body * 5).round() / 5 * hard, hard, back)
    picture = torch.lerp(picture, (grey(back) < 0.4).float().expand_as(back), 0.85 * line)
    return F.interpolate(picture.clamp(0, 1), scale_factor=4, mode="nearest")


def thermal(colour, alpha, ground):
    """A heat camera: blue where it is cold, red, yellow and white where it is hot."""
    tone = 0.12 + 0.10 * grey(ground) + (0.30 + 0.62 * grey(opaque(colour, alpha))) * blur(alpha, 1.5)
    return toned(blur(tone, 1.0), colours("#0a0632", "#2a1aa8", "#c01c8c", "#ff6a1a", "#ffd83a", "#ffffff"))


# The words of prompts, in the order of the codes: append, never reorder.
LOOKS = {
    "": plain,
    "highly realistic": highly_realistic,
    "artsy": artsy,
    "trending": trending,
    "colorful": colorful,
    "sticker": sticker,
    "line art": line_art,
    "silhouette": silhouette,
    "pencil sketch": pencil_sketch,
    "watercolor": watercolor,
    "neon": neon,
    "sepia": sepia,
    "chalkboard": chalkboard,
    "stained glass": stained_glass,
    "x-ray": x_ray,
    "blueprint": blueprint,
    "pop art": pop_art,
    "gold": gold,
    "comic": comic,
    "noir": noir,
    "pixel art": pixel_art,
    "thermal": thermal,
}
STYLES = tuple(LOOKS)


def paint(look: torch.Tensor, colour: torch.Tensor, alpha: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """Each scene in its look [n]: a picture [n, 3, s, s] in [0, 1]."""
    out = torch.empty_like(ground)
    for k, painter in enumerate(LOOKS.values()):
        rows = (look == k).nonzero().flatten()
        if len(rows):
            out[rows] = painter(colour[rows], alpha[rows], ground[rows]).clamp(0, 1)
    return out
