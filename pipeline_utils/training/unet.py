"""The denoiser: velocity prediction on latents, told what to paint by the text encoder."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextModel

from .captions import Book, Tokens, compose
from .components import Components
from .optimiser import make_optimiser
from .presets import Preset
from .progress import SAVE_EVERY, Average, Budget, adopt, load_checkpoint, save_checkpoint, set_rate
from .reader import SHARE, Reader
from .render import Pictures
from .runtime import Place
from .source import Source


def build_unet(preset: Preset) -> UNet2DConditionModel:
    shape = preset.unet
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(shape.attention)]
    return UNet2DConditionModel(
        sample_size=preset.latent_size,
        in_channels=preset.vae.latent_channels,
        out_channels=preset.vae.latent_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=shape.widths,
        layers_per_block=shape.layers,
        norm_num_groups=shape.groups,
        cross_attention_dim=preset.text.width,
        # diffusers reads this as the number of heads.
        attention_head_dim=tuple(width // shape.head_width for width in shape.widths),
        # The pooled prompt scales and shifts every block: a short way in for what the
        # picture as a whole is, beside cross-attention. It is computed from the prompt's
        # hidden states inside the UNet, so the plain pipeline needs nothing for it.
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=preset.text.heads,
    )


def build_scheduler() -> DDIMScheduler:
    """Cosine noise levels ending in pure noise. Without zero terminal SNR a model cannot
    paint pure white or black, and backgrounds come out greyish."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def spread_timesteps(n: int, total: int, generator: torch.Generator) -> torch.Tensor:
    """One timestep from each of n stretches, shuffled: steadier than free draws.

    Half of them lie in the noisiest quarter. What is painted, and where, is decided there,
    while little noise is easy to see through and hard to name to the last bit: drawn
    evenly, the least noise has the largest loss and takes most of the learning.
    """
    places = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    return ((1 - (1 - places) ** 2) * total).long().clamp(max=total - 1)[torch.randperm(n, generator=generator)]


def unet_loss(unet, reader, text, alphas, latents, noise, draws, timesteps, ids) -> torch.Tensor:
    """Mean squared error of the velocity, and of the draws as read on the way.

    latents, noise [n, c, s, s]; draws [n, VARIABLES]; ids [n, length].
    """
    with torch.no_grad():
        states = text(ids).last_hidden_state
    level = alphas[timesteps].view(-1, 1, 1, 1)
    signal, sigma = level.sqrt(), (1 - level).sqrt()
    predicted = unet(signal * latents + sigma * noise, timesteps, states).sample.float()
    error = (predicted - (signal * noise - sigma * latents)).square().mean()
    return error + SHARE * reader.loss(draws, 1 - alphas[timesteps][:, None])


def train_unet(
    preset: Preset,
    pictures: Pictures,
    book: Book,
    tokens: Tokens,
    text: CLIPTextModel,
    components: Components,
    folder: Path,
    budget: Budget,
    place: Place,
) -> None:
    """Train, resuming from ``folder/unet.pt``."""
    torch.manual_seed(preset.seed + 5)
    unet = build_unet(preset).to(place.device)
    if place.device == "cpu":
        # Below 64 positions, fused attention spends half of a step in its backward pass.
        unet.set_attn_processor(AttnProcessor())
    average = Average(unet, preset.ema)
    reader = Reader(unet).to(place.device)
    named = dict(nn.ModuleDict({"unet": unet, "reader": reader}).named_parameters())
    optimiser = make_optimiser(named, (0.9, 0.99), preset.unet_run)
    cpu_rng = torch.Generator().manual_seed(preset.seed + 6)
    noise_rng = torch.Generator(place.device).manual_seed(preset.seed + 7)
    path = folder / "unet.pt"
    state = load_checkpoint(path) or {}
    if "model" not in state:
        adopt(average, unet, state.get("average", []))
    else:
        unet.load_state_dict(state["model"])
        reader.load_state_dict(state["reader"])
        optimiser.load_state_dict(state["optimiser"])
        average.values = [v.to(place.device) for v in state["average"]]
        cpu_rng.set_state(state["cpu_rng"])
        noise_rng.set_state(state["noise_rng"])
        budget.resume(state["budget"])

    def save() -> None:
        save_checkpoint(
            path,
            model=unet.state_dict(),
            reader=reader.state_dict(),
            average=average.values,
            optimiser=optimiser.state_dict(),
            cpu_rng=cpu_rng.get_state(),
            noise_rng=noise_rng.get_state(),
            budget=budget.state(),
        )

    text = text.to(place.device)
    source = Source(preset, pictures, components, place)
    tokens = tokens.to(place.device)
    alphas = build_scheduler().alphas_cumprod.to(place.device)
    compute = place.compile(partial(unet_loss, unet, reader, text, alphas))
    parameters = list(named.values())
    n = preset.unet_run.batch
    saved, shown = time.monotonic(), torch.zeros((), device=place.device)
    while budget.progress < 1:
        # 1. What to paint, and one way to say it; sometimes nothing is said, for guidance.
        scenes = source.scenes(n, cpu_rng)
        rows = compose(scenes, book, preset.odds, cpu_rng)
        mute = torch.rand(n, generator=cpu_rng) < preset.caption_dropout
        rows = torch.where(mute[:, None], 0, rows)
        timesteps = spread_timesteps(n, len(alphas), cpu_rng).to(place.device)
        latents, noise = source.latents(scenes), source.noise(scenes, noise_rng)

        # 2. One step.
        set_rate(optimiser, budget.rate(preset.unet_run))
        ids = tokens.assemble(rows.to(place.device))
        draws = scenes.draws.to(place.device)
        loss = place.backward(compute, parameters, latents, noise, draws, timesteps, ids)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        average.update(unet, budget.step)
        budget.step += 1

        # 3. A word now and then; reading the loss waits for the device.
        shown = shown + loss
        if budget.step % 50 == 0:
            mean = shown.item() / 50
            shown = torch.zeros((), device=place.device)
            rate = optimiser.param_groups[0]["lr"]
            print(
                f"unet step {budget.step} loss {mean:.4f} rate {rate:.1e} {budget.seconds:.0f} s",
                flush=True,
            )
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()


def load_unet(preset: Preset, folder: Path) -> UNet2DConditionModel:
    """The averaged weights of a trained UNet."""
    unet = build_unet(preset)
    average = Average(unet, 0)
    average.values = load_checkpoint(folder / "unet.pt")["average"]
    average.copy_to(unet)
    return unet.eval().requires_grad_(False)
