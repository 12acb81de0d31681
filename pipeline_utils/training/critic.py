"""What a decoder is told about a rebuilt picture: its errors, and whether it looks drawn.

Errors of pixels alone are smallest for soft pictures: where an edge may be here or there,
its mean is a blur. A critic that looks at small patches tells drawn from rebuilt ones, and
the decoder learns to pass.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

SHARE = 0.4  # the critic's pull on a picture, as a share of the errors' pull
RATE = 4e-4


class Critic(nn.Module):
    """Pictures [n, 3, s, s] -> one logit for each patch of about 26 pixels, [n, 1, s/4, s/4]."""

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 96)):
        super().__init__()
        first, second, third = widths
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(3, first, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(first, second, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(second, third, 3, 1, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(third, 1, 3, 1, 1)),
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers(pictures)


def picture_loss(rebuilt: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Errors of pixels, of colours at coarser scales, and of differences of neighbours.

    Plain L1 first learns light and dark and leaves colours for later, and edges soft:
    the coarse scales bring the colours, the differences the edges.
    """
    error = rebuilt.float() - pictures
    loss = error.abs().mean() + error.square().mean()
    loss = loss + 0.5 * (
        (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    )
    for _ in range(3):
        error = F.avg_pool2d(error, 2)
        red, green, blue = error.unbind(1)
        hue = torch.stack([red - green, (red + green) / 2 - blue])
        loss = loss + 0.5 * error.abs().mean() + hue.abs().mean() + 2 * hue.square().mean()
    return loss


def pull(rebuilt: torch.Tensor, pictures: torch.Tensor, critic: Critic, share: float):
    """The direction in which rebuilt pictures should change, and the loss of their errors.

    Both gradients are taken at the picture and the critic's is scaled to ``share`` of the
    other's length, so that neither drowns the other however sure of itself the critic is.
    """
    seen = rebuilt.detach().float().requires_grad_(True)
    loss = picture_loss(seen, pictures)
    (errors,) = torch.autograd.grad(loss, seen)
    if not share:
        return errors, loss.detach()
    (taste,) = torch.autograd.grad(-critic(seen).float().mean(), seen)
    scale = share * errors.norm() / taste.norm().clamp(min=1e-12)
    return errors + scale * taste, loss.detach()


def critic_loss(critic: Critic, pictures: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    """Hinge: drawn patches above 1, rebuilt ones below -1."""
    drawn, made = critic(torch.cat([pictures, rebuilt])).float().chunk(2)
    return F.relu(1 - drawn).mean() + F.relu(1 + made).mean()
