"""Tokenizers and models of some thousand weights, from which tests/tiny.py makes pipelines."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

# One token each for the tokenizers below; any other word is read letter by letter.
_TEXT = """
a an and at by cat coffee colorful cup dog face fox hat highly house in labrador lighthouse of oil on one painting
photo pixel art picture realistic red blue green smiling star storm style sun table the to trending artsy two vermeer
watercolor wooden with
"""
WORDS = tuple(_TEXT.split())
_START, _END = "<|startoftext|>", "<|endoftext|>"
TEXT_WIDTH = 16  # channels of every text encoder here


@lru_cache(maxsize=1)
def _merges() -> tuple[tuple[str, str], ...]:
    """Byte pair merges that make every word of WORDS one token, most frequent pair first."""
    words = [[*word[:-1], word[-1] + "</w>"] for word in WORDS]
    merges = []
    while pairs := Counter(pair for word in words for pair in pairwise(word)):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = ["".join(best)]
                at += 1
    return tuple(merges)


def clip_tokenizer() -> CLIPTokenizer:
    """A real CLIPTokenizer of some hundred tokens, 77 tokens a prompt with both markers."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, _merges()), _START, _END]
    vocab = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=list(_merges()), model_max_length=77)


def t5_tokenizer() -> T5Tokenizer:
    """A real T5Tokenizer: WORDS, ASCII letters, and everything else as the unknown token."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [("▁" + word, -2.0) for word in WORDS]
    pieces += [(chr(code), -6.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def clip_text_model(kind: type = CLIPTextModel):
    tokenizer = clip_tokenizer()
    model = kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    return model


def t5(width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=len(t5_tokenizer()), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    )


def vae(**more) -> AutoencoderKL:
    """4 latent channels, a quarter of the pixels each way."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
        **more,
    )


def unet(**more) -> UNet2DConditionModel:
    model = UNet2DConditionModel(
        **{
            "block_out_channels": (8, 16),
            "layers_per_block": 1,
            "in_channels": 4,
            "out_channels": 4,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": TEXT_WIDTH,
            "attention_head_dim": 2,
            "norm_num_groups": 4,
            **more,
        }
    )
    return louder(model, "attn2.to_v", 16)


def louder(model: torch.nn.Module, names: str, factor: float) -> torch.nn.Module:
    """Random weights hardly hear the prompt; larger ones where it comes in make it seen."""
    for name, weight in model.named_parameters():
        if re.search(names, name):
            weight.data *= factor
    return model
