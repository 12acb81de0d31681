"""How a command ends: its exit code, its words, and the file it writes. No torch.

Exit codes: what the command returns; 2 for bad input and for anything unexpected; 130 after Ctrl-C. A reader of its
words that has gone (a closed pipe) is no error, and changes no code.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.files import saving, writing

FAILED, INTERRUPTED = 2, 130
PNG = {".png": "PNG"}
TEXTS = {".txt": "text"}
SHEETS = PNG | {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def ended(name: str, command: Callable[[], int | None]) -> int:
    """Runs a command; its exit code, whatever happens. What a person can act on is told in one line."""
    try:
        return command() or 0
    except UserError as error:
        _tell(f"{name}: {plain(str(error))}")
    except BrokenPipeError:  # nobody is there to be told
        pass
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        _tell(f"{traceback.format_exc()}{name}: this was not expected: {plain(str(error))}")
    return FAILED


def leave(main: Callable[[], int]) -> NoReturn:
    """Ends the process with the code of `main`."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]  # None: closed from the start
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")  # a terminal may lack letters of a prompt
    try:
        code = main()
    except SystemExit as usage:  # argparse has said why
        code = usage.code
    for stream in streams:
        try:
            stream.flush()
        except OSError:
            _hush(stream)
    if threading.active_count() > 1:  # a thread inside torch makes the end of the interpreter an abort
        os._exit(code)
    sys.exit(code)


def say(text: str, stream: TextIO | None = None) -> None:
    """Prints at once. Raises UserError when that fails, but not when the reader has gone."""
    stream = stream or sys.stdout
    if stream is not None:
        with suppress(BrokenPipeError), _reaching(stream):
            print(text, file=stream)


def read_text(option: str, file: Path | None) -> str:
    """What a file holds that an option names; "" without one. Raises InputError where it cannot be read."""
    try:
        return file.read_text() if file else ""
    except OSError as error:
        raise InputError(option, str(file), f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(option, str(file), "a text is needed") from None


def plain(text: str) -> str:
    """`text` for a terminal: a file's own words must not move the cursor or turn the writing round."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


class Output:
    """The file that a command writes, or standard output for "-"; then words go to standard error.

    Made before any work: raises InputError for a name with another ending than the formats have, for an input of
    the command, and for what is there and no file; UserError for a folder that cannot be written.
    """

    def __init__(self, option: str, path: Path, inputs: Sequence[Path], formats: Mapping[str, str] = PNG) -> None:
        self.words: TextIO | None = None
        self.format = formats.get(path.suffix.lower(), "PNG")
        self._path = None if str(path) == "-" else path
        if self._path is None:
            if sys.stdout is None or sys.stdout.isatty():
                limit = "a picture cannot be shown in a terminal; lead it into a file or a program"
                raise InputError(option, "-", limit)
            self.words = sys.stderr
            return
        if path.suffix.lower() not in formats:
            raise InputError(option, str(path), f"its name must end in {' or '.join(formats)}")
        with saving(path.parent):
            self._path = Path(os.path.realpath(path))  # a link stays one
            if os.path.lexists(self._path) and not path.is_file():
                raise InputError(option, str(path), "it is there and no file that can be replaced")
            if path.exists() and any(each.exists() and path.samefile(each) for each in inputs):
                raise InputError(option, str(path), "it is an input, which would be lost")
            os.stat(f"{self._path.parent}/.")  # an error where that is no folder
            if not os.access(self._path.parent, os.W_OK):
                raise InputError(option, str(path), "its folder cannot be written")

    def write(self, content: Any) -> None:
        """content: the bytes of a PNG, or an image of PIL, which is written in the format of the name."""
        with _reaching(sys.stdout) if self._path is None else writing(self._path) as stream:
            file = sys.stdout.buffer if self._path is None else stream
            if isinstance(content, bytes):
                file.write(content)
            else:
                content.save(file, format=self.format, quality=95)


def _tell(text: str) -> None:
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


@contextmanager
def _reaching(stream: TextIO) -> Iterator[None]:
    """What is written in the block leaves at once. Raises BrokenPipeError or UserError."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        _hush(stream)
        raise
    except OSError as error:
        _hush(stream)
        raise UserError(f"The output cannot be written: {error.strerror}.") from error


def _hush(stream: TextIO) -> None:
    """What is still to be written there goes nowhere, so that the interpreter ends without a complaint."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
