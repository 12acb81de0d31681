"""Files for others: sheets that show several pictures, and pictures as JPEG or WebP, with the marks of a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import ExifTags, Image

from pipeline_utils.errors import InputError, PictureError
from pipeline_utils.picture import parameters, png, xmp
from pipeline_utils.picture.picture import Picture, check_record
from pipeline_utils.recipe.recipe import canonical_json, parse_json

_SHEET_SIDE = 2**15  # pixels: a grid of 32 rows is 17,000 tall
_SHEET_BYTES = 2**21  # 64 records of the longest prompts
_MOST = 65_000  # bytes of XMP or EXIF that a JPEG can hold


def sheet(image: Image.Image, pictures: Sequence[Picture], form: str = "PNG") -> bytes:
    """The file of an image that shows these pictures, with the records of all. form: PNG, JPEG or WEBP."""
    told = canonical_json([picture.record() for picture in pictures])
    if form == "PNG":
        return png.write(image, {}, {"recipes": told, "XML:com.adobe.xmp": _packet(pictures)})
    return _written(image, form, _packet(pictures, told), None, quality=95)


def single(picture: Picture, form: str) -> bytes:
    """A picture as JPEG or WEBP, the latter with the same pixels, its settings where others look for them."""
    packet = _packet([picture], canonical_json([picture.record()]))
    return _written(picture.image, form, packet, parameters.write(picture.recipe), quality=95, lossless=form == "WEBP")


def records(data: bytes) -> list[dict] | None:
    """The records of the pictures that a sheet shows, whose own pixels are not looked at; None for another PNG.

    Raises PictureError, also for a record that is none of ours.
    """
    text = png.walk(data, _SHEET_SIDE).text("recipes", _SHEET_BYTES)
    if text is None:
        return None
    try:
        found = parse_json("recipes", text)
    except InputError as error:
        raise PictureError(f"The records in this file cannot be read: {error.limit}.") from None
    if not isinstance(found, list):
        raise PictureError("The records in this file are no list.")
    for record in found:
        check_record(record)
    return found


def _packet(pictures: Sequence[Picture], records: str = "") -> str:
    return xmp.write([picture.recipe for picture in pictures], records=records)


def _written(image: Image.Image, form: str, packet: str, comment: str | None, **how: object) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    if comment is not None:  # as stable-diffusion-webui and its readers have it
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + comment.encode("utf-16-be")
    if form == "JPEG" and max(len(packet.encode()), len(exif.tobytes())) > _MOST:
        raise InputError("output", form, "a JPEG holds 64 KB of texts, and these are longer; choose .png or .webp")
    image.save(file, form, xmp=packet.encode(), exif=exif, **how)
    return file.getvalue()
