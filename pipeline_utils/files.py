"""Where every file is written: whole or not at all. What a disk refuses is told in a sentence."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pipeline_utils.errors import CapacityError, UserError


@contextmanager
def writing(path: Path | str, changed: int | None = None) -> Iterator[BinaryIO]:
    """What is written into the stream is the file `path` once the block is over; after an error nothing is changed.

    It is written beside its place, flushed, and renamed. changed: ns, the file's time of change. The folder is
    there already. Raises as `saving`.
    """
    path = Path(os.path.abspath(path))
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    with saving(path.parent):
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if changed is not None:
                os.utime(temporary, ns=(changed, changed))
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                temporary.unlink()
            raise


@contextmanager
def saving(place: Path | str) -> Iterator[None]:
    """An OSError of the folder `place` becomes an error a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CapacityError(
                f"The disk is full, so nothing was saved in {Path(place).name}: delete some pictures or "
                "choose another folder, then run the round again."
            ) from error
        raise UserError(f"The folder {Path(place).name} cannot be used: {error.strerror}.") from error
