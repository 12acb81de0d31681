"""A picture with all that is needed to make it again, and the PNG file that carries it.

The file's text chunks: `recipe`, the canonical JSON of the record (assets/picture-record.schema.json);
`parameters`, the text other tools read; and XMP that says what made the picture, and of which prompt.
"""

from __future__ import annotations

import hashlib
import re
import stat
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from PIL import Image

from pipeline_utils.errors import InputError, PictureError, show
from pipeline_utils.picture import parameters, png, xmp
from pipeline_utils.recipe.recipe import Recipe, canonical_json, check_bool, check_int, check_text, parse_json

SCHEMA = 2  # 1 is read and written as it was: it lacks what _SINCE_2 names
MAX_ROUND = 10_000
MAX_PLACE = 63
MAX_FINGERPRINT = 32  # entries
MAX_FINGERPRINT_TEXT = 200  # characters of one value

_ID = re.compile(r"[0-9a-f]{16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
_RECORD = {"schema", "app", "recipe", "recipe_id", "fingerprint", "lineage", "pixel_sha256"}
_SINCE_2 = {"flagged", "round_id", "place"}  # the last two in the lineage


@dataclass(frozen=True)
class Lineage:
    """Where a picture stands: its round (1 to 10,000), the id of the picture it came from, the style
    suffix added to that picture's prompt, and whether it is the round's control; then which round that was
    (Round.id; None where that was not written down) and its place in it, from 0. Raises InputError."""

    round: int = 1
    parent: str | None = None
    suffix: str | None = None
    control: bool = False
    round_id: str | None = None
    place: int = 0

    def __post_init__(self) -> None:
        check_int("round", self.round, 1, MAX_ROUND)
        if self.parent is not None:
            check_id("parent", self.parent)
        if self.suffix is not None:
            check_text("suffix", self.suffix)
        check_bool("control", self.control)
        if self.round_id is not None:
            check_id("round_id", self.round_id)
        check_int("place", self.place, 0, MAX_PLACE)


@dataclass(frozen=True)
class Picture:
    """An image, how it was made, where, and from what. Use `Picture.make` for a new one.

    image: 8-bit RGB, height x width of the recipe. fingerprint: what made the pixels (library versions,
    device, ...). pixel_sha256: of the pixels as they were made; in a picture read from an edited file
    the image differs from it (see Reading.edited). flagged: a safety checker blacked it out; None where
    the record, of schema 1, does not say. Raises InputError.
    """

    image: Image.Image
    recipe: Recipe
    fingerprint: dict[str, str | int | bool | None]
    lineage: Lineage
    pixel_sha256: str
    flagged: bool | None = False

    def __post_init__(self) -> None:
        if self.image.mode != "RGB":
            raise InputError("image", self.image.mode, "8-bit RGB is needed")
        check_fingerprint(self.fingerprint)
        _check_sha256(self.pixel_sha256)

    @classmethod
    def make(
        cls, image: Image.Image, recipe: Recipe, fingerprint: dict, lineage: Lineage, flagged: bool = False
    ) -> Picture:
        """The picture of an image that was just made; later changes to `image` do not reach it."""
        if image.size != (recipe.width, recipe.height):
            size = f"{image.width}x{image.height}"
            raise InputError("image", size, f"the recipe asks for {recipe.width}x{recipe.height}")
        own = Image.frombytes(image.mode, image.size, image.tobytes())  # without profiles and other info
        return cls(own, recipe, dict(fingerprint), lineage, pixel_sha256(own), flagged)

    def record(self) -> dict:
        """All but the pixels, as JSON values; assets/picture-record.schema.json describes it."""
        record = {
            "schema": SCHEMA,
            "app": xmp.APP,
            "recipe": self.recipe.to_dict(),
            "recipe_id": self.recipe.id,
            "fingerprint": dict(self.fingerprint),
            "lineage": asdict(self.lineage),
            "pixel_sha256": self.pixel_sha256,
            "flagged": self.flagged,
        }
        if self.flagged is None:  # read from schema 1, and written as it was
            record["schema"] = 1
            del record["flagged"], record["lineage"]["round_id"], record["lineage"]["place"]
        return record

    @property
    def id(self) -> str:
        """Sixteen hex digits of the SHA-256 of the record's canonical JSON."""
        return hashlib.sha256(canonical_json(self.record()).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Reading:
    """What a PNG told. `picture` when it holds our record, else `parameters` and what is `unknown`.

    edited: the file's pixels are not those its record was written for. That is about this file alone;
    whether the recipe makes the same picture again is another question.
    """

    image: Image.Image  # the file's own pixels, RGB
    actual_sha256: str  # of those pixels
    stored_sha256: str | None = None  # of the pixels the record was written for
    picture: Picture | None = None
    parameters: dict | None = None
    unknown: list[str] = field(default_factory=list)

    @property
    def edited(self) -> bool:
        return self.stored_sha256 is not None and self.stored_sha256 != self.actual_sha256


def pixel_sha256(image: Image.Image) -> str:
    """SHA-256, in hex, of the line "RGB {width}x{height}\\n" and then the bytes R, G, B of each pixel,
    rows from the top, pixels from the left."""
    return hashlib.sha256(b"RGB %dx%d\n" % image.size + image.tobytes()).hexdigest()


def check_id(name: str, value: object) -> str:
    """An id of a picture or a round, for the field `name`: exactly 16 lowercase hex digits. Raises InputError."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InputError(name, value, "an id has 16 hex digits")
    return value


def check_fingerprint(values: dict) -> None:
    """At most 32 entries; each text of at most 200 characters, a whole number, a bool or None."""
    if len(values) > MAX_FINGERPRINT:
        raise InputError("fingerprint", len(values), f"at most {MAX_FINGERPRINT} entries")
    for key, value in values.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InputError("fingerprint", key, "names of letters, digits, dots, - and _, at most 60")
        if isinstance(value, str):
            check_text("fingerprint", value, MAX_FINGERPRINT_TEXT)
        elif isinstance(value, int) and not isinstance(value, bool):
            check_int("fingerprint", value, -(2**53), 2**53)
        elif not (value is None or isinstance(value, bool)):
            raise InputError("fingerprint", value, "text, a whole number, true, false or null")


def _check_sha256(value: object) -> None:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InputError("pixel_sha256", value, "64 hex digits")


def encode(picture: Picture, writer: str = "") -> bytes:
    """The PNG file. The same picture gives the same bytes (with the same Pillow). writer: who wrote its prompt."""
    plain = {"parameters": parameters.write(picture.recipe)}
    wide = {"recipe": canonical_json(picture.record()), "XML:com.adobe.xmp": xmp.write([picture.recipe], writer)}
    return png.write(picture.image, plain, wide)


def read(path: Path | str) -> Reading:
    """`decode` for a file. Raises PictureError also where no regular file can be read."""
    return decode(read_bytes(path))


def read_bytes(path: Path | str) -> bytes:
    """A regular file's content, of which no more is read than a picture may have. Raises PictureError."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # a pipe would wait for ever
            raise PictureError("This is not a file.")
        with open(path, "rb") as file:
            return file.read(png.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not valid"
        raise PictureError(f"The file cannot be read: {reason}.") from None


@dataclass(frozen=True)
class Head:
    """A picture's record without its pixels, which were not looked at."""

    id: str
    recipe: Recipe
    fingerprint: dict[str, str | int | bool | None]
    lineage: Lineage
    pixel_sha256: str
    flagged: bool | None


def read_head(path: Path | str) -> Head:
    """What the PNG at `path` says of itself ahead of its pixels. Raises PictureError."""
    try:
        with open(path, "rb", buffering=0) as file:
            text = png.first_texts(file, ("recipe",)).get("recipe")
    except OSError as error:
        raise PictureError(f"The file cannot be read: {error.strerror}.") from None
    if text is None:
        raise PictureError("This PNG holds no recipe.")
    record = _record(text)
    # Ours is canonical JSON, so the hash of the text is the id; of any other text it is no picture's name.
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Head(name, **record)


def decode(data: bytes) -> Reading:
    """Read a PNG from anywhere, in bounded time and memory. Raises PictureError, in one sentence, for
    whatever is no PNG, damaged, too large, or holds neither our record nor `parameters`."""
    file = png.walk(data)
    if (text := file.text("recipe")) is not None:
        record = _record(text)
        if (file.color, file.depth) != (png.RGB, 8):
            raise PictureError("This PNG holds a recipe of ours, but its pixels are no longer 8-bit RGB.")
        image = file.pixels()
        picture = Picture(image=image, **record)
        return Reading(image, pixel_sha256(image), picture.pixel_sha256, picture)
    if (text := file.text("parameters")) is not None:
        image = file.pixels()
        found, unknown = parameters.parse(text)
        return Reading(image, pixel_sha256(image), parameters=found, unknown=unknown)
    if "recipes" in file.texts:
        raise PictureError(
            "This is a sheet of several pictures: it names their recipes, but their pixels are elsewhere."
        )
    raise PictureError("This PNG holds neither a recipe nor generation parameters.")


def _record(text: str) -> dict:
    """The arguments of Picture, but for the image, that a record holds. Raises PictureError."""
    try:
        return check_record(parse_json("recipe", text))
    except InputError as error:
        raise PictureError(f"The record in this file cannot be read: {error.limit}.") from None


def check_record(record: object) -> dict:
    """The arguments of Picture, but for the image, that a record from outside holds. Raises PictureError."""
    schema = record.get("schema") if isinstance(record, dict) else None
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise PictureError("The record in this file has no schema number, so Second Round did not write it.")
    if schema > SCHEMA:
        newer = f"schema {show(schema)}, newer than the {SCHEMA} this version reads"
        raise PictureError(f"The record in this file has {newer}; update Second Round to read it.")
    if schema < 1:
        raise PictureError(f"The record in this file has schema {show(schema)}; only 1 to {SCHEMA} are read.")
    since = set() if schema == 1 else _SINCE_2
    if record.keys() != _RECORD | since & {"flagged"} or record["app"] != xmp.APP:
        raise PictureError("The record in this file has other fields than those of Second Round.")
    for name in ("recipe", "fingerprint", "lineage"):
        part = record[name]  # flat, so that no message ever has to show something deep
        if not isinstance(part, dict) or any(isinstance(value, dict | list) for value in part.values()):
            raise PictureError(f"The {name} in this file is not a flat JSON object.")
    if record["lineage"].keys() != {f.name for f in fields(Lineage)} - (_SINCE_2 - since):
        raise PictureError("The lineage in this file has other fields than those of Second Round.")
    if since and not isinstance(record["flagged"], bool):
        raise PictureError("In the record in this file, flagged is neither true nor false.")
    try:
        recipe = Recipe.from_dict(record["recipe"])
        lineage = Lineage(**record["lineage"])
        check_fingerprint(record["fingerprint"])
        _check_sha256(record["pixel_sha256"])
    except InputError as error:
        raise PictureError(f"The record in this file is refused: {error}") from None
    if record["recipe_id"] != recipe.id:
        raise PictureError("The recipe in this file was changed after it was written: its id does not match.")
    known = {"recipe": recipe, "fingerprint": record["fingerprint"], "lineage": lineage}
    return {**known, "pixel_sha256": record["pixel_sha256"], "flagged": record.get("flagged")}
