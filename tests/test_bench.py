"""The measurements of determinism, at a size that a test can bear."""

import contextlib
import json

from pipeline_utils.bench import replays
from pipeline_utils.bench.__main__ import main


def test_replays_in_random_company_differ_in_no_pixel(tiny_sd_folder, capfd):
    """A small version of a thousand replays: two processes, random rounds, two visitors in turns."""
    arguments = ["replays", "--model", str(tiny_sd_folder), "--count", "40", "--processes", "2", "--steps", "2"]
    assert main(arguments) == 0
    out = capfd.readouterr().out
    assert "process 1 of 2: 20 pictures, 0 differing pixels" in out
    assert out.splitlines()[-1].startswith("40 replays of ")
    assert out.splitlines()[-1].endswith(": 0 differing pixels of 40,960.")


def test_a_changed_pixel_is_counted(capsys, monkeypatch):
    """The worker alone is replaced: one that sends the same recipe with two of its four pixels changed."""
    lines = [json.dumps({"recipe": "r", "pixels": pixels * 4, "where": "here"}) for pixels in ("000000", "ff0000")]
    lines[1] = lines[1].replace("ff0000" * 4, "ff0000" * 2 + "000000" * 2)

    class Worker(contextlib.nullcontext):
        stdout, returncode = lines, 0

    monkeypatch.setattr(replays.subprocess, "Popen", lambda *_, **__: Worker(Worker))
    assert main(["replays", "--model", "any", "--count", "2", "--processes", "1"]) == 1
    assert ": 2 differing pixels of 8." in capsys.readouterr().out


def test_an_unknown_model_is_said(capsys):
    assert main(["lanes", "--model", "/nowhere"]) == 2
    assert "bench: model" in capsys.readouterr().err
