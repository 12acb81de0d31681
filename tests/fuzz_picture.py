"""Mutation fuzzing of picture.decode: python tests/fuzz_picture.py --inputs 100000 [--foreign]

Valid files are changed byte by byte, chunk by chunk (with checksums put right) and inside their JSON. With --foreign
all are files of other tools and sheets: the known faults of their texts, put together in any order, and changed again.
Whatever comes of it must be read or refused with a PictureError, within the bounds below. An input
that is not goes to tests/corpus/found/, to be kept as a test once its cause is mended.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import io
import json
import random
import resource
import signal
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from PIL import Image, PngImagePlugin

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline_utils.errors import PictureError
from pipeline_utils.picture import png
from pipeline_utils.picture.export import records as sheet_records
from pipeline_utils.picture.picture import Lineage, Picture, decode, encode
from pipeline_utils.picture.png import SIGNATURE
from pipeline_utils.recipe.recipe import Recipe

MAX_SECONDS = 2.0  # for one input
MAX_GROWTH = 256  # MB that the process may grow by, over all inputs
CORPUS = Path(__file__).resolve().parent / "corpus"

WEBUI = (
    "a red fox, (detailed:1.2)\nNegative prompt: blurry, low quality\n"
    "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 42, Size: 512x512, Model hash: 6ce0161689, "
    'Model: v1-5-pruned, Clip skip: 2, Lora hashes: "a: 1, b: 2", Version: v1.6.0'
)
ODD_VALUES = (
    None, True, False, 0, 1, -1, 2**32, 2**64, 10**400, 0.5, -0.0, 1e308, "", "x", "a" * 3000, "<script>",
    "\ud800", "\0", "../../etc/passwd", "http://example.com/m", [], {}, [[]], {"a": {"b": []}}, [0] * 100,
)  # fmt: skip
ODD_TEXTS = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 3000, '{"a":' * 3000, "\ud800", "\0")


def sample_picture(seed: int = 7, size: tuple[int, int] = (16, 16), **changes) -> Picture:
    """A valid picture of noise that depends on `seed` alone; `changes` go to the recipe or the lineage."""
    values = {
        "model": "emoji-sd", "revision": "sha256:" + "ab" * 20, "prompt": "a red fox", "seed": seed,
        "num_inference_steps": 20, "guidance_scale": 7.0, "scheduler": "DDIMScheduler",
        "width": size[0], "height": size[1], "dtype": "float32", "lanes": 4,
    }  # fmt: skip
    lineage = {name: changes.pop(name) for name in [f.name for f in fields(Lineage)] if name in changes}
    pixels = random.Random(seed).randbytes(3 * size[0] * size[1])
    image = Image.frombytes("RGB", size, pixels)
    where = {"torch": "2.13.0", "threads": 2, "tf32": False, "driver": None}
    return Picture.make(image, Recipe(**values | changes), where, Lineage(**lineage))


def foreign_png(text: str = WEBUI, mode: str = "RGB", **options) -> bytes:
    """A PNG with `parameters` alone, as stable-diffusion-webui writes it."""
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text("parameters", text)
    Image.new(mode, (8, 8)).save(file, "PNG", pnginfo=info, **options)
    return file.getvalue()


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    """(kind, body) of each chunk of a valid PNG."""
    chunks, at = [], len(SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def join(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """The PNG of the chunks, with right lengths and checksums."""
    parts = [SIGNATURE]
    for kind, body in chunks:
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(kind + body))]
    return b"".join(parts)


def itxt(keyword: str, text: str) -> tuple[bytes, bytes]:
    return b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "surrogatepass")


def with_record(text: str, picture: Picture | None = None) -> bytes:
    """A valid file of ours whose record is replaced by `text`."""
    chunks = split(encode(picture or sample_picture()))
    return join([itxt("recipe", text) if body.startswith(b"recipe\0") else (kind, body) for kind, body in chunks])


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    raw = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(5):
            case 0 if at < len(raw):
                raw[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(raw):
                raw[at] = rng.randrange(256)
            case 2:
                raw[at:at] = rng.randbytes(rng.randrange(1, 16))
            case 3:
                del raw[at : at + rng.randrange(1, 64)]
            case _:
                other = rng.randrange(len(raw) + 1)
                raw[at : at + 16] = raw[other : other + rng.randrange(32)]
    return bytes(raw[: rng.randrange(len(raw) + 1)] if rng.random() < 0.1 else raw)


def change_chunks(data: bytes, rng: random.Random) -> bytes:
    chunks = split(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(chunks)) if chunks else 0
        kind, body = chunks[at] if chunks else (b"IEND", b"")
        match rng.randrange(12):
            case 0:
                del chunks[at : at + 1]
            case 1:
                chunks.insert(rng.randrange(len(chunks) + 1), (kind, body))
            case 2:
                rng.shuffle(chunks)
            case 3:
                names = (b"IHDR", b"PLTE", b"IDAT", b"tEXt", b"zTXt", b"iTXt", b"acTL", b"CgBI", b"ab1c", b"iCCP")
                chunks[at : at + 1] = [(rng.choice(names), body)]
            case 4:
                width = rng.choice((0, 1, 8, 15, 16, 17, 4096, 30_000, 2**31))
                rest = (rng.choice((1, 2, 4, 8, 16)), *(rng.randrange(n) for n in (8, 2, 2, 3)))
                header = struct.pack(">IIBBBBB", width, rng.choice((1, 8, 16, 4096)), *rest)
                chunks[at : at + 1] = [(b"IHDR", header)]
            case 5:
                packed = zlib.compress(rng.randbytes(4) * rng.choice((1, 1000, 100_000)))
                keyword = rng.choice((b"recipe", b"parameters", b"Comment"))
                chunks.insert(at, (b"zTXt", keyword + b"\0\0" + packed))
            case 6:
                raw = bytes(rng.choice((0, 8, 783, 785, 5000)))
                chunks[at : at + 1] = [(b"IDAT", zlib.compress(raw))]
            case 7:
                raw = b"".join(bytes([rng.randrange(6)]) + rng.randbytes(48) for _ in range(16))  # filters 0 to 4 exist
                chunks = [(k, zlib.compress(raw) if k == b"IDAT" else b) for k, b in chunks]
            case _:
                chunks[at : at + 1] = [(kind, change_bytes(body, rng) if body else rng.randbytes(4))]
    return join(chunks)


def change_record(_: bytes, rng: random.Random) -> bytes:
    record = sample_picture().record()
    for _ in range(rng.choice((1, 1, 2, 5))):
        holder = rng.choice([record, *(value for value in record.values() if isinstance(value, dict))])
        name = rng.choice([*holder, "unknown"])
        if rng.random() < 0.2:
            holder.pop(name, None)
        else:
            holder[name] = copy.deepcopy(rng.choice(ODD_VALUES))  # it may be a holder next
    text = json.dumps(record, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.4:
        at, cut = rng.randrange(len(text)), rng.choice((0, 1, 4, 20))
        text = text[:at] + rng.choice((*ODD_TEXTS, text[:at], text[at:])) + text[at + cut :]
    return with_record(text)


def change_parameters(_: bytes, rng: random.Random) -> bytes:
    text = WEBUI
    long = ("\\" * 99, "," * 999, ": " * 999, "x" * 9999, "9" * 99)
    pieces = (*'",:\n\\{}', "Steps: ", "Negative prompt:", 'a: "', *long)
    for _ in range(rng.choice((1, 2, 4, 16))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice((*pieces, text[: rng.randrange(100)])) + text[at + rng.choice((0, 1, 9)) :]
    return join([itxt("parameters", text) if k == b"tEXt" else (k, b) for k, b in split(foreign_png())])


PROMPTS = (
    "(masterpiece:1.2), (best quality:1.3), (blue hair:1.1)", "style: anime, mood: calm", "テスト", "Füchslein",
    "<lora:x:0.8>, a fox BREAK [a|b]", "{red|blue} fox, __animal__", "Steps: up the stairs",
    "Seed: of doubt, Size: big",
    '{"prompt": "a fox"}', "\0\ufffe", "",
)  # fmt: skip
SETTINGS = (
    WEBUI.splitlines()[-1], "Steps: 20, Sampler: Euler a, Seed: 7, RNG: NV, Model: foo", "Steps: ",
    "Seed: 1, Size: 8x8",
    'Sampler: "a, b: {c}", Model hash: 0, CFG scale: 1e999', "Steps: 9, Hashes: {\"a\": 1}, Batch size: 4, Seed: -1",
)  # fmt: skip
AFTER = ("Template: a {red|blue} fox, (a:1), (b:2)", "Negative Template: Steps: 1, Seed: 2, Size: 1x1", "x: " * 400)
GRAPH = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 20, "model": ["4", 0]}}})
OTHERS = ("workflow", "prompt", "Comment", "Description", "invokeai_metadata", "sd-metadata", "Dream", "recipes")


def change_foreign(_: bytes, rng: random.Random) -> bytes:
    lines = [rng.choice(PROMPTS) for _ in range(rng.randrange(4))]
    lines += [f"Negative prompt: {rng.choice(PROMPTS)}"] * rng.randrange(3)
    lines += [rng.choice(SETTINGS) for _ in range(rng.choice((0, 1, 1, 2)))]
    lines += [rng.choice(AFTER) for _ in range(rng.randrange(3))]
    if rng.random() < 0.2:
        rng.shuffle(lines)
    text = "\n".join(lines).encode(rng.choice(("utf-8", "latin-1", "utf-16-be")), "replace")
    texts = [(b"parameters", text)] * rng.choice((1, 1, 1, 2, 3))
    for _ in range(rng.randrange(3)):
        body = rng.choice(
            (GRAPH, "[" * rng.choice((9, 99_999)), GRAPH * rng.choice((1, 2_000)), rng.choice(lines or [""]))
        )
        texts.append((rng.choice((*OTHERS, "parameters")).encode(), body.encode()))
    rng.shuffle(texts)
    chunks = []
    for keyword, body in texts:
        kind = rng.choice((b"tEXt", b"zTXt", b"iTXt", b"iTXt"))
        packed = kind == b"zTXt" or (kind == b"iTXt" and rng.random() < 0.5)
        body = zlib.compress(body, 1) if packed else body
        head = {b"tEXt": b"", b"zTXt": b"\0", b"iTXt": bytes([packed, 0, 0, 0])}[kind]
        chunks.append((kind, keyword + b"\0" + head + body))
    first, *rest = (
        chunk for chunk in split(foreign_png(mode=rng.choice(("RGB", "RGBA", "P", "L")))) if chunk[0] != b"tEXt"
    )
    data = join([first, *chunks, *rest])
    return rng.choice((change_bytes, change_chunks))(data, rng) if rng.random() < 0.3 else data


def change_sheet(_: bytes, rng: random.Random) -> bytes:
    records = [sample_picture(seed).record() for seed in range(rng.randrange(4))]
    data = png.write(Image.new("RGB", (8, 8)), {}, {"recipes": json.dumps(records)})
    return rng.choice((change_bytes, change_chunks))(data, rng)


FOREIGN = (change_foreign, change_foreign, change_parameters, change_sheet)
CHANGES = (change_bytes, change_chunks, change_record, change_parameters, change_foreign, change_sheet)


def bases() -> list[bytes]:
    ours = encode(sample_picture(prompt="ein Fuchs, 狐"))
    return [ours, ours, foreign_png(), foreign_png(mode="P"), foreign_png(mode="RGBA"), foreign_png(mode="LA")]


def judge(data: bytes) -> str:
    """ "read" or "refused". Raises AssertionError when decode breaks its promise."""
    try:
        if sheet_records(data) is not None:  # as `show` looks at a file
            return "read"
        reading = decode(data)
    except PictureError as error:
        message = str(error)
        if not 10 < len(message) < 500 or "\n" in message:
            raise AssertionError(f"no sentence: {message}") from error
        return "refused"
    if reading.picture is not None:
        again = decode(encode(reading.picture))
        assert (again.picture.id, again.edited) == (reading.picture.id, reading.edited)
    return "read"


def fuzz(inputs: int, start: int = 0, changes: Sequence[Callable] = CHANGES) -> tuple[Counter, float, int, list[str]]:
    """(counts of outcomes, worst seconds, MB grown, failures) over inputs numbered from `start`."""
    counts, worst, failures, files = Counter(), 0.0, [], bases()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, _too_slow)
    for number in range(start, start + inputs):
        rng = random.Random(number)  # any input can be made again from its number
        change = changes[number % len(changes)]
        data = change(rng.choice(files), rng)
        signal.setitimer(signal.ITIMER_REAL, 5 * MAX_SECONDS)
        began = time.perf_counter()
        try:
            outcome = judge(data)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = "failed"
            failures.append(f"input {number} ({change.__name__}): {type(error).__name__}: {error}"[:300])
            (CORPUS / "found").mkdir(parents=True, exist_ok=True)
            (CORPUS / "found" / f"{hashlib.sha256(data).hexdigest()[:12]}.png").write_bytes(data)
        signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.perf_counter() - began
        worst = max(worst, seconds)
        if seconds > MAX_SECONDS:
            failures.append(f"input {number} ({change.__name__}): {seconds:.1f} s")
        counts[f"{change.__name__.removeprefix('change_')} {outcome}"] += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024  # KB on Linux
    return counts, worst, grown, failures


def _too_slow(*_) -> None:
    raise AssertionError("still running after many times the limit")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--foreign", action="store_true", help="files of other tools, and sheets, alone")
    options = parser.parse_args()
    began = time.perf_counter()
    counts, worst, grown, failures = fuzz(options.inputs, options.start, FOREIGN if options.foreign else CHANGES)
    for name, count in sorted(counts.items()):
        print(f"{name:20} {count}")
    print(*failures[:20], sep="\n")
    print(
        f"{options.inputs} inputs in {time.perf_counter() - began:.0f} s: {len(failures)} failures, "
        f"slowest {worst * 1000:.0f} ms, memory grew {grown} MB, at most "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB in all"
    )
    return 1 if failures or grown > MAX_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
