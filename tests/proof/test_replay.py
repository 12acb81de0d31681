"""Replays, comparisons and what is said about them."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline_utils.engine.events import Step
from pipeline_utils.errors import InputError
from pipeline_utils.models import runtime
from pipeline_utils.picture.picture import Picture, decode, encode
from pipeline_utils.proof.replay import checking, verify
from pipeline_utils.proof.verdict import Claim
from pipeline_utils.recipe.ask import Ask
from tests.making import load, made, recipe, studio
from tests.tiny import tiny_sd


@pytest.fixture(scope="module")
def here(tiny_sd_folder, tmp_path_factory):
    return studio(tiny_sd_folder, tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def picture(here) -> Picture:
    """The last of five, so that it rode in a padded call."""
    return made(here.first_round(Ask("a cat", "0-4", num_inference_steps=3)))[-1].picture


def reading(picture: Picture):
    return decode(encode(picture))


def edited(picture: Picture, change) -> Picture:
    pixels = np.array(picture.image)
    change(pixels)
    return replace(picture, image=Image.fromarray(pixels))


def brighten_three(pixels):
    pixels[0, :3] = pixels[0, :3] ^ 1


def test_a_picture_made_here_is_identical(here, picture):
    verdict = verify(here, reading(picture))
    assert verdict.identical
    assert verdict.replayed
    assert not verdict.edited
    assert verdict.sentence == "Identical: made again, all 1,024 pixels have the same bits."
    assert (verdict.difference.l_inf, verdict.difference.differing_pixels) == (0, 0)
    assert verdict.replayed_sha256 == verdict.actual_sha256 == verdict.stored_sha256 == picture.pixel_sha256
    assert verdict.differing == []


def test_the_answer_is_json_without_infinities(here, picture):
    answer = json.loads(json.dumps(verify(here, reading(picture)).to_dict(), allow_nan=False))
    assert answer["identical"] is True
    assert answer["l_inf"] == answer["differing_pixels"] == 0
    assert answer["psnr"] is None
    assert answer["recipe"] == picture.recipe.to_dict()
    assert answer["fingerprint_here"] == answer["fingerprint_there"]


def test_steps_are_told_while_it_is_made(here, picture):
    *steps, verdict = checking(here, reading(picture))
    assert [type(step) for step in steps] == [Step] * 3
    assert verdict.identical


def test_edited_pixels_are_told_apart_from_a_replay_that_differs(here, picture):
    verdict = verify(here, reading(edited(picture, brighten_three)))
    assert verdict.edited
    assert not verdict.identical
    assert verdict.replayed_sha256 == verdict.stored_sha256 != verdict.actual_sha256
    assert (verdict.difference.l_inf, verdict.difference.differing_pixels) == (1, 3)
    assert verdict.sentence.startswith(
        "The file was edited after it was made: the recipe still gives the picture that was saved, bit for bit, "
        "but the file differs in 3 of 1,024 pixels, by at most 1 of 255"
    )


def test_a_picture_whose_size_was_changed_is_edited(here, picture):
    verdict = verify(here, Claim.of(reading(replace(picture, image=picture.image.resize((16, 16))))))
    assert verdict.edited
    assert verdict.difference is None
    assert "has another size than its recipe says" in verdict.sentence


def test_pixels_and_hash_that_were_both_changed_differ_on_the_same_fingerprint(here, picture):
    forged = edited(picture, brighten_three)
    forged = Picture.make(forged.image, picture.recipe, picture.fingerprint, picture.lineage)
    verdict = verify(here, reading(forged))
    assert not verdict.identical
    assert not verdict.edited
    assert verdict.sentence.startswith(
        "Not identical, on the same fingerprint: the file differs in 3 of 1,024 pixels, by at most 1 of 255 (PSNR"
    )


def test_a_changed_hash_over_true_pixels_is_a_changed_record(here, picture):
    verdict = verify(here, reading(replace(picture, pixel_sha256="0" * 64)))
    assert verdict.edited
    assert not verdict.identical
    assert "its record was changed" in verdict.sentence


def test_an_edited_file_that_the_recipe_does_not_explain_either_says_both(here, picture):
    verdict = verify(here, reading(replace(edited(picture, brighten_three), pixel_sha256="0" * 64)))
    assert verdict.edited
    assert "neither its pixels nor those that were saved" in verdict.sentence


def test_another_fingerprint_is_alike_and_measured(here, picture):
    elsewhere = {**picture.fingerprint, "torch": "2.9.0+cu128", "device": "NVIDIA H200"}
    forged = edited(picture, brighten_three)
    verdict = verify(here, reading(Picture.make(forged.image, picture.recipe, elsewhere, picture.lineage)))
    assert verdict.differing == [
        ("device", "NVIDIA H200", picture.fingerprint["device"]),
        ("torch", "2.9.0+cu128", picture.fingerprint["torch"]),
    ]
    assert verdict.sentence.startswith("Alike, not identical, since it was made elsewhere (device NVIDIA H200 there, ")
    assert "differs in 3 of 1,024 pixels, by at most 1 of 255 (PSNR " in verdict.sentence
    assert 0.99 < verdict.difference.ssim < 1


def test_equal_bits_from_elsewhere_are_identical_and_said_to_be_from_elsewhere(here, picture):
    elsewhere = {**picture.fingerprint, "torch": "2.9.0"}
    verdict = verify(here, reading(Picture.make(picture.image, picture.recipe, elsewhere, picture.lineage)))
    assert verdict.identical
    assert "although it was made elsewhere (torch 2.9.0 there" in verdict.sentence


def test_another_picture_from_elsewhere_is_not_called_alike(here, picture):
    elsewhere = {**picture.fingerprint, "torch": "2.9.0"}
    noise = edited(picture, lambda pixels: pixels.__setitem__(slice(None), 255 - pixels))
    verdict = verify(here, reading(Picture.make(noise.image, picture.recipe, elsewhere, picture.lineage)))
    assert verdict.sentence.startswith("Not alike, not identical, since it was made elsewhere")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"full_determinism": True}, "without full determinism"),
        ({"offload": "model"}, "without moving parts of the model"),
    ],
)
def test_what_this_process_cannot_do_as_the_recipe_says_is_said(here, picture, changes, words):
    other = Picture.make(picture.image, replace(picture.recipe, **changes), picture.fingerprint, picture.lineage)
    verdict = verify(here, reading(other))
    assert verdict.replayed
    assert words in verdict.sentence
    assert verdict.changed == [words]
    assert verdict.recipe == other.recipe
    assert verdict.followed == picture.recipe


def test_noise_of_a_gpu_is_not_replaced_by_other_noise(here, picture):
    other = replace(picture, recipe=replace(picture.recipe, noise_device="cuda"))
    verdict = verify(here, reading(other))
    assert not verdict.replayed
    assert "drawn on a CUDA GPU, and the model does not run on one here" in verdict.sentence


def test_other_weights_are_not_replayed(here, picture):
    other = replace(picture, recipe=replace(picture.recipe, revision="sha256:" + "ab" * 16))
    verdict = verify(here, reading(other))
    assert not verdict.replayed
    assert not verdict.identical
    assert "made with local:tiny-sd at sha256:abababababab; here the model is at sha256:" in verdict.sentence


def test_a_renamed_copy_of_the_model_is_the_same_model(here, picture):
    renamed = replace(picture, recipe=replace(picture.recipe, model="local:elsewhere"))
    assert verify(here, reading(renamed)).identical


def test_a_local_model_that_is_not_here_is_said_to_be_missing(here, picture):
    other = replace(picture.recipe, model="local:secret", revision="sha256:" + "ab" * 16)
    verdict = verify(here, reading(replace(picture, recipe=other)))
    assert not verdict.replayed
    assert verdict.sentence.startswith("Not checked. The model local:secret is a folder or file of another start")


def test_a_hub_model_is_not_downloaded_without_asking(here, picture, monkeypatch):
    monkeypatch.setattr(runtime, "load", lambda *_: pytest.fail("nothing may be loaded"))
    other = replace(picture.recipe, model="stabilityai/sdxl-turbo", revision="a" * 40)
    verdict = verify(here, reading(replace(picture, recipe=other)))
    assert verdict.needs_download
    assert not verdict.replayed
    assert "SDXL-Turbo is not on this machine and would be downloaded first." in verdict.sentence
    assert "7 GB" in verdict.sentence


def test_parameters_of_other_tools_are_read_as_far_as_they_go(here):
    image = Image.new("RGB", (64, 64))
    claim = Claim(image=image, unknown=["The numeric type is not said."])
    verdict = verify(here, claim)
    assert not verdict.replayed
    assert verdict.recipe is None
    assert "The numeric type is not said." in verdict.sentence
    assert verdict.unknown == ["The numeric type is not said."]


def test_a_webui_file_is_not_made_again(here, request):
    file = request.path.parents[1] / "corpus" / "read_webui.png"
    verdict = verify(here, decode(file.read_bytes()))
    assert not verdict.replayed
    assert "cannot be made again exactly" in verdict.sentence


def test_a_file_that_cannot_be_checked_is_still_found_to_be_edited(here, picture):
    other = edited(picture, brighten_three)
    other = replace(other, recipe=replace(other.recipe, noise_device="cuda"))
    verdict = verify(here, reading(other))
    assert verdict.edited
    assert "the file was edited" in verdict.sentence


def test_a_pasted_recipe_is_made(here, picture):
    verdict = verify(here, Claim.from_text(picture.recipe.to_json()))
    assert verdict.replayed
    assert verdict.replay.tobytes() == picture.image.tobytes()
    assert verdict.sentence == "Made; there is no picture to compare it with."
    assert not verdict.identical


def test_a_pasted_record_is_checked_by_its_hash(here, picture):
    record = picture.record()
    assert verify(here, Claim.from_text(json.dumps(record))).identical
    wrong = verify(here, Claim.from_text(json.dumps({**record, "pixel_sha256": "0" * 64})))
    assert not wrong.identical
    assert "the hash of the replay is another" in wrong.sentence


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "5", '"x"', "{", '{"recipe": 5}', '{"recipe": {}, "pixel_sha256": 3}', "[" * 50_000],
)
def test_pasted_nonsense_is_refused(text):
    with pytest.raises(InputError):
        Claim.from_text(text)


@pytest.mark.parametrize("field", [{"pixel_sha256": "zz"}, {"fingerprint": []}, {"fingerprint": {"torch": [1]}}])
def test_a_pasted_record_with_wrong_parts_is_refused(picture, field):
    with pytest.raises(InputError):
        Claim.from_text(json.dumps({**picture.record(), **field}))


def test_a_recipe_that_the_model_cannot_make_is_refused(here, picture):
    with pytest.raises(InputError, match="multiple of 8"):
        verify(here, Claim(replace(picture.recipe, width=36)))


def test_a_replay_can_be_stopped(here, picture):
    stop = threading.Event()
    found = []
    for event in checking(here, Claim(replace(picture.recipe, num_inference_steps=400)), stop=stop):
        found.append(event)
        stop.set()
    assert all(isinstance(event, Step) for event in found)
    assert len(found) < 5
    assert verify(here, reading(picture)).identical


def test_a_replay_uses_the_recipes_own_lane_count(here, picture):
    sizes = []
    other = replace(picture.recipe, lanes=3)
    with here.models.use(here.models.default) as loaded:
        hook = loaded.pipe.unet.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    with hook:
        verify(here, Claim(other))
    assert max(sizes) == 6  # smaller ones were tried beside them


def test_pictures_of_another_model_are_not_identical(here, picture, tmp_path):
    other = load(tiny_sd(tmp_path / "tiny-sd", seed=3))
    assert other.revision != picture.recipe.revision
    verdict = verify(here, Claim(recipe(other)))
    assert not verdict.replayed
