"""Rounds: which seeds and suffixes make which recipes."""

import pytest

from pipeline_utils.errors import InputError
from pipeline_utils.recipe import MAX_SEED, Recipe
from pipeline_utils.rounds import (
    MAX_PICTURES,
    MAX_SUFFIXES,
    check_seeds,
    check_suffixes,
    first_round,
    parse_seeds,
    second_round,
)

RECIPE = Recipe(
    model="emoji-sd",
    revision="0" * 40,
    prompt="a fox",
    seed=9,
    num_inference_steps=20,
    guidance_scale=7.5,
    scheduler="DDIMScheduler",
    width=64,
    height=64,
    dtype="float32",
    lanes=4,
)


def no_draw(_: int) -> int:
    raise AssertionError("a seed was drawn")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0-3", [0, 1, 2, 3]),
        ("7, 42, 1000-1003", [7, 42, 1000, 1001, 1002, 1003]),
        ("0", [0]),
        ("4294967295", [2**32 - 1]),
        ("4294967294-4294967295", [2**32 - 2, 2**32 - 1]),
        (" 3 ,1,\n2 ", [3, 1, 2]),
        ("5 - 6", [5, 6]),
        ("007", [7]),
        ("8-8", [8]),
        ("0-63", list(range(64))),
    ],
)
def test_seeds_are_read_in_the_order_written(text, seeds):
    assert parse_seeds(text, no_draw) == seeds


class Draw:
    """Draws the values it is given, and notes the limits it is asked for."""

    def __init__(self, *values: int):
        self.values, self.limits = list(values), []

    def __call__(self, limit: int) -> int:
        self.limits.append(limit)
        return self.values.pop(0)


def test_random_seeds_are_drawn_once_each_from_the_whole_range():
    draw = Draw(5, 0, MAX_SEED, 5, 8)
    assert parse_seeds("4 random", draw) == [5, 0, MAX_SEED, 8]  # the second 5 is drawn again
    assert draw.limits == [2**32] * 5


def test_random_seeds_stand_among_written_ones():
    assert parse_seeds("1, 2 random, 3", Draw(10, 11)) == [1, 10, 11, 3]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", "whole numbers from 0 to 4294967295"),
        (" ", "whole numbers from 0"),
        ("abc", "whole numbers from 0"),
        ("-3", "whole numbers from 0"),
        ("1.5", "whole numbers from 0"),
        ("1e3", "whole numbers from 0"),
        ("٣", "whole numbers from 0"),
        ("²", "whole numbers from 0"),
        ("0x10", "whole numbers from 0"),
        ("random", "whole numbers from 0"),
        ("many random", "whole numbers from 0"),
        ("1,,2", "whole numbers from 0"),
        ("1,", "whole numbers from 0"),
        ("1-2-3", "whole numbers from 0"),
        ("4294967296", "at most 4294967295 for seeds"),
        ("9" * 1000, "at most 4294967295 for seeds"),
        ("0-4294967296", "at most 4294967295 for seeds"),
        ("5-2", "a range goes upwards, such as 2-5"),
        ("0-1000000", "a round holds at most 64 pictures"),
        ("0-64", "a round holds at most 64 pictures"),
        ("0-40, 50-90", "a round holds 1 to 64 pictures"),
        ("65 random", "at most 64 for random seeds"),
        ("0 random", "a round holds 1 to 64 pictures"),
        ("7, 7", "each seed stands once"),
        ("0-3, 2", "each seed stands once"),
        ("1" * 3000, "at most 2000 characters"),
        ("1\x00", "control characters"),
        (None, "text is needed"),
        (7, "text is needed"),
    ],
)
def test_other_seeds_are_refused_with_the_limit(text, limit):
    with pytest.raises(InputError, match=r"^seeds: ") as caught:
        parse_seeds(text, no_draw)
    assert limit in caught.value.limit
    assert len(str(caught.value)) < 300


