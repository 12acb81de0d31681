"""Every edge answers in words: endpoints and events of the page, sent what no person would send."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import gradio as gr
import pytest

from pipeline_utils.api import endpoints
from pipeline_utils.errors import UserError
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.recipe.recipe import Recipe
from tests.making import made, studio
from tests.page.test_page_refusals import said
from tests.running import App
from tests.wire import Wire

ODD_PATHS = [
    "nul\0.png",
    "half \ud800.png",
    "../../etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "x" * 5000,
    "\n",
    "~",
    "con:",
    "C:\\x",
]
ODD = [
    *ODD_PATHS,
    "",
    None,
    7,
    -1,
    2.5,
    float("nan"),
    True,
    [],
    ["\ud800"],
    {},
    {"path": 7},
    {"path": None},
    [[]],
    "\x07",
]

TAKEN = {"prompt": str, "suffixes": list, "cut_long_prompts": bool, "allow_download": bool, "negative_prompt": str}


@pytest.fixture(scope="module")
def here(tiny_sd_folder, tmp_path_factory):
    return studio(tiny_sd_folder, tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def picture(here) -> str:
    return made(here.first_round(Ask("a cat", "0", num_inference_steps=1)))[0].picture.id


def refused(function, **values: object) -> str:
    """What the endpoint says; "" where it takes the values."""
    try:
        function(**values)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["first_round", "second_round", "variations", "grid", "verify"])
def test_an_endpoint_says_which_value_is_wrong_whatever_it_is(name, here, picture):
    good = {
        "first_round": {"prompt": "a cat", "seeds": "0", "num_inference_steps": 1},
        "second_round": {"picture": picture, "suffixes": [", a"]},
        "variations": {"picture": picture, "seeds": "5", "strength": 0.5},
        "grid": {"pictures": [picture], "suffixes": [", a"]},
        "verify": {"picture": picture},
    }[name]
    function = endpoints(here)[name]
    for field in function.__annotations__.keys() - {"return"}:
        for value in ODD:
            message = refused(function, **good | {field: value})
            if message:
                assert field.rstrip("es") in message.lower(), (field, value, message)
                message.encode()  # no half characters
            else:
                assert isinstance(value, TAKEN.get(field, (int, float, str, type(None)))), (field, value)
                assert (value is True) == (field in ("cut_long_prompts", "allow_download")), (field, value)


@pytest.mark.parametrize("value", ["false", "true", 0, 1, None, [], "no"])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("first_round", "cut_long_prompts"),
        ("second_round", "cut_long_prompts"),
        ("variations", "cut_long_prompts"),
        ("grid", "cut_long_prompts"),
        ("verify", "allow_download"),
    ],
)
def test_only_true_and_false_are_yes_and_no(name, field, value, here, picture):
    first = {
        "first_round": {"prompt": "a cat"},
        "grid": {"pictures": [picture], "suffixes": [", a"]},
        "second_round": {"picture": picture, "suffixes": [", a"]},
    }.get(name, {"picture": picture})
    message = refused(endpoints(here)[name], **first, **{field: value})
    assert message.startswith(f"{field}: ")
    assert message.endswith("is not accepted; true or false.")


@pytest.mark.parametrize("path", ODD_PATHS)
def test_an_odd_path_is_no_picture(path, here, picture):
    for name, more in (("second_round", {"suffixes": [", a"]}), ("variations", {}), ("verify", {})):
        for value in (path, {"path": path}, {"path": path, "meta": {"_type": "gradio.FileData"}}):
            message = refused(endpoints(here)[name], picture=value, **more)
            assert message.startswith("picture: "), message
            assert "an uploaded PNG or the id of a picture made here" in message
    assert refused(endpoints(here)["grid"], pictures=[picture, path], suffixes=[", a"]).startswith("picture: ")


def ask(app: App, path: str, body: object) -> tuple[int, str]:
    request = urllib.request.Request(app.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_arguments_that_are_missing_are_named(app):
    wire = Wire(app, "edges00001")
    for function, data, field in (
        ("first_round", [], "prompt"),
        ("first_round", ["a cat"], "seeds"),
        ("second_round", ["0" * 16], "suffixes"),
        ("grid", [], "pictures"),
        ("verify", [], "picture"),
        ("page_first_round", [None], "Prompt"),
        ("page_next_round", [], "value"),
    ):
        assert f"{field}: it is missing" in said(wire.send(function, data)) or field == "value", function
        assert said(wire.send(function, data)), function
    status, text = ask(app, "/gradio_api/call/v2/second_round", {"picture": "0" * 16})
    assert (status, "suffixes" in text) == (422, True), text
    status, text = ask(app, "/gradio_api/call/v2/nowhere", {})
    assert (status, "nowhere" in text) == (404, True), text


def test_an_event_without_data_says_so(app):
    wire = Wire(app, "edges00002")
    shelf = [None, "", "", "", False, 60]
    for function, data in (
        ("page_pick", [None]),
        ("page_show_round", [None]),
        ("page_shelf_star", [None]),
        ("page_shelf_remove", shelf),
        ("page_shelf_restore", shelf),
        ("page_shelf_pack", [None]),
        ("page_shelf_choose", [None]),
        ("page_tree_choose", [None]),
    ):
        for event in (
            None,
            {},
            [],
            "x",
            7,
            {"id": None},
            {"ids": None},
            {"index": {}},
            {"id": "\ud800"},
            {"ids": [[], 7]},
        ):
            assert said(wire.send(function, data, event)), (function, event)
    assert "An event of the page failed" not in app.log()


def test_no_event_of_the_page_is_answered_with_nothing(app):
    """Every event and endpoint, with values of every kind in every place. None may end without a word."""
    wire = Wire(app, "edges00003")
    slow = ("proof", "switch", "check_again", "arrive")
    for name, function in wire.functions.items():
        if not function["backend_fn"] or any(word in (name or "") for word in slow):
            continue
        count = len(function["inputs"])
        for value in ("\ud800", {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, [[7]], {}, 1e400):
            answer = wire.send(name, [value] * count, {"index": value, "id": value, "ids": value, "on": value})
            assert answer["success"] or answer["output"]["error"], (name, value, answer)
    assert "An event of the page failed" not in app.log()


def test_what_is_unexpected_is_logged_and_told_without_its_reason(tmp_path, monkeypatch):
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from pipeline_utils.page.edge import UNEXPECTED, Answering

    def called(values: list, number: int = 0) -> None:  # in a thread of its own: a browser's loop may run in this one
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, demo.process_api(number, values)).result()

    def broken(text: str) -> str:
        raise RuntimeError(f"a secret of {text}")

    def refused(text: str) -> str:
        raise UserError(f"Not <b>{text}</b>.")

    with Answering() as demo:
        box = gr.Textbox(label="Words")
        box.submit(broken, box, box)
        box.submit(refused, box, box)
        box.submit(refused, box, box, api_visibility="private")
    with pytest.raises(gr.Error) as error:
        called(["x"])
    assert error.value.message == UNEXPECTED
    with pytest.raises(gr.Error, match="Words: it is missing; 1 values are needed, 0 came"):
        called([])
    with pytest.raises(gr.Error, match=re.escape("Not <b>x</b>.")):
        called(["x"], 1)
    with pytest.raises(gr.Error, match=re.escape("Not &lt;b&gt;x&lt;/b&gt;.")):  # the page reads a message as HTML
        called(["x"], 2)


def test_a_pasted_recipe_is_refused_in_words_whatever_it_is(app):
    wire = Wire(app, "edges00004")
    good = Recipe(
        model="emoji-sd", revision="a" * 40, prompt="a cat", seed=0, num_inference_steps=1, guidance_scale=1.0,
        scheduler="DDIMScheduler", width=64, height=64, dtype="float32", lanes=1,
    ).to_dict()  # fmt: skip
    odd = ["", "[" * 100_000, "null", "[]", "7", '"x"', "{}", '{"recipe": null}', '{"recipe": []}', "\0", "\ud800"]
    odd += [json.dumps(good | {"prompt": "\ud800"}), json.dumps(good | {"seed": 1e400}), "9" * 5000]
    for text in odd:
        answer = wire.send("page_check_text", [text])
        assert answer["success"], text[:50]
        assert 'class="verdict differs"' in answer["output"]["data"][0], text[:50]
