"""The text encoder: a small CLIPTextModel, and CLIP's tokenizer with a vocabulary of our own words.

Its token embeddings are those of a text-similarity model, and stay so: a word that no caption has
lies where its meaning lies, and the layers above treat it as they have learned to treat its neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ..presets import Preset

START, END = "<|startoftext|>", "<|endoftext|>"


def build_text(preset: Preset, tokenizer: CLIPTokenizer, embeddings: torch.Tensor | None = None) -> CLIPTextModel:
    """``embeddings`` [vocabulary, width]: of the tokens, fixed; without them they are left to a checkpoint."""
    shape = preset.text
    text = CLIPTextModel(
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
    tokens = text.get_input_embeddings().weight.requires_grad_(False)
    if embeddings is not None:
        tokens.copy_(embeddings)
    return text


def build_tokenizer(spoken: list[str], dictionary: list[str], preset: Preset) -> CLIPTokenizer:
    """Learn merges from the words that must be whole, weighted up, and a dictionary of English."""
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
    learner.train_from_iterator(spoken * 60 + dictionary, trainer)
    vocab, kept = {token: i for i, token in enumerate(base)}, []
    for left, right in map(tuple, json.loads(learner.to_str())["model"]["merges"]):
        if left in vocab and right in vocab and len(vocab) < preset.text.vocabulary:
            vocab.setdefault(left + right, len(vocab))
            kept.append((left, right))
    return CLIPTokenizer(vocab=vocab, merges=kept, model_max_length=preset.text.length)


def find_embeddings(tokenizer: CLIPTokenizer, embed: Callable[[list[str]], torch.Tensor], preset: Preset):
    """[vocabulary, width]: what ``embed`` says of tokens that are whole words, in its main directions; noise for
    pieces of words."""
    generator = torch.Generator().manual_seed(preset.seed)
    out = torch.randn(preset.text.vocabulary, preset.text.width, generator=generator)
    whole = {i: t.removesuffix("</w>") for t, i in tokenizer.get_vocab().items() if t.endswith("</w>")}
    whole = {i: word for i, word in whole.items() if word.isalpha() and len(word) > 1}
    found = embed(list(whole.values()))
    found = found - found.mean(0)
    _, _, directions = torch.linalg.svd(found, full_matrices=False)
    told = found @ directions[: preset.text.width].T
    out[list(whole)] = F.pad(told / told.square().mean().sqrt(), (0, preset.text.width - told.shape[1]))
    return out


def token_ids(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """[n, length], padded and cut as the pipeline does it."""
    length = tokenizer.model_max_length
    return tokenizer(prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder / "tokenizer")
