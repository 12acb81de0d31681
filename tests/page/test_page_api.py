"""The named endpoints, called as programs call them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from pipeline_utils.models.sources import resolve
from pipeline_utils.picture.picture import read

STEPS = 5


@pytest.fixture(scope="module")
def client(app) -> Client:
    return Client(app.url, verbose=False)


@pytest.fixture(scope="module")
def first(client) -> dict:
    return client.predict("a red fox", num_inference_steps=STEPS, api_name="/first_round")


def pixels(entry: dict) -> np.ndarray:
    return np.asarray(Image.open(entry["file"]).convert("RGB"))


@pytest.fixture
def threads(first) -> Iterator[None]:
    """As many threads as the app has. On a CPU sums depend on it, and tests in this process may have set another."""
    before = torch.get_num_threads()
    torch.set_num_threads(read(first["pictures"][0]["file"]).picture.fingerprint["threads"])
    yield
    torch.set_num_threads(before)


def plain(app, prompts: list[str], seeds: list[int]) -> list[np.ndarray]:
    """The few lines anyone would write: four pictures a call, one generator for each."""
    pipe = DiffusionPipeline.from_pretrained(app.model, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    spec = resolve(str(app.model))
    if type(pipe.scheduler).__name__ != spec.scheduler:
        import diffusers

        pipe.scheduler = getattr(diffusers, spec.scheduler).from_config(pipe.scheduler.config)
    images = pipe(
        prompts,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        num_inference_steps=STEPS,
        guidance_scale=spec.guidance_scale,
        width=spec.width,
        height=spec.height,
    ).images
    return [np.asarray(image) for image in images]


def test_the_endpoints_are_named_typed_and_documented(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {"/first_round", "/second_round", "/variations", "/grid"} <= set(named)
    assert not [name for name in named if name.startswith("/page")]
    first = {each["parameter_name"]: each for each in named["/first_round"]["parameters"]}
    assert list(first)[:2] == ["prompt", "seeds"]
    assert not first["prompt"]["parameter_has_default"]
    assert first["seeds"]["parameter_default"] == "0-3"
    assert all(each["parameter_has_default"] for name, each in first.items() if name != "prompt")
    second = {each["parameter_name"]: each for each in named["/second_round"]["parameters"]}
    assert list(second)[:2] == ["picture", "suffixes"]
    more = {name: named[name]["parameters"] for name in ("/variations", "/grid")}
    wanted = {"/variations": ["picture", "seeds", "strength", "cut_long_prompts"]}
    wanted["/grid"] = ["pictures", "suffixes", "cut_long_prompts"]
    assert {name: [each["parameter_name"] for each in parameters] for name, parameters in more.items()} == wanted
    assert [each["parameter_default"] for each in more["/variations"][1:]] == ["4 random", 0.2, False]
    for each in (*first.values(), *second.values(), *more["/variations"], *more["/grid"]):
        assert each["python_type"]["type"]
        assert len(each["python_type"]["description"]) > 5, each
    for endpoint in ("/first_round", "/second_round", "/variations", "/grid"):
        assert len(named[endpoint]["description"]) > 30


def test_both_rounds_equal_plain_diffusers_pixel_for_pixel(app, client, first, threads):
    assert first["round"] == 1
    assert [entry["seed"] for entry in first["pictures"]] == [0, 1, 2, 3]
    for entry, expected in zip(first["pictures"], plain(app, ["a red fox"] * 4, [0, 1, 2, 3]), strict=True):
        assert np.array_equal(pixels(entry), expected), entry["seed"]
    suffixes = [", highly realistic", ", artsy", ", trending"]
    second = client.predict(first["pictures"][2]["id"], suffixes, api_name="/second_round")
    assert (second["round"], second["parent"]) == (2, first["pictures"][2]["id"])
    assert [entry["control"] for entry in second["pictures"]] == [True, False, False, False]
    assert [entry["suffix"] for entry in second["pictures"]] == [None, *suffixes]
    assert second["pictures"][0]["pixel_sha256"] == first["pictures"][2]["pixel_sha256"]
    prompts = ["a red fox", *("a red fox" + suffix for suffix in suffixes)]
    assert [entry["prompt"] for entry in second["pictures"]] == prompts
    for entry, expected in zip(second["pictures"], plain(app, prompts, [2] * 4), strict=True):
        assert np.array_equal(pixels(entry), expected), entry["prompt"]


def test_variations_lead_from_a_picture_to_other_seeds(client, first):
    pick, other = first["pictures"][2], first["pictures"][3]
    found = client.predict(pick["id"], "3, 9", 0.25, api_name="/variations")
    assert (found["round"], found["parent"]) == (2, pick["id"])
    control, *turned = found["pictures"]
    assert (control["control"], control["pixel_sha256"]) == (True, pick["pixel_sha256"])
    assert [entry["recipe"]["variation_seed"] for entry in turned] == [3, 9]
    assert {(entry["seed"], entry["recipe"]["variation_strength"]) for entry in turned} == {(2, 0.25)}
    assert len({entry["pixel_sha256"] for entry in found["pictures"]}) == 3
    for strength, end in ((0, pick), (1, other)):
        ends = client.predict(pick["id"], seeds="3", strength=strength, api_name="/variations")
        assert ends["pictures"][1]["pixel_sha256"] == end["pixel_sha256"]
        assert ends["pictures"][1]["recipe_id"] == end["recipe_id"]
    # A variation can be picked like any picture, and verified.
    assert client.predict(turned[0]["id"], api_name="/verify")["identical"] is True
    styled = client.predict(turned[0]["id"], [", artsy"], api_name="/second_round")["pictures"]
    assert styled[0]["pixel_sha256"] == turned[0]["pixel_sha256"]


def test_a_grid_has_a_row_for_each_picture_by_id_or_by_file(client, first):
    pictures = first["pictures"]
    asked = [pictures[0]["id"], handle_file(pictures[3]["file"])]
    found = client.predict(asked, [", artsy", ", flat"], api_name="/grid")
    assert (found["round"], found["parent"]) == (2, None)
    assert [(e["seed"], e["suffix"], e["control"]) for e in found["pictures"]] == [
        (seed, suffix, suffix is None) for seed in (0, 3) for suffix in (None, ", artsy", ", flat")
    ]
    parents = [pictures[0]] * 3 + [pictures[3]] * 3
    assert [entry["parent"] for entry in found["pictures"]] == [parent["id"] for parent in parents]
    for at in (0, 3):
        assert found["pictures"][at]["pixel_sha256"] == parents[at]["pixel_sha256"]


def test_bad_variations_and_grids_are_answered_with_a_message(client, first):
    one, other = (entry["id"] for entry in first["pictures"][:2])
    for name, arguments, message in (
        ("/variations", (one, "x"), "whole numbers from 0 to 4294967295"),
        ("/variations", (one, "0"), "it is the seed of the pick"),
        ("/variations", (one, "5", 1.5), "strength: 1.5 is not accepted; a number from 0 to 1"),
        ("/variations", (one, "5", "much"), "strength"),
        ("/variations", ("0" * 16,), "no picture here has this id"),
        ("/grid", ([one, one], [", a"]), "each recipe stands once in a grid"),
        ("/grid", ([one] * 5, [", a"]), "a grid takes 1 to 4"),
        ("/grid", ([], [", a"]), "a grid takes 1 to 4"),
        ("/grid", (one, [", a"]), "a list of PNG files or ids"),
        ("/grid", ([one, "../../etc/passwd"], [", a"]), "an uploaded PNG"),
        ("/grid", ([one, other], [f", {n}" for n in range(9)]), "a grid takes 1 to 8"),
    ):
        with pytest.raises(AppError) as error:
            client.predict(*arguments, api_name=name)
        assert message in str(error.value), (name, arguments)


def test_a_png_of_ours_is_as_good_as_its_id(app, client, first, tmp_path):
    entry = first["pictures"][1]
    (file,) = (app.data / "pictures").glob(f"*_{entry['id']}.png")
    renamed = tmp_path / "from a friend.png"
    shutil.copy(file, renamed)
    by_file = client.predict(handle_file(renamed), [", artsy"], api_name="/second_round")
    by_id = client.predict(picture=entry["id"], suffixes=[", artsy"], api_name="/second_round")
    assert [each["id"] for each in by_file["pictures"]] == [each["id"] for each in by_id["pictures"]]
    again = client.predict(by_id["pictures"][1]["id"], [", at night"], api_name="/second_round")
    assert again["round"] == 3
    assert again["pictures"][1]["prompt"] == "a red fox, artsy, at night"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": " "}, "at least one word is needed"),
        ({"prompt": "a fox", "seeds": "x"}, "whole numbers from 0 to 4294967295"),
        ({"prompt": "a fox", "seeds": "0-64"}, "at most 64 pictures"),
        ({"prompt": "a fox", "num_inference_steps": 0}, "a whole number from 1 to 500"),
        ({"prompt": "a fox", "guidance_scale": 1e9}, "a number from 0 to 50"),
        ({"prompt": "a fox", "width": 7}, "width"),
        ({"prompt": "a fox", "sampler": "Magic"}, "one of DDIM"),
        ({"prompt": "a fox", "model": "/etc"}, "model"),
        ({"prompt": "cat " * 300}, "allow cutting long prompts"),
        ({"prompt": "a <b>fox</b>", "seeds": "<"}, "'<'"),
    ],
)
def test_a_bad_first_round_is_answered_with_a_message(client, arguments, message):
    with pytest.raises(AppError) as error:
        client.predict(**arguments, api_name="/first_round")
    assert message in str(error.value)


def test_a_bad_second_round_is_answered_with_a_message(app, client, first, tmp_path):
    ours = first["pictures"][0]["id"]
    plain_png, text = tmp_path / "plain.png", tmp_path / "text.png"
    Image.new("RGB", (8, 8)).save(plain_png)
    text.write_text("no picture")
    secret = app.data / "log.txt"
    for picture, suffixes, message in (
        ("0" * 16, [", a"], "no picture here has this id"),
        ("../../etc/passwd", [", a"], "an uploaded PNG"),
        ({"path": str(secret)}, [", a"], "PNG"),
        (handle_file(plain_png), [", a"], "neither a recipe nor"),
        (handle_file(text), [", a"], "PNG"),
        (7, [", a"], "the id of a picture"),
        (ours, [], "1 to 16"),
        (ours, [", a"] * 2, "in the list already"),
        (ours, [", " + "x" * 300], "at most 200 characters"),
        (ours, [" "], "at least one word"),
        (ours, ", artsy", "a list of texts"),
    ):
        with pytest.raises(AppError) as error:
            client.predict(picture, suffixes, api_name="/second_round")
        assert message in str(error.value), picture
        assert str(app.data) not in str(error.value)


def test_two_pictures_are_compared_by_their_recipes(client, first):
    one, other = first["pictures"][0], first["pictures"][3]
    lines = client.predict(one["id"], handle_file(other["file"]), api_name="/diff")
    assert lines == [{"name": "seed", "one": 0, "other": 3}]
    assert client.predict(one["id"], one["id"], api_name="/diff") == []