def test_a_first_round_is_one_prompt_with_many_seeds():
    made = first_round(RECIPE, [0, 7, 2**32 - 1])
    assert (made.number, made.parent, {place.parent for place in made.places}) == (1, None, {None})
    assert [recipe.seed for recipe in made.recipes] == [0, 7, 2**32 - 1]
    assert {recipe.prompt for recipe in made.recipes} == {"a fox"}
    assert not any(place.control or place.suffix for place in made.places)


@pytest.mark.parametrize("seeds", [[], [1, 1], list(range(MAX_PICTURES + 1))])
def test_a_first_round_refuses_no_seeds_too_many_and_the_same_twice(seeds):
    with pytest.raises(InputError, match=r"^seeds: "):
        first_round(RECIPE, seeds)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None, True])
def test_a_first_round_refuses_what_is_no_seed(seed):
    with pytest.raises(InputError, match=r"^seed: "):
        first_round(RECIPE, [seed])


def test_a_second_round_is_led_by_the_control_which_is_the_pick_itself():
    made = second_round(RECIPE, [", pixel art", ", watercolor"], parent="abc")
    control, *styled = made.places
    assert control.control
    assert control.recipe == RECIPE
    assert control.suffix is None
    assert [place.recipe.prompt for place in styled] == ["a fox, pixel art", "a fox, watercolor"]
    assert [place.suffix for place in styled] == [", pixel art", ", watercolor"]
    assert {place.recipe.seed for place in made.places} == {9}
    assert not any(place.control for place in styled)
    assert (made.number, made.parent, {place.parent for place in made.places}) == (2, "abc", {"abc"})


def test_a_round_is_made_from_any_picture_of_any_round():
    picked = second_round(RECIPE, [", pixel art"]).recipes[1]
    made = second_round(picked, [", blue"], number=3)
    assert [recipe.prompt for recipe in made.recipes] == ["a fox, pixel art", "a fox, pixel art, blue"]
    assert made.number == 3


@pytest.mark.parametrize("count", [1, MAX_SUFFIXES])
def test_one_to_sixteen_suffixes_are_taken(count):
    assert len(second_round(RECIPE, [f", style {n}" for n in range(count)]).places) == count + 1


@pytest.mark.parametrize(
    ("suffixes", "field", "limit"),
    [
        ([], "suffixes", "a round takes 1 to 16"),
        ([f", {n}" for n in range(17)], "suffixes", "a round takes 1 to 16"),
        ("pixel art", "suffixes", "a list of texts"),
        (None, "suffixes", "a list of texts"),
        ([", a", ""], "suffix 2", "at least one word"),
        ([" , "], "suffix 1", "at least one word"),
        ([", a", ", b", ", a"], "suffix 3", "it is in the list already"),
        (["x" * 10_000], "suffix 1", "at most 200 characters"),
        ([7], "suffix 1", "text is needed"),
        ([None], "suffix 1", "text is needed"),
        ([["a"]], "suffix 1", "text is needed"),
        (["a\x07"], "suffix 1", "control characters"),
        (["\ud800"], "suffix 1", "a lone surrogate"),
    ],
)
def test_other_suffixes_are_refused_by_their_place(suffixes, field, limit):
    with pytest.raises(InputError) as caught:
        second_round(RECIPE, suffixes)
    assert caught.value.field == field
    assert limit in caught.value.limit
    assert len(str(caught.value)) < 300


def test_seeds_and_suffixes_are_kept_as_they_are():
    assert check_seeds([3, 0]) == [3, 0]
    assert check_suffixes([" in oil", ", b "]) == [" in oil", ", b "]


def test_a_prompt_that_a_suffix_makes_too_long_is_refused():
    long = Recipe(**{**RECIPE.to_dict(), "prompt": "a" * 1990})
    with pytest.raises(InputError, match=r"^prompt: .*at most 2000 characters"):
        second_round(long, [", pixel art"])
