"""Rounds: which seeds and suffixes make which recipes."""

from dataclasses import replace

import pytest

from pipeline_utils.errors import InputError
from pipeline_utils.recipe.recipe import MAX_SEED, Recipe
from pipeline_utils.recipe.rounds import (
    MAX_PICTURES,
    MAX_SUFFIXES,
    check_seeds,
    check_suffixes,
    first_round,
    grid,
    parse_seeds,
    second_round,
    towards,
    variations,
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


def test_random_without_a_number_is_four():
    assert parse_seeds("random", Draw(4, 3, 2, 1)) == [4, 3, 2, 1]


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


def test_variations_are_led_by_the_control_and_lead_to_each_second_seed():
    made = variations(RECIPE, [7, 8], 0.2, number=3, parent="abc")
    control, *turned = made.places
    assert (control.recipe, control.control, control.parent) == (RECIPE, True, "abc")
    assert [(p.recipe.seed, p.recipe.variation_seed, p.recipe.variation_strength) for p in turned] == [
        (9, 7, 0.2),
        (9, 8, 0.2),
    ]
    assert {(p.suffix, p.control, p.parent) for p in turned} == {(None, False, "abc")}
    assert (made.number, made.parent) == (3, "abc")
    assert towards(turned[0].recipe) == "seed 9, 20 % towards seed 7"
    assert towards(control.recipe) == "seed 9"


def test_at_strength_0_and_1_a_variation_is_the_recipe_of_a_single_seed():
    assert variations(RECIPE, [7], 0).recipes == [RECIPE, RECIPE]
    assert variations(RECIPE, [7], 1).recipes == [RECIPE, replace(RECIPE, seed=7)]
    turned = variations(RECIPE, [7], 0.5).recipes[1]
    assert variations(turned, [8], 1).recipes == [turned, replace(RECIPE, seed=8)]
    assert variations(turned, [8], 0).recipes == [turned, turned]


@pytest.mark.parametrize(
    ("picked", "seeds", "strength", "message"),
    [
        (RECIPE, [7], 1.2, "strength: 1.2 is not accepted; a number from 0 to 1"),
        (RECIPE, [7], None, "strength: None is not accepted"),
        (RECIPE, [7], float("nan"), "strength: nan is not accepted"),
        (RECIPE, [7], "0.2", "strength: '0.2' is not accepted"),
        (RECIPE, [], 0.2, "seeds: '0 seeds' is not accepted"),
        (RECIPE, [7, 7], 0.2, "seeds: 7 is not accepted; each seed stands once"),
        (RECIPE, [7, 9], 0.2, "seeds: 9 is not accepted; it is the seed of the pick"),
        (RECIPE, list(range(10, 74)), 0.2, "seeds: '64 seeds' is not accepted; a round holds 63 of them"),
        (
            replace(RECIPE, variation_seed=7, variation_strength=0.25),
            [8],
            0.2,
            "picture: 'seed 9, 25 % towards seed 7' is not accepted; a picture between two seeds",
        ),
    ],
)
def test_other_variations_are_refused_with_the_limit(picked, seeds, strength, message):
    with pytest.raises(InputError) as caught:
        variations(picked, seeds, strength)
    assert str(caught.value).startswith(message)


def test_a_grid_is_a_row_for_each_picture_led_by_its_control():
    rows = [replace(RECIPE, seed=seed) for seed in (3, 0)]
    made = grid(rows, [", a", ", b"], number=4, parents=["p", "q"])
    assert [(p.recipe.seed, p.suffix, p.control, p.parent) for p in made.places] == [
        (3, None, True, "p"),
        (3, ", a", False, "p"),
        (3, ", b", False, "p"),
        (0, None, True, "q"),
        (0, ", a", False, "q"),
        (0, ", b", False, "q"),
    ]
    assert made.places[4].recipe.prompt == "a fox, a"
    assert (made.number, made.parent) == (4, None)
    assert grid([RECIPE], [", a"], parents=["abc"]) == second_round(RECIPE, [", a"], parent="abc")


@pytest.mark.parametrize(
    ("count", "suffixes", "message"),
    [
        (0, [", a"], "pictures: '0 pictures' is not accepted; a grid takes 1 to 4"),
        (5, [", a"], "pictures: '5 pictures' is not accepted; a grid takes 1 to 4"),
        (4, [f", {n}" for n in range(9)], "suffixes: '9 suffixes' is not accepted; a grid takes 1 to 8"),
        (4, [], "suffixes: '0 suffixes' is not accepted"),
        (4, None, "suffixes: None is not accepted"),
    ],
)
def test_a_grid_of_other_sizes_is_refused(count, suffixes, message):
    with pytest.raises(InputError) as caught:
        grid([replace(RECIPE, seed=seed) for seed in range(count)], suffixes)
    assert str(caught.value).startswith(message)


def test_a_grid_refuses_the_same_recipe_twice():
    with pytest.raises(InputError, match="pictures: 'seed 9' is not accepted; each recipe stands once"):
        grid([RECIPE, RECIPE], [", a"])


def test_seeds_and_suffixes_are_kept_as_they_are():
    assert check_seeds([3, 0]) == [3, 0]
    assert check_suffixes([" in oil", ", b "]) == [" in oil", ", b "]


def test_a_prompt_that_a_suffix_makes_too_long_is_refused():
    long = Recipe(**{**RECIPE.to_dict(), "prompt": "a" * 1990})
    with pytest.raises(InputError, match=r"^prompt: .*at most 2000 characters"):
        second_round(long, [", pixel art"])
