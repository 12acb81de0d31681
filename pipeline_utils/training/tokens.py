"""The tokenizer: CLIP's rules with a small byte-pair vocabulary of our own words."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from .captions import Book
from .meanings import Meanings

START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(book: Book, meanings: Meanings, vocabulary: int, length: int) -> CLIPTokenizer:
    """Learn merges from the captions' words (weighted up) and a dictionary of English."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Every byte, alone and at a word's end: nothing a person types is ever unknown.
    base = [START, END, *alphabet, *(letter + "</w>" for letter in alphabet)]
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    rules = CLIPTokenizer(vocab={t: i for i, t in enumerate(base)}, merges=[]).backend_tokenizer
    learner.normalizer, learner.pre_tokenizer = rules.normalizer, rules.pre_tokenizer
    corpus = book.fragments * 60 + [w for held in meanings.held_out for w in held] + meanings.words
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(alphabet),
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        min_frequency=2,
        show_progress=False,
    )
    learner.train_from_iterator(corpus, trainer)
    merges = learner.get_merges() if hasattr(learner, "get_merges") else _merges(learner)
    vocab = {token: i for i, token in enumerate(base)}
    kept = []
    for left, right in merges:
        if left in vocab and right in vocab and len(vocab) < vocabulary:
            vocab.setdefault(left + right, len(vocab))
            kept.append((left, right))
    return CLIPTokenizer(vocab=vocab, merges=kept, model_max_length=length)


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    import json

    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(p) if isinstance(p, list) else tuple(p.split(" ")) for p in pairs]
