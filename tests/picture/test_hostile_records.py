"""Records that are not ours, or were meddled with: refused in one sentence."""

import json

import pytest
from fuzz_picture import sample_picture, with_record
from test_hostile_pictures import refusal

from pipeline_utils.errors import PictureError
from pipeline_utils.picture.picture import decode

WRONG = {
    "model": [None, 7, "../../etc/passwd", "http://example.com/x", "/etc/passwd", "a" * 200, "x.ckpt/../y", []],
    "revision": [None, "main", "", {}],
    "prompt": [None, "", "  ", "a" * 2001, "a" * 60_000, 7, ["a"], "a\0b", "\x7f"],
    "negative_prompt": [None, 7, "a" * 2001],
    "seed": [-1, 2**32, 1.0, "1", True, None, 10**400],
    "variation_seed": [-1, 2**32, 10**400, "9", True, [], {}],
    "variation_strength": [None, -1, 0.5, 1, 10**400, "0.5", True, []],
    "num_inference_steps": [0, 501, 20.0, "20"],
    "guidance_scale": [-1, 51, "7", None, True],
    "scheduler": ["", "os.system", "__import__", 7],
    "width": [0, 15, 4097, 10**9, 16.0],
    "height": [0, -16, None],
    "dtype": ["float8", 32],
    "lanes": [0, 17, "4"],
    "full_determinism": [0, "no", None],
    "offload": ["disk", True],
    "noise_device": ["tpu", None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_recipe_with_a_wrong_value_is_refused_by_the_name_of_its_field(name, value):
    record = sample_picture().record()
    record["recipe"][name] = value
    message = refusal(with_record(json.dumps(record)))
    assert f"{name}:" in message or "recipe in this file is not a flat" in message


def edit_record(change) -> str:
    record = sample_picture().record()
    change(record)
    return json.dumps(record)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r["recipe"].update(extra=1), "a field this version does not know"),
        (lambda r: r["recipe"].update(variation_seed=9), "variation_strength: 0.0 is not accepted"),
        (lambda r: r["recipe"].update(variation_seed=9, variation_strength=0.5), "its id does not match"),
        (lambda r: r["recipe"].update(variation_seed=7, variation_strength=0.5), "another seed than the first"),
        (lambda r: r["recipe"].pop("variation_seed"), "the field variation_seed is missing"),
        (lambda r: r["recipe"].pop("seed"), "the field seed is missing"),
        (lambda r: r.update(extra=1), "other fields"),
        (lambda r: r.pop("lineage"), "other fields"),
        (lambda r: r.update(app="Third Round"), "other fields"),
        (lambda r: r.update(schema=3), "schema 3, newer than the 2 this version reads; update"),
        (lambda r: r.update(schema=1), "other fields"),
        (lambda r: r.update(schema=0), "schema 0; only 1 to 2 are read"),
        (lambda r: r.update(flagged=[]), "neither true nor false"),
        (lambda r: r["lineage"].update(round_id="../x"), "round_id"),
        (lambda r: r["lineage"].update(place=64), "place"),
        (lambda r: r.update(schema=10**300), "newer"),
        (lambda r: r.update(schema=True), "no schema number"),
        (lambda r: r.update(schema=1.0), "no schema number"),
        (lambda r: r.pop("schema"), "no schema number"),
        (lambda r: r.update(recipe_id="0" * 12), "its id does not match"),
        (lambda r: r["recipe"].update(seed=8), "its id does not match"),
        (lambda r: r.update(pixel_sha256="0" * 63), "64 hex digits"),
        (lambda r: r.update(pixel_sha256=None), "64 hex digits"),
        (lambda r: r.update(recipe=[]), "not a flat JSON object"),
        (lambda r: r.update(recipe=None), "not a flat JSON object"),
        (lambda r: r["fingerprint"].update(a={"b": 1}), "not a flat JSON object"),
        (lambda r: r["fingerprint"].update(a=0.5), "fingerprint"),
        (lambda r: r["fingerprint"].update({"<i>": 1}), "fingerprint"),
        (lambda r: r["fingerprint"].update({f"k{n}": n for n in range(40)}), "at most 32 entries"),
        (lambda r: r["lineage"].update(round=0), "round"),
        (lambda r: r["lineage"].update(parent="../x"), "parent"),
        (lambda r: r["lineage"].update(extra=1), "lineage"),
        (lambda r: r["lineage"].pop("suffix"), "lineage"),
    ],
)
def test_a_record_that_is_not_ours_is_refused_with_its_reason(change, reason):
    assert reason in refusal(with_record(edit_record(change)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "valid JSON"),
        ("null", "no schema number"),
        ("[1]", "no schema number"),
        ('"text"', "no schema number"),
        ("[" * 60_000, "nested too deeply"),
        ('{"schema":' * 6_000, "nested too deeply"),
        ('{"schema":' + "[" * 900 + "]" * 900 + "}", "no schema number"),
        ('{"schema": 1, "schema": 1}', "a key stands twice"),
        ('{"schema": NaN}', "NaN is not a number"),
        ('{"schema": -Infinity}', "-Infinity is not a number"),
        ('{"schema": ' + "9" * 60_000 + "}", "valid JSON"),
        (edit_record(lambda r: None).replace("7.0", "NaN"), "NaN is not a number"),
        (edit_record(lambda r: None).replace("7.0", "1e999"), "guidance_scale"),
        (edit_record(lambda r: None).replace('"seed": 7', '"seed": 7, "seed": 7'), "a key stands twice"),
    ],
)
def test_json_that_is_no_record_is_refused(text, reason):
    assert reason in refusal(with_record(text))


def test_deep_values_anywhere_in_a_record_are_refused_at_any_depth_that_json_allows():
    for depth in range(10, 1100, 7):
        deep = "[" * depth + "]" * depth
        for name in (
            '"seed": 7',
            '"torch": "2.13.0"',
            '"round": 1',
            '"app": "Second Round"',
            '"flagged": false',
            '"schema": 2',
        ):
            text = edit_record(lambda r: None)
            assert name in text
            with pytest.raises(PictureError):
                decode(with_record(text.replace(name, name.split(":")[0] + ": " + deep)))
