"""Scenes: what one training picture shows, drawn at random, and painted in batches.

A scene is sampled on the CPU (cheap, reproducible, and the sizes of its groups are then
known without asking the device); painting happens where the pictures are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F

from .coupling import VARIABLES, choose_colours, uniform
from .looks import PAINTERS, grey
from .presets import Odds
from .render import Pictures
from .words import BACKGROUNDS, INK, STYLES, TINTS, UNNAMED_BACKGROUNDS, rgb

COPIES = 3  # most objects in one scene


@dataclass
class Scenes:
    """n scenes, sorted by look. Indices are int64 [n], measures float32 [n].

    concept, partner (-1: none), count (1..3); style: index into STYLES; picture, other:
    rows of Pictures; background: index into BACKGROUNDS or -1 when it is not in the
    caption; top, bottom: [n, 3] colours; tint: index into TINTS or -1; scale, angle
    (radians), dx, dy (half sides), flip (+1 or -1); said_*: whether the caption tells;
    draws: [n, VARIABLES] standard normal, which decide what a caption leaves open.
    """

    concept: torch.Tensor
    partner: torch.Tensor
    count: torch.Tensor
    style: torch.Tensor
    look: torch.Tensor
    picture: torch.Tensor
    other: torch.Tensor
    background: torch.Tensor
    top: torch.Tensor
    bottom: torch.Tensor
    tint: torch.Tensor
    scale: torch.Tensor
    angle: torch.Tensor
    dx: torch.Tensor
    dy: torch.Tensor
    flip: torch.Tensor
    said_placement: torch.Tensor
    draws: torch.Tensor
    noise: torch.Tensor  # [n, 1, 16, 16], grain of the looks that have one

    def __len__(self) -> int:
        return len(self.concept)

    def select(self, index: torch.Tensor | slice) -> Scenes:
        return Scenes(*(getattr(self, f.name)[index] for f in fields(self)))


def _chance(n: int, p: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator) < p


def _nth(weights: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """The column of weights [n, k] in which ``place`` [n] in (0, 1) of their sum falls, [n]."""
    reached = weights.cumsum(1)
    return (reached <= place[:, None] * reached[:, -1:]).sum(1).clamp(max=weights.shape[1] - 1)


def _notches(share: torch.Tensor, count: int | torch.Tensor) -> torch.Tensor:
    """Shares of (0, 1) moved to the nearest of ``count`` places spread over [0, 1]; 0 leaves them."""
    count = torch.as_tensor(count).expand_as(share)
    place = (share * count).floor().minimum(count - 1) / (count - 1).clamp(min=1)
    return torch.where(count > 1, place, torch.where(count == 1, 0.5, share))


def _subjects(
    n: int, table: torch.Tensor, odds: Odds, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Styles [n] in the order of their looks, a concept [n] that has a picture in one of the
    style's sets, and how often each of these sets is to be taken, [n, sets]."""
    allowed = torch.zeros(len(STYLES), table.shape[1])
    for row, entry in enumerate(STYLES):
        allowed[row, list(entry.sets)] = torch.tensor(list(entry.sets.values()))
    has = (table >= 0).float()
    drawable = ((allowed > 0).float() @ has.T > 0).float()  # [styles, concepts]
    some = drawable.sum(1) > 0
    weights = torch.tensor([s.weight * odds.practice.get(s.word, 1.0) for s in STYLES]) * some
    style = torch.multinomial(weights, n, replacement=True, generator=generator)
    look = torch.tensor([s.look for s in STYLES])[style]
    style = style[look.argsort(stable=True)]  # groups of one look become slices
    drawable[~some] = 1.0  # never chosen
    drawable[:, list(odds.favoured)] *= 2
    concept = torch.multinomial(drawable, n, True, generator=generator)
    concept = concept[style, torch.arange(n)]
    return style, concept, allowed[style] * has[concept]


