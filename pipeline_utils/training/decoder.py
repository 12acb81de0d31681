"""The last stage of the autoencoder: its decoder alone, for crisp pictures.

Errors of pixels alone are smallest for soft pictures: where an edge may be here or there,
its mean is a blur. A critic that looks at small patches tells drawn from rebuilt ones, and
the decoder learns to pass. The encoder, and so every latent, stays what it is, which is
why this can run beside or after the training of the denoiser.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from .augment import paint, sample_scenes
from .optimiser import make_optimiser
from .presets import Preset
from .progress import SAVE_EVERY, Average, Budget, adopt, load_checkpoint, save_checkpoint, set_rate
from .render import Pictures
from .runtime import Place
from .vae import load_vae, picture_loss

CRITIC_SHARE = 0.4  # the critic's pull on a picture, as a share of the errors' pull
CRITIC_RATE = 4e-4
RAMP = 300  # steps over which the critic's share grows: at first it knows nothing
STRAY = 0.3  # most noise on a latent of unit size: denoised latents are never quite right


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


def pull(rebuilt: torch.Tensor, pictures: torch.Tensor, critic: Critic, share: float):
    """The direction in which rebuilt pictures should change, and the loss of their errors.

    Both gradients are taken at the picture and the critic's is scaled to ``share`` of the
    other's length, so that neither drowns the other however sure of itself the critic is.
    """
    seen = rebuilt.detach().float().requires_grad_(True)
    loss = picture_loss(seen, pictures)
    (errors,) = torch.autograd.grad(loss, seen)
    (taste,) = torch.autograd.grad(-critic(seen).float().mean(), seen)
    scale = share * errors.norm() / taste.norm().clamp(min=1e-12)
    return errors + scale * taste, loss.detach()


def critic_loss(critic: Critic, pictures: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    """Hinge: drawn patches above 1, rebuilt ones below -1."""
    drawn, made = critic(torch.cat([pictures, rebuilt])).float().chunk(2)
    return F.relu(1 - drawn).mean() + F.relu(1 + made).mean()


def train_decoder(preset: Preset, pictures: Pictures, folder: Path, budget: Budget, place: Place) -> None:
    """Train, resuming from ``folder/decoder.pt``; begins with the autoencoder's decoder."""
    torch.manual_seed(preset.seed + 14)
    vae = load_vae(preset, folder).to(place.device).train()
    trained = {f"decoder.{k}": p for k, p in vae.decoder.named_parameters()}
    trained |= {f"post_quant_conv.{k}": p for k, p in vae.post_quant_conv.named_parameters()}
    for parameter in trained.values():
        parameter.requires_grad_(True)
    critic = Critic().to(place.device)
    average = Average(vae, 0.998)
    optimiser = make_optimiser(trained, (0.9, 0.98), preset.vae_run)
    critic_optimiser = torch.optim.AdamW(critic.parameters(), lr=CRITIC_RATE, betas=(0.5, 0.9), weight_decay=0.0)
    scenes_rng = torch.Generator().manual_seed(preset.seed + 15)
    noise_rng = torch.Generator(place.device).manual_seed(preset.seed + 16)
    path = folder / "decoder.pt"
    state = load_checkpoint(path) or {}
    if "model" not in state:
        adopt(average, vae, state.get("average", []))
    else:
        vae.load_state_dict(state["model"])
        critic.load_state_dict(state["critic"])
        optimiser.load_state_dict(state["optimiser"])
        critic_optimiser.load_state_dict(state["critic_optimiser"])
        average.values = [v.to(place.device) for v in state["average"]]
        scenes_rng.set_state(state["scenes_rng"])
        noise_rng.set_state(state["noise_rng"])
        budget.resume(state["budget"])

    def save() -> None:
        save_checkpoint(
            path,
            model=vae.state_dict(),
            critic=critic.state_dict(),
            average=average.values,
            optimiser=optimiser.state_dict(),
            critic_optimiser=critic_optimiser.state_dict(),
            scenes_rng=scenes_rng.get_state(),
            noise_rng=noise_rng.get_state(),
            budget=budget.state(),
        )

    table, n = pictures.table.cpu(), preset.vae_run.batch
    size = 1 / vae.config.scaling_factor
    saved, shown = time.monotonic(), torch.zeros(2, device=place.device)
    while budget.progress < 1:
        # 1. Pictures, and latents about where the encoder puts them.
        real = paint(sample_scenes(n, table, preset.odds, scenes_rng), pictures, preset.size)
        with torch.no_grad(), place.autocast():
            latents = vae.encode(real).latent_dist.mode().float()
        drawn = torch.randn(latents.shape, generator=noise_rng, device=place.device)
        stray = STRAY * size * torch.rand(n, 1, 1, 1, generator=noise_rng, device=place.device)
        set_rate(optimiser, budget.rate(preset.vae_run))

        # 2. The decoder's step.
        with place.autocast():
            rebuilt = vae.decode(latents + stray * drawn).sample
            share = CRITIC_SHARE * min(1.0, budget.step / RAMP)
            direction, errors = pull(rebuilt, real, critic, share)
        rebuilt.backward(direction.to(rebuilt.dtype))
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.update(vae, budget.step)

        # 3. The critic's.
        with place.autocast():
            verdict = critic_loss(critic, real, rebuilt.detach().float())
        critic_optimiser.zero_grad()
        verdict.backward()
        critic_optimiser.step()
        budget.step += 1

        # 4. A word now and then; reading losses waits for the device.
        shown = shown + torch.stack([errors, verdict.detach()])
        if budget.step % 50 == 0:
            mean, doubt = (shown / 50).tolist()
            shown = torch.zeros_like(shown)
            print(f"decoder step {budget.step} loss {mean:.4f} critic {doubt:.3f} {budget.seconds:.0f} s", flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()
