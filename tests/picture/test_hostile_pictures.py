"""Files that mean harm or are broken: refused in one sentence, in bounded time and memory."""

import os
import random
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import fuzz_picture
import pytest
from fuzz_picture import foreign_png, itxt, join, judge, sample_picture, split, with_record
from PIL import Image

from pipeline_utils.errors import PictureError
from pipeline_utils.picture import png
from pipeline_utils.picture.picture import decode, encode, read, read_head

CORPUS = Path(__file__).parents[1] / "corpus"
OURS = encode(sample_picture())
GIGABYTE = 2**30


def refusal(data: bytes, megabytes: int = 40) -> str:
    """The sentence `data` is refused with, after checking what the refusal cost."""
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(PictureError) as caught:
        decode(data)
    seconds, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert seconds < 5
    assert peak < megabytes * 2**20
    assert len(message) < 300
    assert "\n" not in message
    assert message.endswith(".")
    return message


def bomb(size: int) -> bytes:
    """A zlib stream of `size` zero bytes (a multiple of 1 MB), made without holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    adler = zlib.adler32(b"")  # wrong, and never reached
    return b"\x78\xda" + block * (size // 2**20) + end + struct.pack(">I", adler)


def changed(kind: bytes, body: bytes) -> bytes:
    """Our file with the body of its first chunk of that kind replaced."""
    chunks = split(OURS)
    at = [k for k, _ in chunks].index(kind)
    chunks[at] = (kind, body)
    return join(chunks)


def inserted(*chunks: tuple[bytes, bytes], into: bytes = OURS) -> bytes:
    whole = split(into)
    return join([whole[0], *chunks, *whole[1:]])


def header(width=16, height=16, depth=8, color=2, compression=0, filtering=0, interlace=0) -> bytes:
    return changed(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, compression, filtering, interlace))


# --- the file


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The file is empty."),
        (b"hello", "The file is not a PNG."),
        (b"\xff\xd8\xff\xe0" + bytes(100), "The file is not a PNG."),
        (b"GIF89a" + OURS, "The file is not a PNG."),
        (png.SIGNATURE, "The file is cut short."),
        (OURS[: len(OURS) // 2], "The file is cut short."),
        (OURS[:-1], "The file is cut short."),
        (OURS[:-12], "The file is cut short."),
        (png.SIGNATURE + b"\xff\xff\xff\xffIHDR" + bytes(20), "The file is cut short."),
        (OURS.replace(b"a red fox", b"a red fax", 1), "The file is damaged: a checksum in it is wrong."),
        (join([(b"IEND", b"")]), "The file is damaged: a PNG begins with a header of 13 bytes."),
        (join([(b"IHDR", b""), (b"IEND", b"")]), "The file is damaged: a PNG begins with a header of 13 bytes."),
        (inserted(split(OURS)[0]), "The file is damaged: it has two headers."),
        (inserted((b"CgBI", b"abcd")), "This PNG holds a chunk that only a special reader may show."),
        (inserted((b"acTL", struct.pack(">II", 2, 0))), "This PNG is animated; only still pictures are read."),
        (inserted(*[(b"tEXt", b"a\0b")] * 20_000), "This PNG is in more than 20000 pieces."),
        (join([c for c in split(OURS) if c[0] != b"IDAT"]), "This PNG holds no pixels."),
        (join([c for c in split(foreign_png(mode="P")) if c[0] != b"PLTE"]), "This PNG lacks its palette."),
    ],
)
def test_a_broken_file_is_refused_with_its_reason(data, reason):
    assert refusal(data) == reason


def test_every_truncation_of_a_file_is_refused():
    for length in range(0, len(OURS), 7):
        with pytest.raises(PictureError):
            decode(OURS[:length])


def test_a_file_over_64_mb_is_refused_unread(tmp_path):
    big = tmp_path / "big.png"
    with open(big, "wb") as file:
        file.write(OURS)
        file.truncate(2 * GIGABYTE)  # sparse
    with pytest.raises(PictureError, match="over 64 MB"):
        read(big)


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "a\0b", "x" * 5000):
        with pytest.raises(PictureError):
            read(path)


# --- pixels


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (header(30_000, 30_000), "The picture is 30000 × 30000 pixels; at most 4096 a side are read."),
        (header(4097, 1), "at most 4096"),
        (header(0, 16), "at most 4096"),
        (header(2**31, 2**31), "at most 4096"),
        (header(4096, 4096), "fewer pixels than its header says"),
        (header(16, 15), "more pixels than its header says"),
        (header(16, 17), "fewer pixels than its header says"),
        (header(depth=16), "other than 8 bits"),
        (header(depth=4), "other than 8 bits"),
        (header(depth=3, color=3), "other than 8 bits"),
        (header(color=5), "no PNG header"),
        (header(compression=1), "no PNG header"),
        (header(filtering=1), "no PNG header"),
        (header(interlace=1), "interlaced"),
        (header(interlace=2), "no PNG header"),
        (header(color=6), "no longer 8-bit RGB"),
        (header(color=0), "no longer 8-bit RGB"),
        (changed(b"IDAT", b""), "fewer pixels"),
        (changed(b"IDAT", b"no zlib stream"), "damaged"),
        (changed(b"IDAT", zlib.compress(bytes(784))[:-3]), "fewer pixels"),
        (changed(b"IDAT", zlib.compress(bytes(784))[:-4] + b"oops"), "damaged"),
        (changed(b"IDAT", zlib.compress(b"\x09" + bytes(783))), "damaged"),  # no filter has number 9
    ],
)
def test_pixels_that_are_not_what_the_header_says_are_refused(data, reason):
    assert reason in refusal(data)


def test_a_bomb_of_pixels_is_refused_before_it_goes_off():
    assert "more pixels" in refusal(changed(b"IDAT", bomb(GIGABYTE)))


def test_pixel_data_followed_by_junk_costs_no_more_than_its_length():
    """Zlib gathers what follows its stream: in small pieces that alone would take minutes."""
    junk = zlib.compress(zlib.decompress(split(OURS)[-2][1])) + bytes(48 * 2**20)
    began = time.perf_counter()
    assert not decode(changed(b"IDAT", junk)).edited
    assert time.perf_counter() - began < 5


def test_interlaced_16_bit_and_animated_files_of_others_are_refused_not_crashed_on(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    animated = foreign_png(save_all=True, append_images=frames)
    sixteen = split(foreign_png(mode="I;16"))
    assert "animated" in refusal(animated)
    assert "other than 8 bits" in refusal(join(sixteen))


def test_what_stands_beside_the_pixels_never_reaches_pillow():
    profile = b"ICC Profile\0\0" + bomb(256 * 2**20)
    odd = [
        (b"iCCP", profile),
        (b"eXIf", b"II*\0junk"),
        (b"pHYs", b"1"),
        (b"gAMA", b""),
        (b"tRNS", b"1"),
        (b"fcTL", b""),
    ]
    reading = decode(inserted(*odd))
    assert not reading.edited
    assert reading.image.info == {}


def test_what_follows_the_end_is_no_part_of_the_picture():
    assert not decode(OURS + b"PK\3\4 a zip, say").edited


# --- texts


@pytest.mark.parametrize("keyword", [b"recipe", b"parameters"])
def test_a_bomb_in_a_compressed_text_is_refused_before_it_goes_off(keyword):
    bare = join([chunk for chunk in split(OURS) if not chunk[0].endswith(b"Xt")])
    for chunk in ((b"zTXt", keyword + b"\0\0" + bomb(GIGABYTE)), (b"iTXt", keyword + b"\0\1\0\0\0" + bomb(GIGABYTE))):
        assert f"{keyword.decode()} text in this PNG is over 64 KB" in refusal(inserted(chunk, into=bare))


@pytest.mark.parametrize("into", [OURS, foreign_png()])
def test_what_is_not_read_counts_against_no_limit(into):
    beside = [
        itxt("workflow", "[" * 10**6),
        (b"zTXt", b"workflow\0\0" + zlib.compress(bytes(10**7))),
        (b"zTXt", b"Comment\0\0" + bomb(GIGABYTE)),
        (b"zTXt", b"Comment\0\0not zlib"),
        (b"iTXt", b"prompt\0\0\0\0\0\xff\xfe"),
    ]
    began = time.perf_counter()
    reading = decode(inserted(*beside, into=into))
    assert time.perf_counter() - began < 2
    assert (reading.picture or reading.parameters) == (decode(into).picture or decode(into).parameters)


def test_many_small_bombs_are_not_many_times_one():
    small = [(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(60_000 - n))) for n in range(5_000)]
    assert "too many texts named parameters" in refusal(join([*split(foreign_png())[:1], *small, *split(OURS)[-2:]]))


def test_damaged_compressed_text_is_refused():
    bare = join([chunk for chunk in split(OURS) if not chunk[0].endswith(b"Xt")])
    assert "compressed parameters text" in refusal(inserted((b"zTXt", b"parameters\0\0not zlib"), into=bare))


def test_two_recipes_are_refused_and_so_are_two_parameters():
    assert "two texts named recipe" in refusal(inserted(itxt("recipe", "{}")))
    assert "two texts named parameters" in refusal(inserted((b"tEXt", b"parameters\0x"), into=foreign_png()))


@pytest.mark.parametrize("data", [OURS, foreign_png()])
def test_the_same_text_twice_is_one_text(data, tmp_path):
    (kind, body), *_ = (chunk for chunk in split(data) if chunk[0].endswith(b"Xt"))
    keyword, _, rest = body.partition(b"\0")
    text = rest.lstrip(b"\0")
    packed = (b"zTXt", keyword + b"\0\0" + zlib.compress(text))
    twice = inserted((kind, body), packed, itxt(keyword.decode(), text.decode()), into=data)
    once, reading = decode(data), decode(twice)
    assert (reading.picture, reading.parameters) == (once.picture, once.parameters)
    if once.picture:
        (tmp_path / "twice.png").write_bytes(twice)
        assert read_head(tmp_path / "twice.png").id == once.picture.id


def test_a_text_over_64_kb_or_not_in_utf8_is_refused():
    assert "over 64 KB" in refusal(with_record(" " * 70_000))
    assert "over 64 KB" in refusal(foreign_png("x" * 10**6))
    assert "not valid UTF-8" in refusal(with_record("\ud800"))


def test_a_png_without_recipe_and_parameters_is_refused():
    bare = join([chunk for chunk in split(OURS) if not chunk[0].endswith(b"Xt")])
    assert refusal(bare) == "This PNG holds neither a recipe nor generation parameters."


def test_malformed_text_chunks_of_others_do_not_matter():
    odd = [(b"tEXt", b""), (b"tEXt", b"recipe"), (b"iTXt", b""), (b"iTXt", b"a\0"), (b"tEXt", b"x" * 10**6)]
    assert not decode(inserted(*odd[:1], *odd[2:])).edited


def test_html_in_a_prompt_is_text_like_any_other():
    prompt = '<img src=x onerror=alert(1)> </rdf:RDF> ]]> & "quoted"'
    made = sample_picture(prompt=prompt)
    assert decode(encode(made)).picture.recipe.prompt == prompt
    xmp = next(body for kind, body in split(encode(made)) if body.startswith(b"XML:com.adobe.xmp"))
    assert b"&lt;img src=x onerror=alert(1)&gt; &lt;/rdf:RDF&gt; ]]&gt; &amp; " in xmp
    assert b"<img" not in xmp


def test_hostile_parameters_are_read_in_linear_time():
    for text in ('a: "\\' * 13_000, "a " * 32_000, ": " * 32_000, '"' * 60_000, "Steps: 1\n" * 7_000, "," * 60_000):
        began = time.perf_counter()
        decode(foreign_png(text))
        assert time.perf_counter() - began < 1


# --- fuzzing


def test_the_kept_corpus_is_read_or_refused_as_it_was():
    kept = sorted(CORPUS.glob("*.png"))
    assert len(kept) >= 20
    for path in kept:
        assert judge(path.read_bytes()) == path.name.split("_")[0], path.name


def test_500_changed_files_are_read_or_refused():
    counts, worst, grown, failures = fuzz_picture.fuzz(500, start=random.SystemRandom().randrange(10**9))
    assert not failures
    assert sum(counts.values()) == 500
    assert worst < fuzz_picture.MAX_SECONDS
    assert grown < fuzz_picture.MAX_GROWTH


def test_300_changed_files_of_other_tools_are_read_or_refused():
    start = random.SystemRandom().randrange(10**9)
    counts, worst, grown, failures = fuzz_picture.fuzz(300, start, fuzz_picture.FOREIGN)
    assert not failures
    assert counts["foreign read"] > 50
    assert worst < fuzz_picture.MAX_SECONDS
    assert grown < fuzz_picture.MAX_GROWTH