def _placement(where: dict[str, torch.Tensor], odds: Odds) -> dict[str, torch.Tensor]:
    """scale, angle, dx, dy and flip of Scenes, from shares of (0, 1) of what is possible."""
    low, high = odds.scale
    scale = low + (high - low) * _notches(where["scale"], odds.sizes)
    room = (1.06 - scale).clamp(min=0.0).minimum(torch.tensor(2 * odds.shift))
    places = 0
    if odds.step:
        steps = (room / (2 * odds.step)).floor()  # from the middle outwards
        room, places = steps * 2 * odds.step, 2 * steps + 1
    return {
        "scale": scale,
        "angle": (2 * _notches(where["angle"], odds.tilts) - 1) * odds.tilt * torch.pi / 180,
        "dx": (2 * _notches(where["dx"], places) - 1) * room,
        "dy": (2 * _notches(where["dy"], places) - 1) * room,
        "flip": 1 - 2 * (where["flip"] < odds.flip).float(),
    }


def sample_scenes(n: int, table: torch.Tensor, odds: Odds, generator: torch.Generator) -> Scenes:
    """Draw n scenes. ``table`` [concepts, sets] holds picture rows, -1 where there is none."""
    # 1. What, in which style. What a caption tells, it decides against any noise: those
    # scenes take other numbers than their draws.
    style, concept, offered = _subjects(n, table, odds, generator)
    draws = torch.randn(n, len(VARIABLES), generator=generator)
    said = _chance(n, odds.placement_named, generator)
    fresh = torch.rand(n, len(VARIABLES), generator=generator)
    told = torch.tensor([name in ("scale", "angle") for name in VARIABLES])
    where = torch.where(said[:, None] & told, fresh, uniform(draws))
    where = dict(zip(VARIABLES, where.unbind(1), strict=True))
    sets = _nth(offered, where["design"])
    picture = table[concept, sets]

    # 2. In whose company.
    company = _chance(n, odds.company, generator)
    partner = torch.randint(len(table), (n,), generator=generator)
    partner = torch.where(company & (table[partner, sets] >= 0) & (partner != concept), partner, -1)
    partner = torch.where(_chance(n, 0.5, generator), partner, -1)
    count = torch.where(company & (partner < 0), torch.randint(2, COPIES + 1, (n,), generator=generator), 1)
    other = torch.where(partner >= 0, table[partner.clamp(min=0), sets], picture)

    # 3. On what ground, in what colour.
    named = _chance(n, odds.background_named, generator)
    background = torch.where(named, torch.randint(len(BACKGROUNDS), (n,), generator=generator), -1)
    ends = torch.tensor([[rgb(b[2]), rgb(b[3])] for b in BACKGROUNDS])[background.clamp(min=0)]
    share = (1 - odds.background_white) / len(UNNAMED_BACKGROUNDS)
    colours = ((1.0, 1.0, 1.0), *(rgb(code) for code in UNNAMED_BACKGROUNDS))
    shares = (odds.background_white, *(share for _ in UNNAMED_BACKGROUNDS))
    free = torch.tensor(colours)[choose_colours(draws[:, -3:], colours, shares)]
    ends = torch.where(named[:, None, None], ends, free[:, None].expand(-1, 2, -1))
    look = torch.tensor([s.look for s in STYLES])[style]
    tint = torch.where(
        _chance(n, odds.tint, generator) & (look == 0),
        torch.randint(len(TINTS), (n,), generator=generator),
        -1,
    )
    return Scenes(
        concept=concept,
        partner=partner,
        count=count,
        style=style,
        look=look,
        picture=picture,
        other=other,
        background=background,
        top=ends[:, 0],
        bottom=ends[:, 1],
        tint=tint,
        **_placement(where, odds),
        said_placement=said,
        draws=draws,
        noise=torch.rand(n, 1, 16, 16, generator=generator),
    )


def _place(rgba: torch.Tensor, scale, angle, dx, dy, flip, size: int) -> torch.Tensor:
    """Put pictures [n, 4, s, s] onto a canvas [n, 4, size, size], sampled twice as finely."""
    cos, sin = angle.cos() / scale, angle.sin() / scale
    matrix = torch.stack(
        [
            torch.stack([flip * cos, flip * sin, -flip * (cos * dx + sin * dy)], -1),
            torch.stack([-sin, cos, sin * dx - cos * dy], -1),
        ],
        1,
    )  # canvas -> picture, [n, 2, 3]
    grid = F.affine_grid(matrix, (len(rgba), 4, 2 * size, 2 * size), align_corners=False)
    return F.avg_pool2d(F.grid_sample(rgba, grid, align_corners=False), 2)


