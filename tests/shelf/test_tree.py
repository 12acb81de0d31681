"""The tree of a shelf: every round below the picture it came from, whatever the records say."""

import random
import time
from dataclasses import replace

from pipeline_utils.shelf.index import Card
from pipeline_utils.shelf.tree import grow

BASE = Card("", "", 0, "m", "a fox", 0, "seed 0", 64, 64, 1, None, None, False, "s")


def card(name: str, changed: int, **changes) -> Card:
    return replace(BASE, id=name, file=name, changed=changed, **changes)


def child(name: str, changed: int, parent: str, round: int = 2, **changes) -> Card:
    return card(name, changed, parent=parent, round=round, **changes)


def names(branch) -> str:
    return " ".join(card.id for card in branch.cards)


def drawn(tree) -> list[str]:
    """One line for each round, indented by its depth."""
    return ["." * depth + names(branch) for root in tree.roots for depth, branch in tree.walk(root)]


def test_a_round_hangs_below_its_picture_and_the_newest_root_comes_first():
    cards = [card("a", 1), card("b", 2, seed=1), card("x", 3, series="other"), card("y", 4, series="other", seed=1)]
    cards += [child("c", 6, "b", control=True), child("d", 5, "b", suffix=", neon"), child("e", 7, "d", 3)]
    cards += [child("f", 4, "a")]
    assert drawn(grow(cards)) == ["a b", ".f", ".c d", "..e", "x y"]
    tree = grow(random.Random(1).sample(cards, len(cards)))
    assert drawn(tree) == ["a b", ".f", ".c d", "..e", "x y"]
    assert [names(branch) for branch in tree.way_to(tree.of["e"])] == ["a b", "c d", "e"]
    assert tree.of["e"].parent.id == "d"
    assert tree.of["e"].number == 3


def test_two_rounds_from_one_picture_are_one_branch_where_they_have_one_number():
    cards = [card("a", 1), child("b", 2, "a"), child("c", 3, "a"), child("d", 4, "a", 7)]
    assert drawn(grow(cards)) == ["a", ".b c", ".d"]


def test_what_came_from_a_picture_that_is_gone_stands_at_the_top_and_says_so():
    tree = grow([card("a", 1), child("b", 2, "gone"), child("c", 3, "gone"), child("d", 4, "c", 3)])
    assert drawn(tree) == ["b c", ".d", "a"]
    assert [root.lost for root in tree.roots] == [True, False]


def test_circles_of_forged_parents_are_cut_and_nothing_is_left_out():
    cards = [child("self", 1, "self"), child("a", 2, "c"), child("b", 3, "a"), child("c", 4, "b"), child("d", 5, "b")]
    tree = grow([*cards, card("ok", 6)])
    shown = " ".join(drawn(tree)).replace(".", "").split()
    assert sorted(shown) == ["a", "b", "c", "d", "ok", "self"]
    assert {names(root): root.lost for root in tree.roots} == {"ok": False, "a": True, "self": True}
    for name in shown:
        assert tree.way_to(tree.of[name])[0] in tree.roots


def test_a_prompt_made_on_hundreds_of_seeds_is_shown_in_rounds_that_can_be_opened():
    tree = grow([card(f"{n:03}", n, seed=n) for n in range(150)])
    assert [len(root.cards) for root in tree.roots] == [22, 64, 64]


def test_ten_thousand_pictures_in_one_line_or_in_one_row_are_no_trouble():
    line = [card("0", 0)] + [child(str(n), n, str(n - 1), n + 1) for n in range(1, 10_000)]
    row = [card("0", 0)] + [child(str(n), n, "0") for n in range(1, 10_000)]
    circle = [child(str(n), n, str((n + 1) % 10_000)) for n in range(10_000)]
    for cards in (line, row, circle):
        began = time.process_time()
        tree = grow(cards)
        assert sum(len(branch.cards) for root in tree.roots for _, branch in tree.walk(root)) == 10_000
        tree.way_to(tree.of["9999"])
        assert time.process_time() - began < 10


def test_an_empty_shelf_is_an_empty_tree():
    assert grow([]).roots == []
