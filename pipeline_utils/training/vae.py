"""The autoencoder: pictures [n, 3, s, s] in [-1, 1] <-> latents [n, c, s/f, s/f].

Its latents are given (see components): encoder and decoder learn to follow them, each for
itself, while the denoiser trains beside them on the very same latents.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from .augment import paint, sample_scenes
from .components import Components
from .critic import RATE, SHARE, Critic, critic_loss, pull
from .optimiser import make_optimiser
from .presets import Preset
from .progress import SAVE_EVERY, Average, Budget, adopt, load_checkpoint, save_checkpoint, set_rate
from .render import Pictures
from .runtime import Place

LATENT_LOG_VARIANCE = -6.0  # what the encoder states of its own precision: a std of 0.05
ENCODER_EVERY = 4  # steps; a nearly linear map is soon learned, and prompts never need it
RAMP = 300  # steps over which the critic is heard more and more: at first it knows nothing
STRAY = 0.1  # most noise on a latent of unit size: denoised latents are never quite right


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
        scaling_factor=1.0,  # the components have unit size
    )


def halves(vae: AutoencoderKL) -> tuple[dict[str, torch.nn.Parameter], dict[str, torch.nn.Parameter]]:
    """The encoder's parameters by name, and the decoder's."""
    named = dict(vae.named_parameters())
    ours = {k: p for k, p in named.items() if k.startswith(("decoder.", "post_quant_conv."))}
    return {k: p for k, p in named.items() if k not in ours}, ours


def encoder_loss(vae: AutoencoderKL, pictures: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    moments = vae.encode(pictures).latent_dist
    spread = (moments.logvar.float() - LATENT_LOG_VARIANCE).square().mean()
    return (moments.mean.float() - latents).square().mean() + 1e-3 * spread


def decoder_loss(decode, critic: Critic, share: float, latents: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """The errors' loss, with the gradient of errors and critic together."""
    rebuilt = decode(latents).float()
    direction, errors = pull(rebuilt, pictures, critic, share)
    pulled = (rebuilt * direction).sum()
    return pulled + (errors - pulled).detach()


def train_vae(
    preset: Preset, pictures: Pictures, components: Components, folder: Path, budget: Budget, place: Place
) -> None:
    """Train both halves, resuming from ``folder/vae.pt``."""
    torch.manual_seed(preset.seed)
    vae = build_vae(preset).to(place.device)
    critic = Critic().to(place.device).eval()
    components = components.to(place.device)
    encoder, decoder = halves(vae)
    average = Average(vae, 0.998)
    optimisers = {
        "encoder": make_optimiser(encoder, (0.9, 0.98), preset.vae_run),
        "decoder": make_optimiser(decoder, (0.9, 0.98), preset.vae_run),
        "critic": torch.optim.AdamW(critic.parameters(), lr=RATE, betas=(0.5, 0.9), weight_decay=0.0),
    }
    scenes_rng = torch.Generator().manual_seed(preset.seed + 1)
    noise_rng = torch.Generator(place.device).manual_seed(preset.seed + 2)
    path = folder / "vae.pt"
    state = load_checkpoint(path) or {}
    if "model" not in state:
        adopt(average, vae, state.get("average", []))
    else:
        vae.load_state_dict(state["model"])
        critic.load_state_dict(state["critic_model"])
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict(state[name])
        average.values = [v.to(place.device) for v in state["average"]]
        scenes_rng.set_state(state["scenes_rng"])
        noise_rng.set_state(state["noise_rng"])
        budget.resume(state["budget"])

    def save() -> None:
        save_checkpoint(
            path,
            model=vae.state_dict(),
            critic_model=critic.state_dict(),
            average=average.values,
            **{name: optimiser.state_dict() for name, optimiser in optimisers.items()},
            scenes_rng=scenes_rng.get_state(),
            noise_rng=noise_rng.get_state(),
            budget=budget.state(),
        )

    def follow(name: str, parameters: list, loss_of, *batch: torch.Tensor) -> torch.Tensor:
        loss = place.backward(loss_of, parameters, *batch)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        set_rate(optimisers[name], budget.rate(preset.vae_run))
        optimisers[name].step()
        optimisers[name].zero_grad()
        return loss

    table = pictures.table.cpu()
    decode = place.compile(lambda latents: vae.decode(latents).sample)
    encode = partial(encoder_loss, vae)
    saved, shown, off = time.monotonic(), torch.zeros(2, device=place.device), torch.zeros((), device=place.device)
    while budget.progress < 1:
        # 1. Pictures, their latents, and latents gone a little astray.
        real = paint(sample_scenes(preset.vae_run.batch, table, preset.odds, scenes_rng), pictures, preset.size)
        latents = components.latents(real)
        stray = STRAY * torch.rand(len(real), 1, 1, 1, generator=noise_rng, device=place.device)
        drawn = torch.randn(latents.shape, generator=noise_rng, device=place.device)

        # 2. The halves.
        heard = budget.step - preset.critic_from
        share = SHARE * min(1.0, max(0.0, heard / RAMP))
        loss_of = partial(decoder_loss, decode, critic, share)
        errors = follow("decoder", list(decoder.values()), loss_of, latents + stray * drawn, real)
        if budget.step % ENCODER_EVERY == 0:
            off = follow("encoder", list(encoder.values()), encode, real, latents)

        # 3. The critic.
        if heard >= 0:
            with torch.no_grad(), place.autocast():
                rebuilt = decode(latents + stray * drawn).float()
            critic.train()  # spectral norms move with the critic's own steps alone
            critic_loss(critic, real, rebuilt).backward()
            critic.eval()
            optimisers["critic"].step()
            optimisers["critic"].zero_grad()
        average.update(vae, budget.step)
        budget.step += 1

        # 4. A word now and then; reading losses waits for the device.
        shown = shown + torch.stack([errors, off])
        if budget.step % 100 == 0:
            decoded, encoded = (shown / 100).tolist()
            shown = torch.zeros_like(shown)
            print(
                f"vae step {budget.step} decoder {decoded:.4f} encoder {encoded:.4f} {budget.seconds:.0f} s",
                flush=True,
            )
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()


def load_vae(preset: Preset, folder: Path) -> AutoencoderKL:
    """The averaged weights of a trained autoencoder."""
    vae = build_vae(preset)
    average = Average(vae, 0)
    average.values = load_checkpoint(folder / "vae.pt")["average"]
    average.copy_to(vae)
    return vae.eval().requires_grad_(False)
