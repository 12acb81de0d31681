"""python -m tests.full_disk FLAG: the app, on a disk that is full while the file FLAG is there."""

import builtins
import errno
import os
import runpy
import sys
import tempfile
from collections.abc import Callable

_FLAG = sys.argv.pop(1)


def _limited(genuine: Callable, writes: Callable[..., bool] = lambda *_, **__: True) -> Callable:
    def call(*arguments, **named):
        if os.path.exists(_FLAG) and writes(*arguments, **named):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return genuine(*arguments, **named)

    return call


def _for_writing(_file, mode="r", *_, **__) -> bool:
    return any(letter in mode for letter in "wxa+")


if __name__ == "__main__":
    builtins.open = _limited(open, _for_writing)
    tempfile.NamedTemporaryFile = _limited(tempfile.NamedTemporaryFile)
    os.mkdir = _limited(os.mkdir, lambda path, *_, **__: not os.path.exists(path))  # else it is there already
    sys.argv[0] = "app.py"
    sys.path.insert(0, os.getcwd())
    runpy.run_path("app.py", run_name="__main__")
