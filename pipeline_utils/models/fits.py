"""Do the parts of a pipeline fit together? Told when it is loaded, rather than by an error in the first round."""

from __future__ import annotations

from typing import Any

_FOR = {8: "pictures with an instruction", 9: "inpainting", 5: "depth maps", 7: "enlarging pictures"}
# What the denoiser is told of a prompt: the key of its width, and the encoders that give it.
_WIDTHS = {
    "StableDiffusionPipeline": (("cross_attention_dim", ("text_encoder",)),),
    "StableDiffusionXLPipeline": (("cross_attention_dim", ("text_encoder", "text_encoder_2")),),
    "StableDiffusion3Pipeline": (("joint_attention_dim", ("text_encoder_3",)),),
    "FluxPipeline": (("joint_attention_dim", ("text_encoder_2",)), ("pooled_projection_dim", ("text_encoder",))),
}


def misfit(pipe: Any) -> str:
    """Which part takes what another does not give, as the rest of a sentence; "" where all fit, or it is not known.

    pipe: a loaded pipeline, whose configurations are complete.
    """
    kind, parts = type(pipe).__name__, pipe.components
    packed = 4 if kind == "FluxPipeline" else 1  # patches of 2 x 2 latents are one
    name = "unet" if parts.get("unet") is not None else "transformer"
    denoiser, vae = parts.get(name), parts.get("vae")
    if denoiser is None or vae is None or kind not in _WIDTHS:
        return ""
    config = denoiser.config
    given = packed * vae.config.latent_channels
    if config.in_channels != given:
        purpose = _FOR.get(config.in_channels) if given == 4 else None
        why = f", as for {purpose}, so it makes no pictures from a prompt alone" if purpose else ""
        return f"its {name} takes {config.in_channels} channels and its vae has {given}{why}"
    for reads, names in _WIDTHS[kind]:
        encoders = [parts[each] for each in names if parts.get(each) is not None]
        wanted, wide = config.get(reads), sum(map(_width, encoders))
        if encoders and isinstance(wanted, int) and wanted != wide:
            return f"its {name} reads texts of width {wanted} ({reads}) and its text encoders give {wide}"
    return ""


def _width(encoder: Any) -> int:
    return getattr(encoder.config, "d_model", None) or encoder.config.hidden_size
