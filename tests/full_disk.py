"""python -m tests.full_disk FLAG: the app, whose data folder is on a disk that is full while the file FLAG is there."""

import builtins
import errno
import os
import runpy
import sys
import tempfile
from collections.abc import Callable


def full(genuine: Callable, place: Callable[..., object]) -> Callable:
    """`genuine`, which fails for what it would put on the full disk. place: where, by its arguments."""

    def call(*arguments, **named):
        where = place(*arguments, **named)
        if where and os.path.exists(FLAG) and os.path.abspath(where).startswith(os.environ["SECOND_ROUND_DATA"]):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return genuine(*arguments, **named)

    return call


def written(file, mode="r", *_, **__) -> object:
    return file if isinstance(file, str | os.PathLike) and set(mode) & set("wxa+") else None


if __name__ == "__main__":
    FLAG = sys.argv.pop(1)
    builtins.open = full(open, written)
    os.mkdir = full(os.mkdir, lambda path, *_, **__: None if os.path.exists(path) else path)
    tempfile.NamedTemporaryFile = full(tempfile.NamedTemporaryFile, lambda *_, dir=None, **__: dir)
    sys.argv[0] = "app.py"
    runpy.run_path("app.py", run_name="__main__")