def _tinted(canvas: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Recolour premultiplied RGBA: dark stays dark, light stays light, between is ``colour``."""
    alpha = canvas[:, 3:]
    light = grey(canvas[:, :3]) / alpha.clamp(min=1e-3)
    light = (light * 1.1).clamp(0, 1)
    colour = colour[:, :, None, None]
    low, high = colour * (light / 0.55).clamp(0, 1), ((light - 0.55) / 0.45).clamp(0, 1) * 0.8
    return torch.cat([(low + (1 - low) * high).clamp(0, 1) * alpha, alpha], 1)


def _stack(over: torch.Tensor, under: torch.Tensor) -> torch.Tensor:
    return over + under * (1 - over[:, 3:])


def paint(scenes: Scenes, pictures: Pictures, size: int) -> torch.Tensor:
    """Pictures [n, 3, size, size] in [-1, 1] on the pictures' device."""
    device = pictures.rgba.device
    on = Scenes(*(getattr(scenes, f.name).to(device) for f in fields(scenes)))
    rgba = pictures.rgba[on.picture].float() / 255

    # 1. Ink is black; on a dark backdrop it has to be white.
    ink = torch.isin(pictures.style[on.picture], torch.tensor(INK, device=device))
    dark = grey(((on.top + on.bottom) / 2)[:, :, None, None]).flatten() < 0.33
    white = torch.cat([rgba[:, 3:].expand(-1, 3, -1, -1) * 0.96, rgba[:, 3:]], 1)
    rgba = torch.where((ink & dark)[:, None, None, None], white, rgba)

    # 2. Objects: alone in its place, or in company side by side.
    crowd = (scenes.partner >= 0) | (scenes.count > 1)
    canvas = _place(rgba, on.scale, on.angle, on.dx, on.dy, on.flip, size)
    if crowd.any():
        some = crowd.nonzero().flatten().to(device)
        canvas[some] = _crowd(on.select(some), rgba[some], pictures, size)

    # 3. Colour of the object.
    tinted = (scenes.tint >= 0).nonzero().flatten().to(device)
    if len(tinted):
        palette = torch.tensor([rgb(c) for _, c in TINTS], device=device)
        canvas[tinted] = _tinted(canvas[tinted], palette[on.tint[tinted]])

    # 4. Backdrop and look, one slice per look.
    fall = torch.linspace(0, 1, size, device=device).view(1, 1, size, 1)
    backdrop = on.top[:, :, None, None] * (1 - fall) + on.bottom[:, :, None, None] * fall
    backdrop = backdrop.expand(-1, -1, -1, size)
    noise = on.noise[:, :, : max(2, size // 8), : max(2, size // 8)]
    parts, start = [], 0
    for look, length in enumerate(torch.bincount(scenes.look, minlength=len(PAINTERS)).tolist()):
        if length:
            here = slice(start, start + length)
            parts.append(PAINTERS[look](canvas[here, :3], canvas[here, 3:], backdrop[here], noise[here]))
            start += length
    return torch.cat(parts).clamp(0, 1) * 2 - 1


def _crowd(on: Scenes, rgba: torch.Tensor, pictures: Pictures, size: int) -> torch.Tensor:
    """Two or three objects beside each other on one canvas [n, 4, size, size]."""
    other = pictures.rgba[on.other].float() / 255
    three = (on.count == 3).float()
    step = 0.5 + 0.12 * three
    small = (0.50 - 0.14 * three) * (0.8 + 0.4 * (on.scale - 0.5))
    tilt, rise = on.angle * 0.5, on.dy * 0.8
    first = _place(rgba, small, tilt, -step * on.flip, rise, on.flip, size)
    last = _place(other, small, tilt, step * on.flip, rise, on.flip, size)
    middle = _place(rgba, small, tilt, on.dx * 0, -rise * 0.4, on.flip, size)
    return _stack(_stack(first, last), middle * three[:, None, None, None])
