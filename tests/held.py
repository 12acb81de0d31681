"""The app, where torch is not started and no model loaded before the file $GO is there: python -m tests.held."""

import os
import runpy
import time
from pathlib import Path

from pipeline_utils.models import runtime

_start = runtime.start


def start(settings):
    while not Path(os.environ["GO"]).exists():
        time.sleep(0.05)
    return _start(settings)


runtime.start = start
runpy.run_path("app.py", run_name="__main__")
