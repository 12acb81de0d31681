"""Looks made by image processing, for batches on any device.

Every look maps ``(colour, alpha, backdrop, noise)`` to a picture:
colour [n, 3, s, s] premultiplied by alpha [n, 1, s, s], backdrop [n, 3, s, s], all in
[0, 1]; noise [n, 1, s/8, s/8] in [0, 1]. The backdrop's colour is kept in some form by
each of them, since a second round must still resemble its pick.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .words import LOOKS

GREY = (0.299, 0.587, 0.114)


def blur(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur, separable, with the border continued outwards."""
    reach = max(1, int(2.5 * sigma + 0.5))
    steps = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    x = F.conv2d(x, kernel.unsqueeze(2), groups=x.shape[1])
    return F.conv2d(x, kernel.unsqueeze(3), groups=x.shape[1])


def grey(x: torch.Tensor) -> torch.Tensor:
    """Luma [n, 1, s, s]."""
    weights = torch.tensor(GREY, device=x.device, dtype=x.dtype).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


def saturate(x: torch.Tensor, by: float) -> torch.Tensor:
    base = grey(x)
    return (base + (x - base) * by).clamp(0, 1)


def edges(x: torch.Tensor) -> torch.Tensor:
    """Sobel magnitude per channel, about 1 at a full step."""
    kernel = torch.tensor([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]], device=x.device) / 4
    both = torch.stack([kernel, kernel.T]).unsqueeze(1)  # [2, 1, 3, 3]
    n, c, h, w = x.shape
    padded = F.pad(x.reshape(n * c, 1, h, w), (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, both).norm(dim=1).reshape(n, c, h, w)


def ramp(like: torch.Tensor, axis: int) -> torch.Tensor:
    """0..1 along an axis (2: downwards, 3: to the right), shaped for broadcasting."""
    side = like.shape[axis]
    shape = [1, 1, 1, 1]
    shape[axis] = side
    return torch.linspace(0, 1, side, device=like.device).view(shape)


def over(colour: torch.Tensor, alpha: torch.Tensor, backdrop: torch.Tensor) -> torch.Tensor:
    return colour + backdrop * (1 - alpha)


def plain(colour, alpha, backdrop, noise):
    return over(colour, alpha, backdrop)


def realistic(colour, alpha, backdrop, noise):
    """Studio light: a backdrop that falls off, and a soft shadow below the object."""
    side = alpha.shape[-1]
    drop = side // 16
    shadow = blur(F.pad(alpha, (0, 0, drop, 0))[..., :side, :], side / 22)
    lit = backdrop * (1.06 - 0.28 * ramp(alpha, 2))
    return over(colour, alpha, (lit * (1 - 0.5 * shadow)).clamp(0, 1))


def artsy(colour, alpha, backdrop, noise):
    """Pop art: flat bold colour, a dark contour, and a backdrop of printed dots."""
    side = alpha.shape[-1]
    grid = torch.arange(side, device=alpha.device)
    wave = (((grid + 0.5) / 8 * 2 * torch.pi).cos() * -0.5 + 0.5).view(1, 1, 1, side)
    dots = ((wave * wave.transpose(2, 3) - 0.35) * 6).clamp(0, 1)  # one dot in every 8 x 8 cell
    flat = (saturate(blur(colour, 0.6), 1.5) * 5).round() / 5
    contour = (edges(blur(alpha, 0.8)).amax(1, keepdim=True) * 1.6).clamp(0, 1)
    ground = saturate(backdrop, 1.3) * (1 - 0.16 * dots)
    return over(flat * (alpha > 0.5), (alpha > 0.5).float(), ground) * (1 - 0.9 * contour)


def trending(colour, alpha, backdrop, noise):
    """A bright halo behind the object, dark corners, more contrast."""
    x, y = ramp(alpha, 3) - 0.5, ramp(alpha, 2) - 0.5
    corners = ((x**2 + y**2).sqrt() * 1.45).clamp(0, 1) ** 2
    halo = (blur(alpha, alpha.shape[-1] / 10) * 1.1).clamp(0, 1)
    vivid = saturate(backdrop * 0.8, 1.6)
    ground = vivid * (1 - 0.75 * corners) + halo * 0.55 * (1 - vivid)
    return over(saturate((colour - 0.5 * alpha) * 1.15 + 0.5 * alpha, 1.3), alpha, ground.clamp(0, 1))


def colorful(colour, alpha, backdrop, noise):
    """All hues across the object, light and dark kept."""
    hue = (ramp(alpha, 3) + ramp(alpha, 2)) * 0.75
    thirds = torch.tensor([0.0, 1 / 3, 2 / 3], device=alpha.device).view(1, 3, 1, 1)
    rainbow = ((torch.cos((hue - thirds) * 2 * torch.pi) + 0.6) / 1.4).clamp(0, 1)
    light = grey(colour)
    painted = light * 0.35 + rainbow * light * 0.95
    mixed = (colour * 0.25 + painted * 0.85).clamp(0, 1)
    return over(torch.minimum(mixed, alpha), alpha, saturate(backdrop, 1.8))


def pixel_art(colour, alpha, backdrop, noise):
    """Blocks of 4 x 4 pixels, hard edges, few shades."""
    small_alpha = F.avg_pool2d(alpha, 4)
    small = F.avg_pool2d(colour, 4) / small_alpha.clamp(min=0.05)
    hard = (small_alpha > 0.45).float()
    ground = F.avg_pool2d(backdrop, 4)
    picture = (over((saturate(small, 1.15) * 6).round() / 6 * hard, hard, ground)).clamp(0, 1)
    return F.interpolate(picture, scale_factor=4, mode="nearest")


def pencil_sketch(colour, alpha, backdrop, noise):
    """Graphite lines and light shading on paper with a hint of the backdrop."""
    tone = grey(over(colour, alpha, torch.ones_like(backdrop)))
    lines = (edges(blur(tone, 0.5)) * 2.2 + edges(alpha) * 0.8).clamp(0, 1)
    hatch = ((ramp(alpha, 2) + ramp(alpha, 3)) * alpha.shape[-1] / 4 * 2 * torch.pi).sin() * 0.5 + 0.5
    shade = (1 - tone) * alpha * (0.18 + 0.2 * hatch)
    paper = 0.80 + 0.20 * backdrop
    return paper * (1 - (lines * 0.8 + shade).clamp(0, 0.88))


def watercolor(colour, alpha, backdrop, noise):
    """Pigment that bleeds, gathers at its rims and lets the paper through."""
    noise = F.interpolate(noise, size=alpha.shape[-2:], mode="bicubic", align_corners=False)
    wet = blur(over(colour, alpha, torch.ones_like(backdrop)), 0.7)
    mask = blur(alpha, 0.9)
    rim = (4 * mask * (1 - mask)) ** 2
    wash = 1 - (1 - wet) * (0.74 + 0.3 * (noise - 0.5)) - 0.25 * rim * (1 - wet * 0.6)
    paper = 1 - (1 - backdrop) * (0.45 + 0.25 * (noise - 0.5))
    return (wash * mask + paper * (1 - mask)).clamp(0, 1)


def sepia(colour, alpha, backdrop, noise):
    """An old photograph: brown tones, dark corners."""
    x, y = ramp(alpha, 3) - 0.5, ramp(alpha, 2) - 0.5
    tone = grey(over(colour, alpha, backdrop)) * (1 - 0.7 * (x**2 + y**2))
    dark = torch.tensor([0.17, 0.09, 0.04], device=alpha.device).view(1, 3, 1, 1)
    light = torch.tensor([1.0, 0.91, 0.74], device=alpha.device).view(1, 3, 1, 1)
    return dark + (light - dark) * tone


def neon(colour, alpha, backdrop, noise):
    """Glowing tubes along the lines, on the backdrop's colour at night."""
    flat = over(colour, alpha, torch.full_like(backdrop, 0.5))
    strength = (edges(flat).amax(1, keepdim=True) * 1.3 + edges(alpha) * 0.9).clamp(0, 1)
    local = blur(colour, 1.5) / blur(alpha, 1.5).clamp(min=0.05)
    tube = saturate(local / local.amax(1, keepdim=True).clamp(min=0.2), 2.2)
    light = tube * strength
    glow = blur(light, alpha.shape[-1] / 24) * 1.2
    return (backdrop * 0.13 + light + glow + 0.3 * strength**3).clamp(0, 1)


def pastel(colour, alpha, backdrop, noise):
    """Chalky, light and soft."""
    return 0.42 + 0.58 * saturate(blur(over(colour, alpha, backdrop), 0.4), 0.8)


PAINTERS = (
    plain, realistic, artsy, trending, colorful, pixel_art, pencil_sketch, watercolor, sepia, neon,
    pastel,
)  # fmt: skip
assert len(PAINTERS) == len(LOOKS)
