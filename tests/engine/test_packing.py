"""Calls of several visitors go together where that was seen to change no bit."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from pipeline_utils.engine import engine, packing
from pipeline_utils.engine.events import Refused
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.errors import CapacityError
from pipeline_utils.models import shapes
from pipeline_utils.models.shapes import MIXED, Shapes
from tests import tiny
from tests.making import load, pictures, plain, recipe, seeded
from tests.running import BUNDLED, wait_until


@pytest.fixture(scope="module")
def model(tiny_sd_folder):
    return load(tiny_sd_folder)


@pytest.fixture
def loaded(model, monkeypatch):
    """Of which nothing was tried yet. A few equal numbers are enough here."""
    for limit in ("ENOUGH", "ENOUGH_HALVES"):
        monkeypatch.setattr(shapes, limit, 1)
    return replace(model, shapes=Shapes())


@contextmanager
def watched(loaded):
    """The number of rows of each call of the denoiser."""
    sizes = []
    with loaded.pipe.unet.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0]))):
        yield sizes


@contextmanager
def only(loaded, *rows: int):
    """A device on which calls of the denoiser of other numbers of rows give other bits."""

    def change(module, inputs, output):
        if len(inputs[0]) not in rows:
            output[0].mul_(1 + 1e-5)

    with loaded.pipe.unet.register_forward_hook(change):
        yield


def together(loaded, rounds: list[list]) -> list[list[bytes] | BaseException]:
    """Rounds that begin at the same time: the model thread is held until all of them wait for it."""
    go, held = threading.Event(), threading.Event()
    with ThreadPoolExecutor(len(rounds) + 1) as pool:
        pool.submit(MODEL.run, lambda: (held.set(), go.wait(30)))
        held.wait(30)
        found = [pool.submit(pictures, loaded, recipes) for recipes in rounds]
        wait_until(lambda: MODEL.under_way == len(rounds) + 1)
        go.set()
        return [each.exception() or each.result() for each in found]


def calls_of(loaded) -> dict[str, dict[str, bool]]:
    return {
        what.partition(",")[0]: dict.fromkeys(yes, True) | dict.fromkeys(no, False)
        for what, yes, no in loaded.shapes.table()
    }


def test_what_gives_the_same_bits_is_tried_once_beside_the_plain_call_and_used_from_then_on(loaded):
    five = [recipe(loaded, seed) for seed in range(5)]
    with watched(loaded) as sizes:
        first = pictures(loaded, five)
    assert sizes == [8, 8, 10] + [10] * 2  # in the first of three steps the plain calls, and the trial
    with watched(loaded) as sizes:
        assert pictures(loaded, five) == first
    assert sizes == [10] * 3
    assert calls_of(loaded) == {"text_encoder": {"5": True}, "unet": {"5": True}, "vae.decode": {"5": True}}


def test_what_gives_other_bits_is_never_used(loaded):
    five = [recipe(loaded, seed) for seed in range(5)]
    before = pictures(loaded, five)
    loaded = replace(loaded, shapes=Shapes())
    with only(loaded, 8), watched(loaded) as sizes:
        assert pictures(loaded, five) == before
    assert sizes == [8, 8, 10, 8, 8, 12, 8, 8, 16]
    assert calls_of(loaded)["unet"] == {"5": False, "6": False, "8": False}


def test_where_only_even_numbers_agree_an_odd_one_is_filled_up(loaded):
    five = [recipe(loaded, seed) for seed in range(5)]
    before = pictures(loaded, five)
    loaded = replace(loaded, shapes=Shapes())
    with only(loaded, 8, 12), watched(loaded) as sizes:
        assert pictures(loaded, five) == before
        assert pictures(loaded, five) == before
    assert sizes == [8, 8, 10] + [8, 8, 12] + [12] * 4


def test_a_place_that_only_padding_had_is_not_trusted_unseen(loaded):
    """Five of six were equal, and the padding in the sixth place is not what a picture would be there."""
    five = [recipe(loaded, seed) for seed in range(5)]
    before = pictures(loaded, five)
    loaded = replace(loaded, shapes=Shapes())

    def change_last_of_six(module, inputs, output):
        if len(output[0]) == 12:
            output[0][-1] *= 1 + 1e-5

    with only(loaded, 8, 12), loaded.pipe.unet.register_forward_hook(change_last_of_six):
        assert pictures(loaded, five) == before
    assert calls_of(loaded)["unet"]["6"] is False


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux", "unclip"])
def test_visitors_of_every_family_together_have_the_pictures_they_have_alone(family, tmp_path):
    loaded = load(getattr(tiny, f"tiny_{family}")(tmp_path / family))
    rounds = [
        [recipe(loaded, 10 * visitor + n, num_inference_steps=2 + visitor % 2) for n in range(1 + visitor)]
        for visitor in range(5)
    ]
    alone = [[pictures(replace(loaded, shapes=Shapes()), [each])[0] for each in asked] for asked in rounds]
    for _ in range(2):  # first tried, then used
        assert together(loaded, rounds) == alone


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_visitors_of_the_bundled_model_together_have_the_pictures_of_plain_diffusers(dtype):
    loaded = load(BUNDLED, dtype=dtype, threads=2)
    rounds = [[recipe(loaded, 4 * visitor + n) for n in range(4)] for visitor in range(5)]
    found = [together(loaded, rounds) for _ in range(2)]
    call = {"num_inference_steps": 3, "guidance_scale": 5.0}
    wanted = [
        plain(loaded, prompt=["a red fox"] * 4, generator=seeded(*range(4 * v, 4 * v + 4)), **call) for v in range(5)
    ]
    assert found == [wanted, wanted]


def test_visitors_at_different_steps_with_different_samplers_go_together(loaded):
    rounds = [
        [recipe(loaded, seed, scheduler=sampler, num_inference_steps=steps)]
        for seed, (sampler, steps) in enumerate(
            [("DDIMScheduler", 9), ("UniPCMultistepScheduler", 7), ("DPMSolverMultistepScheduler", 8)]
        )
    ]
    alone = [pictures(loaded, asked) for asked in rounds]
    assert together(loaded, rounds) == alone
    with watched(loaded) as sizes:
        assert together(loaded, rounds) == alone
    assert len(sizes) <= 12  # of the 24 steps of all


def test_where_only_the_plain_size_agrees_several_visitors_fill_it(loaded):
    rounds = [[recipe(loaded, 10 * visitor + n) for n in range(2)] for visitor in range(2)]
    with only(loaded, 8):
        alone = [pictures(loaded, asked) for asked in rounds]
        first = together(loaded, rounds)
        with watched(loaded) as sizes:
            assert together(loaded, rounds) == first == alone
        assert set(sizes) == {8}
        assert len(sizes) == 3  # not six: both ride in each
    assert calls_of(loaded)["unet"] == {"2": False, MIXED: True} or calls_of(loaded)["unet"] == {"2": False, "4": True}


def test_where_the_place_in_a_call_matters_every_call_is_the_plain_one(loaded):
    def change_last(module, inputs, output):
        output[0][-1] *= 1 + 1e-5

    rounds = [[recipe(loaded, 10 * visitor + n) for n in range(3)] for visitor in range(3)]
    with loaded.pipe.unet.register_forward_hook(change_last):
        alone = [pictures(loaded, asked) for asked in rounds]
        for _ in range(2):
            assert together(loaded, rounds) == alone
    assert not any(calls_of(loaded)["unet"].values())


def test_other_guidance_and_other_sizes_go_by_themselves(loaded):
    rounds = [[recipe(loaded, 1)], [recipe(loaded, 1, guidance_scale=0.0)], [recipe(loaded, 1, width=40)]]
    alone = [pictures(loaded, asked) for asked in rounds]
    assert together(loaded, rounds) == alone


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), ValueError("a bad row")])
def test_a_call_that_fails_for_all_is_made_again_for_each_and_fails_only_who_spoils_it(loaded, error):
    good, bad = [recipe(loaded, seed) for seed in range(2)], [recipe(loaded, 7, prompt="a cat")]
    before = pictures(loaded, good)
    together(loaded, [good, bad])
    spoilt = MODEL.run(lambda: loaded.pipe.encode_prompt("a cat", "cpu", 1, False)[0][0, -1])

    def fail(module, inputs, named):
        words = named["encoder_hidden_states"] if named.keys() >= {"encoder_hidden_states"} else inputs[2]
        if any(torch.equal(each[-1], spoilt) for each in words):
            raise error

    with loaded.pipe.unet.register_forward_pre_hook(fail, with_kwargs=True):
        mine, theirs = together(loaded, [good, bad])
    assert mine == before
    assert isinstance(theirs, CapacityError | ValueError)


def test_the_same_words_are_embedded_once(loaded):
    asked = []

    def watch(module, inputs):
        asked.append(inputs[0].shape[0])

    words = recipe(loaded, prompt="a lighthouse that nobody asked for"), recipe(loaded, 1, prompt="a cup, artsy")
    with loaded.pipe.text_encoder.register_forward_pre_hook(watch):
        first = pictures(loaded, [words[0]] * 4)
        before = len(asked)
        assert before
        assert pictures(loaded, [words[0]] * 4) == first
        assert len(asked) == before
        pictures(loaded, [words[0]] * 3 + [words[1]])
        assert len(asked) == before + 1  # the words of no prompt are known still
    assert (
        plain(
            loaded,
            prompt=[words[0].prompt] * 4,
            generator=seeded(0, 0, 0, 0),
            num_inference_steps=3,
            guidance_scale=5.0,
        )
        == first
    )


def test_embeddings_are_not_kept_for_ever(loaded, monkeypatch):
    monkeypatch.setattr(packing, "TEXTS", 3)
    for number in range(5):
        pictures(loaded, [recipe(loaded, prompt=f"a picture of number {number}")])
    assert len(packing._texts[loaded.pipe.text_encoder]) == 3


def test_numbers_that_are_none_prove_nothing(loaded):
    def spoil(module, inputs, output):
        output[0].fill_(float("nan"))

    with loaded.pipe.unet.register_forward_hook(spoil):
        events = list(engine.generate(loaded, [recipe(loaded, seed) for seed in range(5)]))
    assert [type(event) for event in events[-5:]] == [Refused] * 5
    assert "unet" not in calls_of(loaded)


def test_a_slow_model_is_asked_for_little_more_at_once_than_its_plain_call(loaded, monkeypatch):
    monkeypatch.setattr(packing, "FAST", 0.0)
    with watched(loaded) as sizes:
        pictures(loaded, [recipe(loaded, seed) for seed in range(8)])
    assert set(sizes) == {8}
    with watched(loaded) as sizes:
        pictures(loaded, [recipe(loaded, seed) for seed in range(5)])
    assert set(sizes) <= {8, 10, 12}


def test_one_difference_decides_and_many_equal_numbers_do():
    """In halves, sums in another order are mostly rounded to the same number."""
    found = Shapes()
    for _ in range(3):
        found.learn("unet", 5, True, shapes.ENOUGH // 4)
        assert found.agree("unet", 5) is None
    found.learn("unet", 6, False, 1)
    assert found.agree("unet", 6) is False
    found.learn("unet", 5, True, shapes.ENOUGH // 4)
    assert found.agree("unet", 5) is True


def test_in_halves_many_more_have_to_be_equal_and_a_call_in_four_is_tried():
    found = Shapes(None, {"dtype": "bfloat16"})
    found.learn("unet", 5, True, shapes.ENOUGH_HALVES - 1)
    assert found.agree("unet", 5) is None
    assert [found.is_due("unet", 5) for _ in range(9)] == [True, False, False, False] * 2 + [True]
    assert all(Shapes(None, {"dtype": "float32"}).is_due("unet", 5) for _ in range(9))
    found.learn("unet", 5, True, 1)
    assert found.agree("unet", 5) is True


def test_what_was_trusted_by_another_rule_is_tried_anew(tmp_path, monkeypatch):
    file = tmp_path / "shapes.json"
    Shapes(file, {"device": "one"}).learn("unet", 5, True, 2**18)
    monkeypatch.setattr(shapes, "ENOUGH", 2**19)
    assert Shapes(file, {"device": "one"}).agree("unet", 5) is None


def test_what_was_tried_is_remembered_for_this_device_and_these_weights_alone(tmp_path):
    file = tmp_path / "cache" / "shapes.json"
    Shapes(file, {"device": "one"}).learn("unet", 5, True, 2**18)
    Shapes(file, {"device": "other"}).learn("unet", 5, False, 1)
    assert Shapes(file, {"device": "one"}).agree("unet", 5) is True
    assert Shapes(file, {"device": "other"}).agree("unet", 5) is False
    assert Shapes(file, {"device": "third"}).agree("unet", 5) is None
    for broken in ("", "[]", "{", '{"a": 1}', "\udc80"):
        file.write_bytes(broken.encode("utf-8", "surrogateescape"))
        found = Shapes(file, {"device": "one"})
        assert found.agree("unet", 5) is None
        found.learn("unet", 5, True, 2**18)
    assert json.loads(file.read_text())


def test_a_file_that_cannot_be_written_is_done_without(tmp_path, caplog):
    (tmp_path / "cache").write_text("no folder")
    found = Shapes(tmp_path / "cache" / "shapes.json", {})
    found.learn("unet", 5, True, 2**18)
    assert found.agree("unet", 5)
    assert "is not kept" in caplog.text


def test_a_loaded_model_remembers_in_the_cache_folder(tiny_sd_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "ENOUGH", 1)
    sizes = []
    for _ in range(2):
        loaded = load(tiny_sd_folder, data=tmp_path)
        with watched(loaded) as rows:
            pictures(loaded, [recipe(loaded, seed) for seed in range(5)])
        sizes.append(rows)
    assert sizes == [[8, 8, 10, 10, 10], [10] * 3]
