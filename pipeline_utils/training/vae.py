"""The autoencoder: pictures [n, 3, s, s] in [-1, 1] <-> latents [n, c, s/f, s/f]."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .augment import paint, sample_scenes
from .optimiser import make_optimiser
from .presets import Preset
from .progress import SAVE_EVERY, Average, Budget, adopt, load_checkpoint, save_checkpoint, set_rate
from .render import Pictures
from .runtime import Place

LATENT_LOG_VARIANCE = -6.0  # a posterior of std 0.05: the decoder learns to forgive that much


def build_vae(preset: Preset) -> AutoencoderKL:
    shape = preset.vae
    levels = len(shape.widths)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=shape.widths,
        layers_per_block=shape.layers,
        latent_channels=shape.latent_channels,
        norm_num_groups=shape.groups,
        # Attention over 8 x 8 positions adds cost and no detail.
        mid_block_add_attention=False,
        sample_size=preset.size,
    )


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


def vae_loss(vae: AutoencoderKL, pictures: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The pictures' loss, while latents are held near unit size."""
    moments = vae.encode(pictures).latent_dist
    rebuilt = vae.decode(moments.mean + moments.std * noise).sample
    mean, log_variance = moments.mean.float(), moments.logvar.float()
    size = (mean.square().mean() - 1).clamp(min=0) + mean.mean((0, 2, 3)).square().mean()
    spread = (log_variance - LATENT_LOG_VARIANCE).square().mean()
    return picture_loss(rebuilt, pictures) + 0.01 * size + 1e-3 * spread


def train_vae(preset: Preset, pictures: Pictures, folder: Path, budget: Budget, place: Place) -> None:
    """Train the whole, resuming from ``folder/vae.pt``; written every minute and at the end."""
    torch.manual_seed(preset.seed)
    vae = build_vae(preset).to(place.device)
    parameters = list(vae.parameters())
    average = Average(vae, 0.995)
    optimiser = make_optimiser(dict(vae.named_parameters()), (0.9, 0.98), preset.vae_run)
    scenes_rng = torch.Generator().manual_seed(preset.seed + 1)
    noise_rng = torch.Generator(place.device).manual_seed(preset.seed + 2)
    path = folder / "vae.pt"
    state = load_checkpoint(path) or {}
    if "model" not in state:
        adopt(average, vae, state.get("average", []))
    else:
        vae.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average.values = [v.to(place.device) for v in state["average"]]
        scenes_rng.set_state(state["scenes_rng"])
        noise_rng.set_state(state["noise_rng"])
        budget.resume(state["budget"])

    def save() -> None:
        save_checkpoint(
            path,
            model=vae.state_dict(),
            average=average.values,
            optimiser=optimiser.state_dict(),
            scenes_rng=scenes_rng.get_state(),
            noise_rng=noise_rng.get_state(),
            budget=budget.state(),
        )

    table = pictures.table.cpu()
    side = preset.latent_size
    compute = place.compile(partial(vae_loss, vae))
    saved, shown = time.monotonic(), 0.0
    while budget.progress < 1:
        scenes = sample_scenes(preset.vae_run.batch, table, preset.odds, scenes_rng)
        batch = paint(scenes, pictures, preset.size)
        noise = torch.randn(
            (len(batch), preset.vae.latent_channels, side, side),
            generator=noise_rng,
            device=place.device,
        )
        set_rate(optimiser, budget.rate(preset.vae_run))
        loss = place.backward(compute, parameters, batch, noise)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.update(vae, budget.step)
        budget.step += 1
        if budget.step % 20 == 0:  # reading the loss waits for the device: now and then only
            shown = loss.item() if not shown else 0.8 * shown + 0.2 * loss.item()
        if budget.step % 100 == 0:
            print(f"vae step {budget.step} loss {shown:.4f} {budget.seconds:.0f} s", flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()


@torch.no_grad()
def measure_latents(preset: Preset, pictures: Pictures, folder: Path, n: int = 512) -> float:
    """Write the latents' standard deviation beside the weights; return it."""
    vae = load_vae(preset, folder).to(pictures.rgba.device)
    generator = torch.Generator().manual_seed(preset.seed + 13)
    scenes = sample_scenes(n, pictures.table.cpu(), preset.odds, generator)
    parts = paint(scenes, pictures, preset.size).split(64)
    std = torch.cat([vae.encode(part).latent_dist.mode() for part in parts]).std().item()
    save_checkpoint(folder / "latents.pt", std=std)
    return std


def load_vae(preset: Preset, folder: Path) -> AutoencoderKL:
    """The averaged weights of a trained autoencoder, with its latents' scale."""
    vae = build_vae(preset)
    average = Average(vae, 0)
    state = load_checkpoint(folder / "decoder.pt") or load_checkpoint(folder / "vae.pt")
    average.values = state["average"]
    average.copy_to(vae)
    if measured := load_checkpoint(folder / "latents.pt"):
        vae.register_to_config(scaling_factor=1 / measured["std"])
    return vae.eval().requires_grad_(False)
