"""Words that a model lists are told from those it was not taught."""

from __future__ import annotations

import json

import pytest

from pipeline_utils.models.sources import resolve
from pipeline_utils.models.vocabulary import FILE, vocabulary
from tests.tiny import tiny_sd

WORDS = {
    "things": {"horse": ["pony", "race horse"], "palm tree": [], "tiger": []},
    "styles": ["neon", "highly realistic"],
    "backgrounds": ["on a blue background", "at night"],
    "said": ["a picture of"],
    "near": {"zebra": ["horse", "tiger"]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_sd(tmp_path_factory.mktemp("words") / "tiny")


def unknown(folder, text: str, words: object = WORDS):
    (folder / FILE).write_text(words if isinstance(words, str) else json.dumps(words))
    found = vocabulary(resolve(str(folder)))
    return found and found.unknown(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a horse", {}),
        ("A Picture of THE Pony, neon, highly realistic", {}),
        ("a race horse on a blue background", {}),
        ("a zebra", {"zebra": ("horse", "tiger")}),
        ("Zebra, zebra and a yak", {"zebra": ("horse", "tiger"), "yak": ()}),
        ("a blue horse", {"blue": ()}),
        ("a palm, a tree", {"palm": (), "tree": ()}),
        ("3 horses", {"3": (), "horses": ()}),
        ("ein Pferd – 馬", {"ein": (), "pferd": (), "馬": ()}),
    ],
)
def test_what_is_in_no_known_phrase_is_unknown_and_comes_with_what_is_near(folder, text, expected):
    assert unknown(folder, text) == expected


@pytest.mark.parametrize(
    "words",
    ["", "[]", "{", {}, {"things": []}, {"things": {"a": 1}}, {"things": {"a": []}, "near": {"b": 2}}, {"things": 3}],
)
def test_a_list_that_cannot_be_read_says_nothing(folder, words):
    assert unknown(folder, "a zebra", words) is None


def test_models_without_a_list_and_models_of_the_hub_say_nothing(folder):
    (folder / FILE).unlink(missing_ok=True)
    assert vocabulary(resolve(str(folder))) is None
    assert vocabulary(resolve("sd15")) is None


def test_a_list_that_changed_is_read_again(folder):
    assert unknown(folder, "a horse") == {}
    assert unknown(folder, "a horse", {"things": {"a cow that is another length": []}}) == {"horse": ()}
