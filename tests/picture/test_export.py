"""Sheets, JPEG and WebP: the marks and recipes of the pictures they show."""

import json
import subprocess

import pytest
from fuzz_picture import itxt, join, sample_picture, split
from PIL import Image
from sd_parsers import ParserManager

from pipeline_utils.errors import InputError, PictureError
from pipeline_utils.picture import export, parameters
from pipeline_utils.picture.export import records as records_of
from pipeline_utils.picture.picture import encode, pixel_sha256
from pipeline_utils.shelf.contact_sheet import contact_sheet

AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PICTURES = [sample_picture(seed, prompt=f"a red fox & {word} 狐") for seed, word in enumerate(("snow", "fog"))]


def shown_by_exiftool(file) -> dict:
    shown = subprocess.run(["exiftool", "-j", "-n", file], capture_output=True, check=True, timeout=60).stdout
    tags = json.loads(shown)[0]
    assert "Warning" not in tags
    return tags


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_sheet_carries_the_marks_and_every_recipe(tmp_path, form):
    file, records = tmp_path / f"sheet.{form}", [picture.record() for picture in PICTURES]
    file.write_bytes(export.sheet(contact_sheet(PICTURES), PICTURES, form))
    tags = shown_by_exiftool(file)
    assert (tags["DigitalSourceType"], tags["AISystemUsed"], tags["CreatorTool"]) == (AI, "emoji-sd", "Second Round")
    assert tags["AIPromptInformation"] == "a red fox & snow 狐\na red fox & fog 狐"
    told = tags["Recipes" if form == "PNG" else "Records"]
    assert (json.loads(told) if isinstance(told, str) else told) == records
    if form == "PNG":
        assert records_of(file.read_bytes()) == records


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_a_picture_as_jpeg_or_webp_is_read_by_others_like_its_png(tmp_path, form):
    (picture, _), file = PICTURES, tmp_path / f"x.{form}"
    file.write_bytes(export.single(picture, form))
    tags = shown_by_exiftool(file)
    assert tags["UserComment"] == parameters.write(picture.recipe)
    assert (tags["DigitalSourceType"], tags["AISystemVersionUsed"]) == (AI, picture.recipe.revision)
    (sampler,) = ParserManager().parse(file).samplers
    assert (sampler.prompts[0].value, sampler.parameters["seed"]) == ("a red fox & snow 狐", "0")
    with Image.open(file) as image:
        assert image.format == form
        assert (pixel_sha256(image.convert("RGB")) == picture.pixel_sha256) == (form == "WEBP")


def test_texts_too_long_for_a_jpeg_are_refused_and_fit_elsewhere():
    many = [sample_picture(seed, prompt=f"{seed} " + "x" * 1900) for seed in range(64)]
    with pytest.raises(InputError, match="64 KB of texts"):
        export.sheet(Image.new("RGB", (8, 8)), many, "JPEG")
    assert len(export.sheet(Image.new("RGB", (8, 8)), many, "WEBP")) > 64 * 1900
    assert len(records_of(export.sheet(Image.new("RGB", (8, 8)), many))) == 64


def with_records(text: str) -> bytes:
    chunks = split(export.sheet(Image.new("RGB", (8, 8)), PICTURES))
    return join([itxt("recipes", text) if body.startswith(b"recipes\0") else (kind, body) for kind, body in chunks])


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", "[" * 9_000, '[{"schema": 9}]', "[null]", "x" * 2**21])
def test_a_sheet_whose_records_are_not_ours_is_refused_in_a_sentence(text):
    with pytest.raises(PictureError, match=r"\.$"):
        records_of(with_records(text))


def test_another_png_is_no_sheet():
    assert records_of(encode(PICTURES[0])) is None
