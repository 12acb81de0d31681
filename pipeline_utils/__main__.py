"""python -m pipeline_utils verify | replay | show | diff | export | contact-sheet

    python -m pipeline_utils verify FILE.png           is it what its recipe makes? exit 0 yes, 1 no, 2 not checked
    python -m pipeline_utils replay FILE -o OUT.png    make it again, from a PNG or a recipe's JSON
    python -m pipeline_utils replay FILE --pin OUT.txt the versions that made it, as constraints for pip
    python -m pipeline_utils show FILE.png             recipe, fingerprint and lineage of a PNG
    python -m pipeline_utils diff ONE.png OTHER.png    the lines of two recipes that differ; exit 0 none, 1 some
    python -m pipeline_utils export FILES -o FOLDER [--format webp|jpeg|png] [--sign MINE.pem]
    python -m pipeline_utils contact-sheet FILES -o SHEET.png

torch is loaded only by verify and replay -o, so that the others answer at once. All end with 2 where they could not do
what was asked, and with 130 after Ctrl-C. OUT.png may be -, standard output.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from pipeline_utils.errors import InputError, PictureError, UserError
from pipeline_utils.picture.picture import Lineage, Picture, Reading, decode, encode, pixel_sha256, read, read_bytes
from pipeline_utils.program import SHEETS, TEXTS, Output, ended, leave, plain, read_text, say
from pipeline_utils.proof.pins import compared, constraints
from pipeline_utils.proof.verdict import Claim
from pipeline_utils.settings import DEVICES, one_of

IDENTICAL, DIFFERENT, NOT_CHECKED = 0, 1, 2  # what the program ends with
_MAX_JSON = 1_000_000  # bytes of a recipe file


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; errors are told on stderr."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "replay" and arguments.output is None and arguments.pin is None:
        parser.error("replay needs -o OUT.png for the picture, --pin OUT.txt for the versions that made it, or both")
    return ended(f"pipeline_utils {arguments.command}", lambda: arguments.run(_checked(arguments)))


def _checked(arguments: argparse.Namespace) -> argparse.Namespace:
    """Raises InputError for a name that no file can have."""
    for option, given in vars(arguments).items():
        for value in given if isinstance(given, list) else [given]:
            try:
                odd = isinstance(value, str | Path) and b"\0" in os.fsencode(value)
            except UnicodeEncodeError:
                odd = True
            if odd:
                raise InputError(option, str(value), "no file can have this name")
    return arguments


def verify(arguments: argparse.Namespace) -> int:
    output = Output("--difference", arguments.difference, [arguments.file]) if arguments.difference else None
    data, trusted = read_bytes(arguments.file), read_text("--trust", arguments.trust)
    claim = Claim.of(decode(data))
    verdict = _replayed(claim, arguments)
    lines = [verdict.sentence, *(f"  {name}: {there} there, {here} here" for name, there, here in verdict.differing)]
    lines += [f"  for another try: {verdict.getting_back}"] if verdict.getting_back else []
    from pipeline_utils.picture.credentials import told

    signed = told(data, trusted=trusted)
    lines += [signed] if signed else []
    text = (
        json.dumps(verdict.to_dict() | {"credentials": signed}, indent=2)
        if arguments.json
        else "\n".join(map(plain, lines))
    )
    say(text, output and output.words)
    if output and verdict.difference:
        output.write(verdict.difference.image)
    if not verdict.replayed:
        return NOT_CHECKED
    return IDENTICAL if verdict.identical else DIFFERENT


def replay(arguments: argparse.Namespace) -> int:
    pin = Output("--pin", arguments.pin, [arguments.file], TEXTS) if arguments.pin else None
    output = Output("--output", arguments.output, [arguments.file]) if arguments.output else None
    claim, lineage = _claim(arguments.file)
    if pin:
        pin.write(constraints(claim.fingerprint or {}, arguments.file.name).encode())
        say(plain(f"{arguments.pin}: the versions that made it"), pin.words)
    if output is None:
        return IDENTICAL
    verdict = _replayed(claim, arguments)
    if verdict.replay is None:
        raise UserError(verdict.sentence)
    made = Picture.make(verdict.replay, verdict.followed, verdict.fingerprint_here, lineage, verdict.flagged_here)
    output.write(encode(made))
    say(plain(f"{arguments.output}: {verdict.sentence}"), output.words)
    return IDENTICAL


def show(arguments: argparse.Namespace) -> int:
    from pipeline_utils.picture.export import records

    data = read_bytes(arguments.file)
    if sheet := records(data):
        lines = [f"sheet of {len(sheet)} pictures"]
        lines += [f"  seed {each['recipe']['seed']}: {plain(each['recipe']['prompt'])}" for each in sheet]
        say(json.dumps({"sheet": sheet}, indent=2) if arguments.json else "\n".join(lines))
        return 0
    reading = decode(data)
    say(json.dumps(_told(reading), indent=2) if arguments.json else "\n".join(_lines(reading)))
    return 0


def diff(arguments: argparse.Namespace) -> int:
    recipes = [_picture(file).recipe for file in (arguments.one, arguments.other)]
    lines = compared(*recipes)
    if arguments.json:
        say(json.dumps([{"name": name, "one": one, "other": other} for name, one, other in lines], indent=2))
    else:
        say("\n".join(plain(f"{name}: {one} → {other}") for name, one, other in lines) or "The recipes are equal.")
    return DIFFERENT if lines else IDENTICAL


def exported(arguments: argparse.Namespace) -> int:
    from pipeline_utils.picture.credentials import sign
    from pipeline_utils.picture.export import single

    pem = read_text("--sign", arguments.sign)
    ending = "." + arguments.format
    files = [arguments.output / file.with_suffix(ending).name for file in arguments.files]
    twice = [file for file in files if files.count(file) > 1]
    if twice:
        raise InputError("FILES", twice[0].name, "two of them would get this name")
    outputs = [Output("--output", file, arguments.files, SHEETS) for file in files]  # before any is written
    pictures = [_picture(file) for file in arguments.files]
    for file, picture in zip(arguments.files, pictures, strict=True):
        if pixel_sha256(picture.image) != picture.pixel_sha256:
            raise InputError("picture", file.name, "it was edited, so its recipe is not that of its pixels")
    made = []
    for file, picture, output in zip(arguments.files, pictures, outputs, strict=True):
        data = read_bytes(file) if output.format == "PNG" else single(picture, output.format)
        made.append(sign(data, output.format, picture, pem) if pem else data)
    for data, output in zip(made, outputs, strict=True):
        output.write(data)
    say(plain(f"{arguments.output}: {len(files)} pictures"))
    return 0


def sheet(arguments: argparse.Namespace) -> int:
    from pipeline_utils.picture import export
    from pipeline_utils.shelf.contact_sheet import round_sheet

    output = Output("--output", arguments.output, arguments.files, SHEETS)
    pictures = [_picture(file) for file in arguments.files]
    output.write(export.sheet(round_sheet(pictures, arguments.title), pictures, output.format))
    say(plain(f"{arguments.output}: {len(pictures)} pictures"), output.words)
    return 0


def _picture(file: Path) -> Picture:
    """Raises PictureError or InputError, which say of which file."""
    try:
        reading = read(file)
    except PictureError as error:
        raise PictureError(f"{file.name}: {error}") from None
    if reading.picture is None:
        raise InputError("picture", file.name, "it holds no recipe of this app")
    return reading.picture


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_utils", description="Check, repeat, show and lay out pictures made by Second Round."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    json_flag = {"action": "store_true", "help": "print JSON"}

    making = argparse.ArgumentParser(add_help=False)
    making.add_argument(
        "--model", metavar="PATH", help="folder or .safetensors file of a model the recipe calls local:"
    )
    making.add_argument(
        "--allow-download", action="store_true", help="fetch the model from the hub when it is not here"
    )
    making.add_argument("--device", type=one_of(DEVICES), metavar=DEVICES, help="default: as the picture was made")
    making.add_argument("--threads", type=_threads, default=0, help="CPU threads; default: as the picture was made")

    command = commands.add_parser("verify", parents=[making], help="make a picture again and compare")
    command.add_argument("file", type=Path, metavar="FILE.png")
    command.add_argument("--json", **json_flag)
    command.add_argument("--difference", type=Path, metavar="OUT.png", help="write a picture of what differs")
    command.add_argument("--trust", type=Path, metavar="ROOTS.pem", help="authorities whose signers are known")
    command.set_defaults(run=verify)

    command = commands.add_parser("replay", parents=[making], help="make a picture again from its recipe")
    command.add_argument("file", type=Path, metavar="FILE", help="a PNG made here, or the JSON of a recipe or record")
    command.add_argument("-o", "--output", type=Path, metavar="OUT.png", help="- for standard output")
    command.add_argument("--pin", type=Path, metavar="OUT.txt", help="the versions that made it, for pip -c")
    command.set_defaults(run=replay)

    command = commands.add_parser("show", help="print what a PNG says about itself")
    command.add_argument("file", type=Path, metavar="FILE.png")
    command.add_argument("--json", **json_flag)
    command.set_defaults(run=show)

    command = commands.add_parser("diff", help="the lines of two recipes that differ")
    command.add_argument("one", type=Path, metavar="ONE.png")
    command.add_argument("other", type=Path, metavar="OTHER.png")
    command.add_argument("--json", **json_flag)
    command.set_defaults(run=diff)

    command = commands.add_parser("export", help="pictures as WebP, which keeps every pixel, or as JPEG")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE.png")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    command.add_argument("--format", choices=["webp", "jpeg", "png"], default="webp")
    command.add_argument("--sign", type=Path, metavar="MINE.pem", help="certificates and key, for Content Credentials")
    command.set_defaults(run=exported)

    sheets = f"{', '.join(SHEETS)}, or - for standard output"
    command = commands.add_parser("contact-sheet", help="pictures on one labelled sheet")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE.png")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="SHEET.png", help=sheets)
    command.add_argument("--title")
    command.set_defaults(run=sheet)
    return parser


def _threads(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text[:9]) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1 to 256")
    return int(text)


def _replayed(claim: Claim, arguments: argparse.Namespace):
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it advises on packages when imported
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from pipeline_utils.proof.replay import replayed  # torch and all

    return replayed(
        claim,
        model=arguments.model,
        device=arguments.device,
        threads=arguments.threads,
        allow_download=arguments.allow_download,
    )


def _claim(file: Path) -> tuple[Claim, Lineage]:
    """What a PNG or a JSON file claims, and where its picture stands."""
    try:
        with open(file, "rb") as stream:
            start = stream.read(_MAX_JSON + 1)
    except OSError as error:
        raise PictureError(f"The file cannot be read: {error.strerror}.") from None
    if start[:1] == b"\x89":
        reading = read(file)
        return Claim.of(reading), reading.picture.lineage if reading.picture else Lineage()
    if len(start) > _MAX_JSON:
        raise InputError("recipe", file.name, f"a JSON file of at most {_MAX_JSON} bytes, or a PNG")
    try:
        return Claim.from_text(start.decode()), Lineage()
    except UnicodeDecodeError:
        raise InputError("recipe", file.name, "a PNG made here, or a JSON file") from None


def _told(reading: Reading) -> dict:
    record = reading.picture.record() if reading.picture else None
    return {
        "record": record,
        "id": reading.picture.id if record else None,
        "edited": reading.edited,
        "actual_sha256": reading.actual_sha256,
        "parameters": reading.parameters,
        "unknown": reading.unknown,
    }


def _lines(reading: Reading) -> list[str]:
    if reading.picture is None:
        parts = {"settings of another tool": reading.parameters}
    else:
        record = reading.picture.record()
        parts = {f"picture {reading.picture.id}": record["lineage"]}
        parts |= {f"recipe {reading.picture.recipe.id}": record["recipe"], "made by": record["fingerprint"]}
    lines = []
    for title, values in parts.items():
        lines += [title, *(f"  {key}: {plain(str(value))}" for key, value in values.items() if value not in (None, ""))]
    lines += ["pixels", f"  sha256: {reading.actual_sha256}"]
    if reading.picture and reading.picture.flagged:
        lines.append("  blacked out by the model's safety checker")
    if reading.edited:
        lines.append(f"  edited: they were saved with sha256 {reading.stored_sha256}")
    elif reading.picture:
        lines.append("  as they were saved")
    return [*lines, *(plain(text) for text in reading.unknown)]


if __name__ == "__main__":
    leave(main)
