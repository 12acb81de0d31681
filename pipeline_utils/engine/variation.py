"""The noise of a variation: that of a picture's own seed, turned towards the noise of a second seed.

A pipeline draws its noise in `prepare_latents`. Here it does so twice, and the two are blended for each
picture that has a variation. What a sampler draws in its steps (Euler a) comes from the generator of the
picture's own seed, as it is after its first draw, so it is that of the pick at every strength.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch

from pipeline_utils.recipe.recipe import Recipe


def varied(pipe, recipes: Sequence[Recipe]):
    """`pipe`, a clone for one call, with the noise of each recipe that has a variation blended.

    The noise of the others is what it was, bit for bit.
    """
    if all(recipe.variation_seed is None for recipe in recipes):
        return pipe
    draw = pipe.prepare_latents
    signature = inspect.signature(draw)

    def prepare_latents(*args, **kwargs):
        call = signature.bind(*args, **kwargs)
        first = draw(*call.args, **call.kwargs)
        seeds = [recipe.seed if recipe.variation_seed is None else recipe.variation_seed for recipe in recipes]
        call.arguments["generator"] = [
            torch.Generator(recipe.noise_device).manual_seed(seed) for recipe, seed in zip(recipes, seeds, strict=True)
        ]
        second = draw(*call.args, **call.kwargs)
        if isinstance(first, torch.Tensor):
            return _blended(first, second, recipes)
        return _blended(first[0], second[0], recipes), *first[1:]  # Flux returns the places of its patches too

    pipe.prepare_latents = prepare_latents
    return pipe


def _blended(first: torch.Tensor, second: torch.Tensor, recipes: Sequence[Recipe]) -> torch.Tensor:
    mixed = first.clone()  # [picture, ...]
    for at, recipe in enumerate(recipes):
        if recipe.variation_seed is not None:
            mixed[at] = slerp(first[at], second[at], recipe.variation_strength)
    return mixed


# Scripts of rounds hold a copy of this function, see as_python.
def slerp(one, other, share):
    """Spherical interpolation: `one` at share 0, `other` at share 1, on the great circle in between."""
    a, b = one.double(), other.double()  # float64, so that the order of the sums never shows
    angle = torch.arccos(((a * b).sum() / (a.norm() * b.norm())).clamp(-1, 1))
    if torch.sin(angle) < 1e-6:  # the same direction: a straight line is the same
        return ((1 - share) * a + share * b).to(one.dtype)
    ratio = [torch.sin(part * angle) / torch.sin(angle) for part in (1 - share, share)]
    return (ratio[0] * a + ratio[1] * b).to(one.dtype)
