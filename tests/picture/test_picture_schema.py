"""The published JSON Schema of the picture record says what the code says."""

import itertools
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import jsonschema
import pytest
from fuzz_picture import sample_picture, with_record

from pipeline_utils.errors import InputError, PictureError
from pipeline_utils.picture import picture
from pipeline_utils.picture.picture import Lineage, decode
from pipeline_utils.recipe import recipe
from pipeline_utils.recipe.recipe import Recipe, canonical_json
from pipeline_utils.recipe.rounds import MAX_PICTURES

SCHEMA = json.loads((Path(__file__).parents[2] / "assets" / "picture-record.schema.json").read_text())
EVERY_SCRIPT = "ein Füchslein, 狐 🦊, ثعلب, <b>\"bold\"</b> & 'more', a\nnew line\tand tab"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def test_records_are_what_the_published_schema_says(validator):
    styled = sample_picture(prompt=EVERY_SCRIPT, parent="0" * 16, suffix="", control=True)
    placed = sample_picture(round_id="1" * 16, place=63)
    old = replace(sample_picture(), flagged=None)
    assert (placed.record()["schema"], old.record()["schema"]) == (2, 1)
    for made in (sample_picture(), styled, sample_picture(variation_seed=9, variation_strength=0.2), placed, old):
        validator.validate(json.loads(canonical_json(made.record())))


def test_the_limits_of_the_schema_are_those_of_the_code():
    parts = SCHEMA["$defs"]["recipe"]["properties"]
    assert list(parts) == [f.name for f in fields(Recipe)] == SCHEMA["$defs"]["recipe"]["required"]
    assert SCHEMA["$defs"]["text"]["maxLength"] == recipe.MAX_TEXT
    limits = {
        "seed": (0, recipe.MAX_SEED),
        "num_inference_steps": (1, recipe.MAX_STEPS),
        "guidance_scale": (0, recipe.MAX_GUIDANCE),
        "width": (recipe.MIN_SIDE, recipe.MAX_SIDE),
        "height": (recipe.MIN_SIDE, recipe.MAX_SIDE),
        "lanes": (1, recipe.MAX_LANES),
    }
    assert {name: (part["minimum"], part["maximum"]) for name, part in parts.items() if "maximum" in part} == limits
    strength = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
    assert strength.items() <= parts["variation_strength"].items()
    assert parts["variation_seed"]["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": recipe.MAX_SEED}
    choices = {"noise_device": recipe.NOISE_DEVICES, "dtype": recipe.DTYPES, "offload": recipe.OFFLOADS}
    assert {name: tuple(part["enum"]) for name, part in parts.items() if "enum" in part} == choices
    patterns = {"model": recipe._MODEL, "revision": recipe._REVISION, "scheduler": recipe._SCHEDULER}
    assert {name: parts[name]["pattern"] for name in patterns} == {
        name: f"^(?:{pattern.pattern})$" for name, pattern in patterns.items()
    }
    assert SCHEMA["properties"]["schema"]["enum"] == [1, picture.SCHEMA]
    assert set(SCHEMA["properties"]) == {*SCHEMA["required"], "flagged"} == set(sample_picture().record())
    where, line = SCHEMA["$defs"]["fingerprint"], SCHEMA["$defs"]["lineage"]
    assert where["maxProperties"] == picture.MAX_FINGERPRINT
    assert where["additionalProperties"]["anyOf"][0]["allOf"][1]["maxLength"] == picture.MAX_FINGERPRINT_TEXT
    assert line["properties"]["round"]["maximum"] == picture.MAX_ROUND
    assert {*line["required"], "round_id", "place"} == set(line["properties"]) == set(asdict(Lineage()))
    assert line["properties"]["place"]["maximum"] == picture.MAX_PLACE == MAX_PICTURES - 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(["seed"], [-1, 2**32, 0.5, "7", None]),
        *itertools.product(["variation_seed"], [-1, 2**32, 0.5, "7", True]),
        *itertools.product(["variation_strength"], [-0.1, 1, 1.5, "0.2", None, 0.2]),
        *itertools.product(["width", "lanes", "num_inference_steps"], [0, 4097, "16"]),
        *itertools.product(["guidance_scale"], [-0.1, 50.1, "7"]),
        *itertools.product(["prompt"], ["", " \n", "a" * 2001, "a\0", 7]),
        *itertools.product(["model"], ["../etc", "a/b/c", "/tmp/x", "http://x.y/z", "a..b", ""]),
        *itertools.product(["revision"], ["main", "a" * 39, "sha256:12"]),
        *itertools.product(["scheduler", "dtype", "offload", "noise_device"], ["no", "", None]),
        *itertools.product(["full_determinism"], [1, "true"]),
    ],
)
def test_what_the_code_refuses_the_schema_refuses_too(validator, name, value):
    record = sample_picture().record()
    record["recipe"][name] = value
    with pytest.raises(InputError, match=name):
        Recipe.from_dict(record["recipe"])
    assert not validator.is_valid(record)


def moved(record: dict, **changes) -> dict:
    """The record with changes at its top or in its lineage; ... takes a field away."""
    for name, value in changes.items():
        part = record["lineage"] if name in ("round_id", "place") else record
        part[name] = value
        if value is ...:
            del part[name]
    return record


@pytest.mark.parametrize(
    ("schema", "changes", "accepted"),
    [
        (2, {}, True),
        (2, {"round_id": "a" * 16, "flagged": True}, True),
        (1, {}, True),
        *((2, {name: ...}, False) for name in ("flagged", "round_id", "place")),
        *((1, {name: value}, False) for name, value in (("flagged", False), ("round_id", None), ("place", 0))),
        *((2, {"flagged": value}, False) for value in (None, 0, "true", [])),
        *((2, {"round_id": value}, False) for value in ("", "A" * 16, "a" * 15, 7, True)),
        *((2, {"place": value}, False) for value in (-1, 64, "0", None, True, 0.5)),
        (3, {}, False),
    ],
)
def test_code_and_schema_agree_on_what_each_number_of_it_has(validator, schema, changes, accepted):
    record = replace(sample_picture(), flagged=None if schema == 1 else False).record() | {"schema": schema}
    moved(record, **changes)
    assert validator.is_valid(record) == accepted
    if accepted:
        assert decode(with_record(canonical_json(record))).picture.record() == record
    else:
        with pytest.raises(PictureError):
            decode(with_record(canonical_json(record)))


@pytest.mark.parametrize(("seed", "strength"), [(9, 0), (None, 0.2), (9, 1), (-1, 0.2), (9, 0.2), (None, 0)])
def test_code_and_schema_agree_on_what_a_variation_is(validator, seed, strength):
    record = sample_picture().record()
    record["recipe"] |= {"variation_seed": seed, "variation_strength": strength}
    try:
        Recipe.from_dict(record["recipe"])
        accepted = True
    except InputError:
        accepted = False
    assert validator.is_valid(record) == accepted == ((seed, strength) in ((9, 0.2), (None, 0)))
