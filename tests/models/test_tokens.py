"""Prompts that are longer than the text encoders read."""

from types import SimpleNamespace

import diffusers
import pytest
from diffusers.utils import logging

from pipeline_utils.errors import InputError
from pipeline_utils.models.tokens import check_words, cut_words, meters
from tests import tiny


def clip_pipe():
    return SimpleNamespace(tokenizer=tiny.clip_tokenizer())


def words(count: int) -> str:
    """`count` words of one token each."""
    return " ".join(tiny.WORDS[number % len(tiny.WORDS)] for number in range(count))


@pytest.fixture(scope="module")
def pipes(tmp_path_factory) -> dict:
    made = {}
    for kind in ("tiny_sd", "tiny_sdxl", "tiny_sd3", "tiny_flux"):
        folder = getattr(tiny, kind)(tmp_path_factory.mktemp("models") / kind)
        made[kind] = diffusers.DiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    return made


# Tokens that the prompt may have: CLIP marks both ends of its 77, T5 marks the end of what the pipeline gives it.
ROOM = {"tiny_sd": (75, 77), "tiny_sdxl": (75, 77), "tiny_sd3": (255, 256), "tiny_flux": (511, 512)}


@pytest.mark.parametrize("kind", ROOM)
def test_a_prompt_exactly_at_the_limit_is_read_whole(pipes, kind):
    assert cut_words(pipes[kind], words(ROOM[kind][0]))[0] == ""


@pytest.mark.parametrize("kind", ROOM)
def test_one_word_over_the_limit_is_named(pipes, kind):
    room, limit = ROOM[kind]
    assert cut_words(pipes[kind], words(room) + " fox") == ("fox", limit)


@pytest.mark.parametrize("kind", ["tiny_sd", "tiny_sdxl"])
def test_the_words_named_are_those_that_the_pipeline_says_it_cuts(pipes, kind):
    prompt = words(70) + ", a red fox with one blue star, artsy"
    logger = logging.get_logger(f"diffusers.pipelines.{type(pipes[kind]).__module__.split('.', 2)[2]}")
    heard = []
    handler = logging.logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logger.addHandler(handler)
    try:
        options = {"device": "cpu", "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
        pipes[kind].encode_prompt(prompt, **options)
    finally:
        logger.removeHandler(handler)
    tail, _ = cut_words(pipes[kind], prompt)
    assert tail == "one blue star, artsy"
    assert any(tail.replace(",", " ,") in message for message in heard)


def test_a_suffix_vanishes_first_and_is_named():
    with pytest.raises(InputError) as caught:
        check_words(clip_pipe(), [words(72), words(72) + ", highly realistic painting"])
    assert caught.value.field == "prompt"
    assert "the model reads 77 tokens and would not see “painting”" in str(caught.value)
    assert "shorten it, or allow cutting" in str(caught.value)


def test_a_word_that_is_read_in_part_counts_as_cut():
    assert cut_words(clip_pipe(), words(73) + " zyxwvut")[0] == "zyxwvut"


def test_the_field_that_is_too_long_can_be_named():
    with pytest.raises(InputError, match=r"^negative_prompt: "):
        check_words(clip_pipe(), [words(80)], "negative_prompt")


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        "\n\t",
        "🎨",
        "🎨" * 10,
        "лиса",
        "一只狐狸",
        "e\u0301",
        "\u200b",
        "👩‍👩‍👧‍👦 face",
        "<|endoftext|>",
        "a" * 60,
    ],
)
def test_short_prompts_of_any_script_are_read_whole(pipes, prompt):
    for pipe in pipes.values():
        assert cut_words(pipe, prompt)[0] == ""


@pytest.mark.parametrize("sign", ["🎨", "狐", "é", "z "])
def test_long_prompts_of_any_script_are_cut_at_their_end(sign):
    prompt = (sign * 1000).strip()
    tail, limit = cut_words(clip_pipe(), prompt)
    assert limit == 77
    assert 0 < len(tail) < len(prompt)
    assert prompt.endswith(tail)
    assert cut_words(clip_pipe(), prompt.removesuffix(tail))[0] == ""
    assert cut_words(clip_pipe(), prompt.removesuffix(tail) + tail[:2])[0] != ""


def test_a_tokenizer_that_only_counts_is_enough():
    class Counting:
        model_max_length = 5

        def __call__(self, text, **_):
            return {"input_ids": [0, *text.split(), 1]}

    assert cut_words(SimpleNamespace(tokenizer=Counting()), "one two three four five") == ("four five", 5)


def test_a_model_whose_long_reading_encoder_is_left_out_has_the_limit_of_the_others(pipes):
    pipe = pipes["tiny_sd3"]
    without = diffusers.StableDiffusion3Pipeline(**{**pipe.components, "text_encoder_3": None, "tokenizer_3": None})
    assert cut_words(without, words(75) + " fox") == ("fox", 77)


def test_each_text_encoder_has_a_meter_of_its_own(pipes):
    prompt = words(75) + " fox"
    found = {kind: [(m.encoder, m.used, m.limit, m.tail) for m in meters(pipe, prompt)] for kind, pipe in pipes.items()}
    assert found["tiny_sd"] == [("Text encoder", 78, 77, "fox")]
    assert found["tiny_sdxl"] == [("CLIP-L", 78, 77, "fox"), ("CLIP-G", 78, 77, "fox")]
    assert found["tiny_sd3"][:2] == found["tiny_sdxl"]
    assert [(m[0], m[2:]) for m in found["tiny_sd3"][2:]] == [("T5", (256, ""))]
    assert [(m[0], m[2:]) for m in found["tiny_flux"]] == [("CLIP", (77, "fox")), ("T5", (512, ""))]


def test_counting_leaves_the_tokenizer_as_the_pipeline_set_it(pipes):
    """A round may be encoding its prompts at this moment, with the tokenizer's cutting switched on."""
    tokenizer = pipes["tiny_sd"].tokenizer
    tokenizer("a red fox", padding="max_length", max_length=77, truncation=True)
    before = tokenizer.backend_tokenizer.truncation
    assert before["max_length"] == 77
    check_words(pipes["tiny_sd"], ["a red fox"])
    meters(pipes["tiny_sd"], words(100))
    assert tokenizer.backend_tokenizer.truncation == before
