"""Pictures: what the PNG carries, and that other programs read it."""

import hashlib
import io
import json
import re
import struct
import subprocess
import xml.etree.ElementTree as ET
import zlib
from dataclasses import replace

import pytest
from fuzz_picture import join, sample_picture, split
from PIL import Image
from sd_geninfo import sd_geninfo
from sd_parsers import ParserManager

from pipeline_utils.errors import InputError
from pipeline_utils.picture import parameters
from pipeline_utils.picture.picture import Lineage, Picture, decode, encode, pixel_sha256, read
from pipeline_utils.recipe import recipe
from pipeline_utils.recipe.recipe import canonical_json

AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
EVERY_SCRIPT = "ein Füchslein, 狐 🦊, ثعلب, <b>\"bold\"</b> & 'more', a\nnew line\tand tab"


def texts_of(data: bytes) -> dict[str, str]:
    """An independent reader of text chunks, strict about every byte that the PNG standard settles."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    texts, at = {}, 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert int.from_bytes(data[at + 8 + length : at + 12 + length], "big") == zlib.crc32(kind + body)
        if kind == b"tEXt":
            keyword, text = body.split(b"\0")
            texts[keyword.decode("latin-1")] = text.decode("latin-1")
        elif kind == b"iTXt":
            keyword, flags, text = re.fullmatch(rb"([^\0]+)\0(..)\0\0(.*)", body, re.DOTALL).groups()
            assert flags == b"\0\0"
            texts[keyword.decode("latin-1")] = text.decode("utf-8")
        at += 12 + length
    return texts


def test_a_picture_comes_back_from_its_png_whole():
    made = sample_picture(prompt=EVERY_SCRIPT, round=3, parent="ab" * 8, suffix=",水彩")
    reading = decode(encode(made))
    assert reading.picture == made
    assert reading.picture.id == made.id
    assert not reading.edited
    assert reading.stored_sha256 == reading.actual_sha256 == made.pixel_sha256


def test_the_longest_record_there_can_be_comes_back():
    wide = "\U0001f98a" * recipe.MAX_TEXT
    made = sample_picture(prompt=wide, negative_prompt=wide, suffix=wide)
    where = {f"{n:a<60}".replace("0", "k") if n == 0 else f"k{n:0>59}": "\U0001f98a" * 200 for n in range(32)}
    made = replace(made, fingerprint=where)
    assert decode(encode(made)).picture == made


def test_the_same_picture_gives_the_same_bytes():
    assert encode(sample_picture()) == encode(sample_picture())


def test_the_id_is_of_the_record_and_changes_with_every_part_of_it():
    made = sample_picture()
    assert made.id == hashlib.sha256(canonical_json(made.record()).encode()).hexdigest()[:16]
    others = [
        sample_picture(seed=8),
        sample_picture(suffix="x"),
        replace(made, fingerprint={"torch": "2.14.0"}),
        replace(made, pixel_sha256="0" * 64),
    ]
    assert len({made.id, *(other.id for other in others)}) == 5


def test_an_outsider_can_compute_the_pixel_hash():
    image = Image.new("RGB", (16, 17), (1, 2, 3))
    assert pixel_sha256(image) == hashlib.sha256(b"RGB 16x17\n" + bytes([1, 2, 3]) * 16 * 17).hexdigest()


def test_a_picture_owns_its_pixels():
    image = Image.new("RGB", (16, 16))
    image.info["icc_profile"] = b"secret"
    made = Picture.make(image, sample_picture().recipe, {}, Lineage())
    image.paste((255, 0, 0), (0, 0, 16, 16))
    assert pixel_sha256(made.image) == made.pixel_sha256
    assert b"iCCP" not in encode(made)


def test_an_image_of_another_size_or_mode_is_no_picture_of_the_recipe():
    for image in (Image.new("RGB", (16, 32)), Image.new("RGBA", (16, 16))):
        with pytest.raises(InputError, match="image"):
            Picture.make(image, sample_picture().recipe, {}, Lineage())


@pytest.mark.parametrize(
    "wrong",
    [
        {"round": 0},
        {"round": 10_001},
        {"round": True},
        {"parent": "AB" * 8},
        {"parent": "ab" * 8 + "\n"},
        {"suffix": "a\0"},
        {"suffix": 7},
        {"control": 1},
    ],
)
def test_a_wrong_lineage_is_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Lineage(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"a": 1.5}, {"a": "x" * 201}, {"a": []}, {"<b>": 1}, {"a": 2**60}, {f"k{n}": 1 for n in range(33)}, {1: 1}],
)
def test_a_wrong_fingerprint_is_refused(wrong):
    with pytest.raises(InputError, match="fingerprint"):
        Picture.make(Image.new("RGB", (16, 16)), sample_picture().recipe, wrong, Lineage())


def test_edited_pixels_are_found_and_the_record_still_read(tmp_path):
    made = sample_picture()
    touched = made.image.copy()
    touched.putpixel((0, 0), tuple(255 - value for value in touched.getpixel((0, 0))))
    file = tmp_path / "edited.png"
    file.write_bytes(encode(replace(made, image=touched)))
    reading = read(file)
    assert reading.edited
    assert reading.stored_sha256 == made.pixel_sha256 != reading.actual_sha256 == pixel_sha256(touched)
    assert (reading.picture.id, reading.picture.image) == (made.id, touched)


def test_a_cropped_picture_is_an_edited_one():
    made = sample_picture()
    assert decode(encode(replace(made, image=made.image.crop((0, 0, 8, 16))))).edited


def test_another_compression_of_the_same_pixels_is_no_edit():
    chunks = split(encode(sample_picture()))
    again = [(k, zlib.compress(zlib.decompress(b), 0) if k == b"IDAT" else b) for k, b in chunks]
    assert not decode(join(again)).edited


# --- what other programs read


def test_the_recipe_is_utf8_and_plain_parameters_are_what_simple_readers_know():
    kinds = {body.split(b"\0")[0]: kind for kind, body in split(encode(sample_picture())) if kind.endswith(b"Xt")}
    assert kinds == {b"recipe": b"iTXt", b"parameters": b"tEXt", b"XML:com.adobe.xmp": b"iTXt"}
    wide = {body.split(b"\0")[0]: kind for kind, body in split(encode(sample_picture(prompt="狐")))}
    assert wide[b"parameters"] == b"iTXt"


def test_a_strict_reader_finds_parameters_recipe_and_digital_source_type():
    made = sample_picture(prompt=EVERY_SCRIPT)
    texts = texts_of(encode(made))
    assert texts["parameters"].startswith(EVERY_SCRIPT + "\nSteps: 20, Sampler: DDIM, CFG scale: 7.0, Seed: 7, ")
    assert json.loads(texts["recipe"]) == made.record()
    xmp = ET.fromstring(re.sub(r"<\?xpacket.*?\?>", "", texts["XML:com.adobe.xmp"]))
    found = {node.tag: node.text for node in xmp.iter() if node.text}
    assert found["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"] == AI
    assert found["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == "Second Round"


def shown_by_exiftool(file) -> dict:
    """Its tags by name. A test fails where exiftool is not installed; `make browser` installs it."""
    shown = subprocess.run(["exiftool", "-j", "-n", file], capture_output=True, check=True, timeout=60).stdout
    return json.loads(shown)[0]


@pytest.mark.parametrize("writer", ["", "  Ada <L> & Söhne\0 "])
def test_exiftool_shows_parameters_recipe_and_every_mark_by_name(tmp_path, writer):
    made = sample_picture(prompt="a <red> fox & 狐\tin ]]> snow", negative_prompt="blurry")
    (tmp_path / "x.png").write_bytes(encode(made, writer))
    tags = shown_by_exiftool(tmp_path / "x.png")
    assert "Warning" not in tags
    assert tags["Parameters"] == parameters.write(made.recipe)
    # exiftool may show the record as the object it is
    assert (json.loads(tags["Recipe"]) if isinstance(tags["Recipe"], str) else tags["Recipe"]) == made.record()
    assert tags["DigitalSourceType"] == AI
    assert tags["CreatorTool"] == "Second Round"
    assert tags["AISystemUsed"] == "emoji-sd"
    assert tags["AISystemVersionUsed"] == made.recipe.revision
    assert tags["AIPromptInformation"] == "a <red> fox & 狐\tin ]]> snow\nNegative prompt: blurry"
    assert tags.get("AIPromptWriterName") == ("Ada <L> & Söhne�" if writer else None)


@pytest.mark.parametrize("prompt", ["a\ufffeb\uffff", "a\r\nb", "</rdf:RDF>", "&amp;", "x\x85 \u2028x"])
def test_no_prompt_breaks_the_xmp(prompt):
    packet = texts_of(encode(sample_picture(prompt=prompt)))["XML:com.adobe.xmp"]
    root = ET.fromstring(re.sub(r"<\?xpacket.*?\?>", "", packet))
    (node,) = root.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}AIPromptInformation")
    assert node.text == re.sub("[\ufffe\uffff]", "�", prompt)


def test_a_second_independent_reader_of_parameters_understands_ours(tmp_path):
    made = sample_picture(prompt="a red fox", negative_prompt="blurry", seed=0, revision="sha256:" + "a1b2" * 16)
    (tmp_path / "x.png").write_bytes(encode(made))
    with Image.open(tmp_path / "x.png") as image:
        text, _ = sd_geninfo.read_geninfo(image)
    found = json.loads(sd_geninfo.yaml_to_json(sd_geninfo.parse_geninfo(text)))
    assert found == {
        "Positive prompt": "a red fox",
        "Negative prompt": "blurry",
        "Steps": 20,
        "Sampler": "DDIM",
        "CFG scale": 7.0,
        "Seed": 0,
        "Size": "16x16",
        "Model": "emoji-sd",
        "Model hash": "a1b2a1b2a1",
        "Version": "Second Round",
    }


def test_an_independent_reader_of_parameters_understands_ours():
    made = sample_picture(
        prompt="a red fox, (detailed:1.2)",
        negative_prompt="blurry, low quality",
        seed=0,
        revision="sha256:" + "ab" * 32,
    )
    parsed = ParserManager().parse(io.BytesIO(encode(made)))
    (sampler,) = parsed.samplers
    assert sampler.name == "DDIM"
    assert sampler.parameters == {"cfg_scale": "7.0", "seed": "0", "steps": "20"}
    assert (sampler.model.name, sampler.model.hash) == ("emoji-sd", "ab" * 5)
    assert sampler.prompts[0].value == "a red fox, (detailed:1.2)"
    assert sampler.negative_prompts[0].value == "blurry, low quality"
    assert parsed.metadata["Size"] == "16x16"
