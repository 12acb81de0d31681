"""PNG files from anywhere: their text and pixels, read in bounded time and memory.

Every chunk is walked and checked before a pixel is decoded. Pillow is then given a file rebuilt from
the header, palette and pixel data alone, so that no other chunk of a hostile file reaches it.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, PngImagePlugin

from pipeline_utils.errors import PictureError
from pipeline_utils.recipe.recipe import MAX_SIDE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_BYTES = 64 * 2**20  # of a file; 4096 x 4096 pixels of noise are 48 MB
MAX_CHUNKS = 20_000  # libpng writes 8 KB each
MAX_TEXT_BYTES = 64 * 2**10  # of one text that is read; the longest record we write is smaller
MAX_COPIES = 4  # of one text, as tools that write over each other leave them

RGB = 2  # colour type
_CHANNELS = {0: 1, RGB: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey + alpha, RGBA
_PALETTE = 3
_PIECE = 2**16  # bytes
MAX_HEAD = 4 * MAX_TEXT_BYTES  # bytes ahead of the pixels that `first_texts` looks at
_FIRST_READ = 2**12  # bytes; our own texts take about 2,500


@dataclass(frozen=True)
class Png:
    """A walked file, every checksum right, no pixel decoded. width, height: pixels."""

    width: int
    height: int
    depth: int  # bits a channel: 8, or 1 to 8 in a palette
    color: int  # the PNG colour type
    texts: dict[str, list[tuple[bytes, bytes]]]  # (kind, body) of the text chunks by keyword, none of them unpacked
    header: bytes
    palette: bytes
    data: bytes  # the zlib stream of all IDAT chunks

    def text(self, keyword: str, limit: int = MAX_TEXT_BYTES) -> str | None:
        """The text of this keyword, of at most `limit` bytes; None where there is none. Raises PictureError."""
        found = set()
        for number, (kind, body) in enumerate(dict.fromkeys(self.texts.get(keyword, []))):
            if number == MAX_COPIES:
                raise PictureError(f"This PNG holds too many texts named {keyword}.")
            found.add(_text(keyword, kind, body, limit))
        return _only(keyword, found)

    def pixels(self) -> Image.Image:
        """The pixels as 8-bit RGB; transparency is dropped. Raises PictureError."""
        row = 1 + (self.width * _CHANNELS[self.color] * self.depth + 7) // 8  # a filter byte leads
        _check_inflated_size(self.data, row * self.height)
        parts = [(b"IHDR", self.header), (b"IDAT", self.data), (b"IEND", b"")]
        if self.color == _PALETTE:
            parts.insert(1, (b"PLTE", self.palette))
        try:
            with Image.open(io.BytesIO(_file(parts)), formats=["PNG"]) as image:
                return image.convert("RGB")
        except Exception as error:  # Pillow has a dozen kinds for damaged pixels
            raise PictureError("The pixels of this PNG are damaged.") from error


def write(image: Image.Image, plain: dict[str, str], wide: dict[str, str]) -> bytes:
    """A PNG with texts by keyword ahead of its pixels; the same arguments give the same bytes.

    `wide` texts are iTXt, which is UTF-8. `plain` ones are tEXt, all that some readers know, wherever
    their characters are among those of Latin-1 that tEXt may hold.
    """
    info = PngImagePlugin.PngInfo()
    for keyword, text in plain.items():
        if all(c == "\n" or " " <= c <= "~" or "\xa0" <= c <= "\xff" for c in text):
            info.add_text(keyword, text)
        else:
            info.add_itxt(keyword, text)
    for keyword, text in wide.items():
        info.add_itxt(keyword, text)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def walk(data: bytes, max_side: int = MAX_SIDE) -> Png:
    """Check a whole file, in which only the texts that are asked for later are read. Raises PictureError."""
    header, palette, pixels, texts = b"", b"", [], {}
    for kind, body in _chunks(data):
        if not header:
            header = _check_header(kind, bytes(body), max_side)
        elif kind == b"PLTE":
            palette = bytes(body)
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            texts.setdefault(_keyword(body), []).append((kind, body))
        elif kind == b"acTL":
            raise PictureError("This PNG is animated; only still pictures are read.")
        elif kind == b"IHDR":
            raise PictureError("The file is damaged: it has two headers.")
        elif kind != b"IEND" and not kind[0] & 32:  # critical, by the case of its first letter
            raise PictureError("This PNG holds a chunk that only a special reader may show.")
    width, height, depth, color = struct.unpack(">IIBB", header[:10])
    if not pixels:
        raise PictureError("This PNG holds no pixels.")
    if color == _PALETTE and not palette:
        raise PictureError("This PNG lacks its palette.")
    return Png(width, height, depth, color, texts, header, palette, b"".join(pixels))


def first_texts(file: BinaryIO, keywords: tuple[str, ...]) -> dict[str, str]:
    """The texts of `keywords` that stand ahead of the pixels, of which none is read: for listing many files.

    At most MAX_HEAD bytes are read, and the checksums of those texts are checked. Raises PictureError.
    """
    data, at = file.read(_FIRST_READ), len(SIGNATURE)
    texts: dict[str, set[str]] = {}
    if not data.startswith(SIGNATURE):
        raise PictureError("The file is not a PNG.")

    def need(size: int) -> None:
        nonlocal data
        if size > len(data):
            data += file.read(max(0, MAX_HEAD - len(data)))
        if size > len(data):
            raise PictureError("The file is cut short, or its pixels come too late.")

    while True:
        need(at + 12)
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"IDAT", b"IEND"):
            return {keyword: _only(keyword, found) for keyword, found in texts.items()}
        end = at + 8 + length
        need(end + 4)
        if kind in (b"tEXt", b"iTXt") and (keyword := _keyword(data[at + 8 : end])) in keywords:
            if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                raise PictureError("The file is damaged: a checksum in it is wrong.")
            texts.setdefault(keyword, set()).add(_text(keyword, kind, data[at + 8 : end], MAX_TEXT_BYTES))
        at = end + 4


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """(kind, body) of every chunk up to IEND; what follows IEND is no part of a PNG."""
    if not data:
        raise PictureError("The file is empty.")
    if len(data) > MAX_BYTES:
        raise PictureError(f"The file is over {MAX_BYTES // 2**20} MB.")
    if not data.startswith(SIGNATURE):
        raise PictureError("The file is not a PNG.")
    view, at = memoryview(data), len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(view):
            raise PictureError("The file is cut short.")
        length, kind = struct.unpack_from(">I4s", view, at)
        if length > len(view) - at - 12:
            raise PictureError("The file is cut short.")
        body, end = view[at + 8 : at + 8 + length], at + 8 + length
        if not kind.isalpha() or zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise PictureError("The file is damaged: a checksum in it is wrong.")
        yield kind, body
        if kind == b"IEND":
            return
        at = end + 4
    raise PictureError(f"This PNG is in more than {MAX_CHUNKS} pieces.")


def _check_header(kind: bytes, body: bytes, max_side: int) -> bytes:
    if kind != b"IHDR" or len(body) != 13:
        raise PictureError("The file is damaged: a PNG begins with a header of 13 bytes.")
    width, height, depth, color, compression, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if not (1 <= width <= max_side and 1 <= height <= max_side):
        raise PictureError(f"The picture is {width} × {height} pixels; at most {max_side} a side are read.")
    if color not in _CHANNELS or compression or filtering or interlace > 1:
        raise PictureError("The file is damaged: its header is no PNG header.")
    if interlace:
        raise PictureError("This PNG is interlaced; save it without interlacing.")
    if depth != 8 and not (color == _PALETTE and depth in (1, 2, 4)):
        raise PictureError("This PNG has other than 8 bits a channel.")
    return body


def _keyword(body: bytes | memoryview) -> str:
    return bytes(body[:80]).partition(b"\0")[0].decode("latin-1")  # of at most 79 bytes


def _text(keyword: str, kind: bytes, body: bytes | memoryview, limit: int) -> str:
    """What a text chunk says, of which at most `limit` bytes are inflated."""
    rest = bytes(body).partition(b"\0")[2]
    if kind == b"zTXt":
        packed, rest = True, rest[1:]  # the compression method, always 0
    else:
        packed = kind == b"iTXt" and rest[:1] == b"\1"
    if kind == b"iTXt":
        rest = rest[2:].split(b"\0", 2)[-1]  # flag and method, then language and translated keyword
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, limit + 1)
        except zlib.error:
            raise PictureError(f"The compressed {keyword} text in this PNG is damaged.") from None
    if len(rest) > limit:
        raise PictureError(f"The {keyword} text in this PNG is over {limit // 2**10} KB.")
    try:
        return rest.decode("utf-8")
    except UnicodeDecodeError:
        if kind == b"iTXt":
            raise PictureError(f"The {keyword} text in this PNG is not valid UTF-8.") from None
        return rest.decode("latin-1")  # as the standard says; many write UTF-8 all the same


def _only(keyword: str, found: set[str]) -> str | None:
    if len(found) > 1:
        raise PictureError(f"This PNG holds two texts named {keyword}, so neither can be trusted.")
    return next(iter(found), None)


def _check_inflated_size(data: bytes, expected: int) -> None:
    """Inflate without keeping: pixel data that is short, damaged or a bomb never reaches Pillow."""
    inflater, size = zlib.decompressobj(), 0
    try:
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            while size <= expected and not inflater.eof:
                out = inflater.decompress(piece, 16 * _PIECE)
                size, piece = size + len(out), inflater.unconsumed_tail
                if not out and not piece:
                    break  # the inflater waits for the next piece
    except zlib.error:
        raise PictureError("The pixels of this PNG are damaged.") from None
    if size > expected:
        raise PictureError("This PNG holds more pixels than its header says.")
    if size < expected or not inflater.eof:
        raise PictureError("This PNG holds fewer pixels than its header says.")


def _file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [SIGNATURE]
    for kind, body in chunks:
        crc = zlib.crc32(body, zlib.crc32(kind))
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", crc)]
    return b"".join(parts)
