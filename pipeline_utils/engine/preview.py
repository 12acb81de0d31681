"""Latents to small RGB pictures, so that people can watch a picture grow. Never touches what is made.

A linear map, one 3 x 3 convolution, is fitted to the decoder of the loaded model from a few
random fields, once. On the bundled model's first edition it had two fifths of the error of one colour for a latent;
smooth fields teach it more than noise does, and pictures made by the model hardly more than these. A decoder that no
such map follows, of latents whose channels move or recolour what others hold, is asked itself, and less often.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SchedulerMixin
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, interpolate, pad, pixel_shuffle

EVERY = 0.1  # seconds from one preview to the next; a page need not show more
DEAR = 20  # times what a preview takes of a decoder passes before the next
_FOLLOWS = 0.75  # of the variance of what a decoder makes, from which a linear map does for it
_SIDE = 128  # pixels of a preview's longer side, at most
_GRID, _AMPLITUDE, _ROUGHNESS, _RIDGE = 16, 1.2, 0.3, 0.01

_maps: WeakKeyDictionary[torch.nn.Module, torch.Tensor | None] = WeakKeyDictionary()  # by the VAE they were fitted to
_takes: WeakKeyDictionary[torch.nn.Module, float] = WeakKeyDictionary()  # seconds of a decoder that is asked itself


class Watcher:
    """Looks over the shoulder of the schedulers of one call; `pipe` must be a clone of its own. vae: the model's.

    Their step methods are wrapped: called with what the pipeline gives, answering what they answer.
    """

    def __init__(
        self, pipe, width: int, height: int, vae: AutoencoderKL | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pipe, self._size, self._vae, self._clock = pipe, (height, width), vae, clock
        self._seen: tuple | None = None
        self._due = clock() + DEAR * self._takes()
        for part in pipe.components.values():
            if isinstance(part, SchedulerMixin):
                part.step = self._watched(part, part.step)

    def pictures(self, count: int) -> np.ndarray | None:
        """The first `count` lanes as they are now: uint8 [count, height, width, 3], or None.

        None where there is nothing to see: too soon after the last ones, or the prior of an UnCLIP.
        """
        if self._seen is None or self._clock() < self._due:
            return None
        with torch.no_grad():
            latents = clean(*self._seen)
            shown = self._shown(latents[:count].detach()) if latents.ndim > 2 else None
        self._seen, self._due = None, self._clock() + max(EVERY, DEAR * self._takes())
        return shown

    def _takes(self) -> float:
        return 0.0 if self._vae is None else _takes.get(self._vae, 0.0)

    def _watched(self, scheduler: SchedulerMixin, step: Callable) -> Callable:
        @functools.wraps(step)  # pipelines read the signature to learn whether a sampler draws noise
        def watched(model_output, timestep, sample, *more, **named):
            result = step(model_output, timestep, sample, *more, **named)
            self._seen = scheduler, model_output, timestep, sample, result
            return result

        return watched

    def _shown(self, latents: torch.Tensor) -> np.ndarray:
        if latents.ndim == 3:  # Flux: [lanes, patches, 4 * channels]
            latents = self._pipe._unpack_latents(latents, *self._size, self._pipe.vae_scale_factor)
        latents = latents.float().cpu()  # [lanes, channels, h, w]
        if self._vae is None:  # an UnCLIP works on pixels from -1 to 1
            return _as_bytes(latents / 2 + 0.5)
        if (weights := fit(self._vae)) is not None:
            return _as_bytes(projected(latents, weights))
        began = self._clock()
        decoded = _decoded(self._vae, latents)
        _takes[self._vae] = self._clock() - began
        return _as_bytes(decoded)


def clean(scheduler: SchedulerMixin, model_output, timestep, sample, result) -> torch.Tensor:
    """What a step takes the finished latents to be; the noisy ones where the scheduler does not say.

    Read from what went into the step and came out of it, in the units of the latents that are decoded.
    """
    told = getattr(result, "pred_original_sample", None)
    if told is None and isinstance(result, tuple) and len(result) > 1:
        told = result[1]  # DDIM, Euler, Euler a, LCM
    if told is not None:
        return told
    config = scheduler.config
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return sample - timestep / config.num_train_timesteps * model_output
    solver = config.get("algorithm_type", "")
    if config.get("predict_x0", solver.endswith("dpmsolver++")):  # UniPC, DPM-Solver++
        return scheduler.model_outputs[-1]
    if hasattr(scheduler, "alphas_cumprod") and not hasattr(scheduler, "sigmas"):  # PNDM
        signal = scheduler.alphas_cumprod[int(timestep)].item()
        if config.prediction_type == "v_prediction":
            return signal**0.5 * sample - (1 - signal) ** 0.5 * model_output
        if config.prediction_type == "epsilon":
            return (sample - (1 - signal) ** 0.5 * model_output) / max(signal, 1e-4) ** 0.5
    return result[0]


def fit(vae: AutoencoderKL) -> torch.Tensor | None:
    """Weights of a convolution from latents to RGB patches, [3 * patch * patch, channels + 1, 3, 3].

    patch is 4, or the decoder's own factor where that is smaller; values are for RGB from 0 to 1; the
    last channel is for ones. Fitted on the first call, in float32, on a copy, where the VAE is now. None for a
    decoder that is too unlike a linear map.
    """
    if vae not in _maps:
        _maps[vae] = _fit(vae)
    return _maps[vae]


def projected(latents: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Latents [n, channels, h, w] as RGB [n, 3, h * p, w * p]; p is smaller for large latents."""
    patch = int((len(weights) / 3) ** 0.5)
    side = max(latents.shape[-2:])
    keep = next((p for p in (4, 2, 1) if patch % p == 0 and side * p <= 64), 1)
    if keep < patch:  # the mean of pixels is the mean of their weights
        shape = weights.shape[1:]
        weights = weights.reshape(3, keep, patch // keep, keep, patch // keep, *shape).mean(dim=(2, 4))
        weights = weights.reshape(3 * keep * keep, *shape)
    return pixel_shuffle(conv2d(_framed(latents), weights), keep)


def _framed(latents: torch.Tensor) -> torch.Tensor:
    """With a channel of ones, and the outermost values repeated once round it."""
    ones = torch.ones_like(latents[:, :1])
    return pad(torch.cat([latents, ones], dim=1), (1, 1, 1, 1), mode="replicate")


def _decoded(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """RGB from 0 to 1, in full precision: in halves some decoders overflow.

    The copy takes no part in offloading and draws no weights, so neither the model nor its users notice.
    """
    config = vae.config
    with torch.device("meta"):
        whole = type(vae).from_config(config)
    device = next(vae.parameters()).device
    weights = {name: value.detach().to(device, torch.float32) for name, value in vae.state_dict().items()}
    whole.load_state_dict(weights, assign=True)
    scaled = latents / config.scaling_factor
    if config.get("latents_mean") and config.get("latents_std"):
        mean, std = (torch.tensor(config[name]).view(1, -1, 1, 1) for name in ("latents_mean", "latents_std"))
        scaled = scaled * std + mean
    scaled = scaled + (config.get("shift_factor") or 0)
    with torch.no_grad():
        return whole.eval().decode(scaled.to(device)).sample.cpu().clamp(-1, 1) / 2 + 0.5


def _fit(vae: AutoencoderKL) -> torch.Tensor | None:
    config, draw = vae.config, torch.Generator().manual_seed(0)
    channels, factor = config.latent_channels, 2 ** (len(config.block_out_channels) - 1)

    # Places that teach have to outnumber what is learnt from them: 9 weights for each channel.
    fields = max(4, channels // 6)

    def noise(side: int) -> torch.Tensor:
        return torch.randn(fields, channels, side, side, generator=draw)

    # 1. Fields as smooth as pictures are, with some detail.
    smooth = interpolate(noise(_GRID // 2), size=_GRID, mode="bicubic")
    latents = (1 - _ROUGHNESS**2) ** 0.5 * smooth / smooth.std() + _ROUGHNESS * noise(_GRID)
    latents = _AMPLITUDE * latents
    # 2. What the decoder makes of them.
    decoded = _decoded(vae, latents)
    # 3. Least squares with a ridge, from 3 x 3 latents to a patch.
    patch = min(4, factor)
    target = adaptive_avg_pool2d(decoded, _GRID * patch)
    target = torch.nn.functional.pixel_unshuffle(target, patch)  # [fields, 3 * patch * patch, grid, grid]
    target = target.permute(0, 2, 3, 1).reshape(-1, 3 * patch * patch).double()
    given = torch.nn.functional.unfold(_framed(latents), 3).transpose(1, 2)
    given = given.reshape(-1, (channels + 1) * 9).double()
    square = given.T @ given + _RIDGE * len(given) * torch.eye(given.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(square, given.T @ target)  # [(channels + 1) * 9, 3 * patch * patch]
    left = (given @ solved - target).square().mean() / target.var(0).mean()
    return None if left > 1 - _FOLLOWS else solved.T.reshape(-1, channels + 1, 3, 3).float()


def _as_bytes(rgb: torch.Tensor) -> np.ndarray:
    """RGB [n, 3, h, w] from 0 to 1 as uint8 [n, h, w, 3], no side longer than 128."""
    shrink = -(-max(rgb.shape[-2:]) // _SIDE)
    if shrink > 1:
        rgb = avg_pool2d(rgb, shrink)
    return (rgb.nan_to_num().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
