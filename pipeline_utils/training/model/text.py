"""The text encoder: a small CLIPTextModel, and CLIP's tokenizer with a vocabulary of our own words."""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ..presets import Preset

START, END = "<|startoftext|>", "<|endoftext|>"


def build_text(preset: Preset, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    shape = preset.text
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            intermediate_size=3 * shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=shape.length,
            hidden_act="gelu",
            projection_dim=shape.width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_tokenizer(spoken: Iterable[str], dictionary: Iterable[str], preset: Preset) -> CLIPTokenizer:
    """Learn merges from the captions' words, weighted up, and a dictionary of English."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Every byte, alone and at a word's end: nothing a person types is ever unknown.
    base = [START, END, *alphabet, *(letter + "</w>" for letter in alphabet)]
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    rules = CLIPTokenizer(vocab={t: i for i, t in enumerate(base)}, merges=[]).backend_tokenizer
    learner.normalizer, learner.pre_tokenizer = rules.normalizer, rules.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=preset.text.vocabulary - len(alphabet),
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        min_frequency=2,
        show_progress=False,
    )
    learner.train_from_iterator(list(spoken) * 60 + list(dictionary), trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    vocab = {token: i for i, token in enumerate(base)}
    kept = []
    for left, right in merges:
        if left in vocab and right in vocab and len(vocab) < preset.text.vocabulary:
            vocab.setdefault(left + right, len(vocab))
            kept.append((left, right))
    return CLIPTokenizer(vocab=vocab, merges=kept, model_max_length=preset.text.length)


def token_ids(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """[n, length], padded and cut as the pipeline does it."""
    length = tokenizer.model_max_length
    return tokenizer(prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
