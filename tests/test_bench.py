"""The measurements of determinism, at a size that a test can bear."""

import contextlib
import json
import math
import re
import shutil

import pytest
import torch
from PIL import Image

from pipeline_utils.bench import page, replays
from pipeline_utils.bench.__main__ import main
from pipeline_utils.bench.gpu import models, run
from pipeline_utils.bench.gpu.parts import PARTS
from pipeline_utils.models.runtime import Device


@pytest.fixture
def cache_of_other_processes(monkeypatch, tmp_path):
    """Nothing is known there about this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("cache_of_other_processes")
def test_replays_in_random_company_differ_in_no_pixel(tiny_sd_folder, capfd):
    """A small version of two thousand replays: a process of each number format, and random rounds at a time."""
    arguments = ["replays", "--model", str(tiny_sd_folder), "--count", "60", "--processes", "2", "--steps", "2"]
    assert main(arguments) == 0
    out = capfd.readouterr().out
    assert "process 1 of 2: 30 pictures, 0 differing pixels" in out
    assert re.fullmatch(
        r"60 replays of 48 recipes in 2 processes, \d+ s: 0 differing pixels of [\d,]+\.", out.splitlines()[-1]
    )


def test_a_changed_pixel_is_counted(capsys, monkeypatch, tmp_path):
    """The processes alone are replaced: by ones that send the plain call's picture, and it with a pixel changed."""
    Image.new("RGB", (2, 2)).save(tmp_path / "0.png")
    sent = iter(["000000" * 4, "000000" * 2 + "ff0000" + "000000", None])

    def answers(work, **_):
        if work == "call":
            return {"files": [str(tmp_path / "0.png")]}
        if work == "plainly":
            return {"source": "", "revision": "", "dtype": "", "calls": {"r": {}}}
        pixels = next(sent) if work == "picture" else None
        return pixels and {"recipe": "r", "pixels": pixels, "where": "here"}

    monkeypatch.setattr(replays, "worker", lambda *_: contextlib.nullcontext(answers))
    assert main(["replays", "--model", "any", "--count", "2", "--processes", "1"]) == 1
    out = capsys.readouterr().out
    assert "1 pixels of r differ: here" in out
    assert ": 1 differing pixels of 8." in out


ROWS = {
    "round one as the script",
    "round one by default",
    "second round of 5 as the script's 4",
    "second round of 5 by default",
    "8 visitors",
    "what previews cost",
    "a newcomer to 8, in steps",
}
BUSY = {
    "round one as the script beside a busy neighbour",
    "round one by default beside a busy neighbour",
    "the script's round one beside a busy neighbour",
}


def rows(table: str) -> dict[str, list[str]]:
    """The cells beside the name of each row."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {name: cells for name, *cells in lines if name != "work"}


def test_rounds_of_the_bundled_model_are_measured_beside_the_script_and_equal_its_pictures(capfd):
    """The real command, once round; its figures are finite, and what they are is no matter here."""
    assert main(["speed", "--repeats", "1", "--settle", "2"]) == 0
    out = capfd.readouterr().out
    found = rows(out)
    assert set(found) == ROWS
    for ratio, goal, met, seconds in found.values():
        figures = [float(number) for number in re.findall(r"-?[\d.]+", f"{ratio} {goal} {seconds}")]
        assert len(figures) == 4
        assert all(map(math.isfinite, figures))
        assert met in ("yes", "NO")
    # Four of the first round, the control and four of the second, 128 x 128 each.
    assert out.splitlines()[-1].startswith("0 differing pixels of 147,456 ")


def test_beside_a_busy_neighbour_it_counts_how_much_slower_each_becomes(tiny_sd_folder, capfd):
    assert main(["speed", "--model", str(tiny_sd_folder), "--repeats", "1", "--settle", "2", "--busy"]) == 0
    found = rows(capfd.readouterr().out)
    assert set(found) == ROWS | BUSY
    assert {name for name, cells in found.items() if cells[1] != "–"} == BUSY - {
        "the script's round one beside a busy neighbour"
    }


def test_a_crowd_has_the_pictures_of_a_lone_visitor_though_some_leave_in_the_middle(tiny_sd_folder, capfd):
    """A small version of thirty-two visitors, over HTTP and in processes of their own."""
    assert main(["crowd", "--model", str(tiny_sd_folder), "--visitors", "1", "2", "--rounds", "7"]) == 0
    out = capfd.readouterr().out
    for line in [line for line in out.splitlines() if re.match(r"\| \d", line)]:
        figures = [float(number) for number in re.findall(r"[\d.]+", line.replace("95 %", ""))]
        assert len(figures) == 8
        assert all(figure > 0 for figure in figures)
    # Two first rounds of 4 and two second ones of 5 for every whole pair; one round of the seven is left.
    told = re.search(r"^(\d+) pictures, (\d+) rounds left in their middle: 0 wrong, 0 of somebody else.$", out, re.M)
    assert int(told[2]) == 3
    assert int(told[1]) >= 3 * 6 * 4


def test_a_process_of_the_measurement_that_ends_says_why(tiny_sd_folder, tmp_path, capsys):
    broken = shutil.copytree(tiny_sd_folder, tmp_path / "broken")
    (broken / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"none")
    assert main(["speed", "--model", str(broken), "--repeats", "1", "--settle", "2"]) == 2
    assert "bench: A process of the measurement has ended: " in capsys.readouterr().err


def test_a_start_is_held_against_the_smallest_page_of_gradio(browser, tiny_sd_folder, capsys):
    page._compared(browser, str(tiny_sd_folder), 1)
    _, _, *rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()]
    assert [row[0].strip() for row in rows] == ["hello world: usable page", "usable page", "first picture"]
    ratios = [float(row[1].split()[0]) for row in rows]
    assert ratios[0] == 1
    assert ratios[0] < ratios[2] > ratios[1]


def test_an_unknown_model_is_said(capsys):
    assert main(["lanes", "--model", "/nowhere"]) == 2
    assert "bench: model" in capsys.readouterr().err


PUBLISHED = {
    "sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "sdxl": {
        "unet": 2_567_463_684,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    },
    "z-image": {"transformer": 6_154_908_736, "vae": 83_819_683, "text_encoder": 4_022_468_096},
}


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """Every part for a GPU, at toy size on the CPU: the folder of its results."""
    folder = tmp_path_factory.mktemp("gpu")
    assert main(["gpu", "--rehearse", "--out", str(folder)]) == 0
    return folder


def test_every_part_for_a_gpu_can_be_rehearsed_without_one(rehearsal):
    found = json.loads((rehearsal / "gpu-report.json").read_text())
    once = [name for name in PARTS if "float16" not in name]  # every number format is float32 here
    assert list(found["parts"]) == once
    assert all(part["rows"] and "error" not in part for part in found["parts"].values())
    assert {row["equal"] for row in found["process to process"]} == {True}
    assert len(found["process to process"]) == 6
    words = (rehearsal / "gpu-report.md").read_text()
    assert "its figures mean nothing" in words
    assert all(f"## {name}\n" in words for name in once)


def test_a_part_that_is_there_is_not_run_again(rehearsal, capfd):
    assert main(["gpu", "--rehearse", "--out", str(rehearsal)]) == 0
    assert "..." not in capfd.readouterr().out


def test_without_a_gpu_the_parts_for_one_are_refused_in_a_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["gpu", "--out", str(tmp_path / "none")]) == 2
    assert "bench: PyTorch finds no CUDA GPU here; --rehearse" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_an_unknown_part_is_said(tmp_path, capsys):
    assert main(["gpu", "--rehearse", "--out", str(tmp_path), "--parts", "first-*", "third"]) == 2
    assert "third" in capsys.readouterr().err


def test_a_part_that_fails_keeps_its_rows_and_its_error(tmp_path, monkeypatch):
    """Out of memory after one row: the row, the error, and a report that tells of both."""

    def fails(work):
        yield {"model": "small", "passed": True}
        raise torch.OutOfMemoryError("no more memory")

    monkeypatch.setitem(PARTS, "first-slots", fails)
    run._work("first-slots", tmp_path, True)
    # What failed is there, so it is not run again.
    assert run.run(tmp_path, ["first-slots"], 0, True) == 1
    found = json.loads((tmp_path / "gpu-report.json").read_text())["parts"]["first-slots"]
    assert (found["rows"][0]["model"], found["error"]) == ("small", "OutOfMemoryError: no more memory")
    assert "| first-slots | failed: OutOfMemoryError: no more memory |" in (tmp_path / "gpu-report.md").read_text()


def test_a_part_that_was_killed_keeps_what_it_had_found(tmp_path):
    (tmp_path / "visitors.left").write_text(json.dumps({"rehearsal": True, "rows": [{"visitors": 1}]}))
    run._fail(tmp_path, "visitors", True, "took more than 9 minutes")
    assert run._read(tmp_path, "visitors", True)["rows"] == [{"visitors": 1}]
    assert "took more than 9 minutes" in run._state(run._read(tmp_path, "visitors", True))


def test_a_rehearsed_part_is_no_result_of_a_gpu(tmp_path):
    run._fail(tmp_path, "visitors", True, "any")
    assert run._read(tmp_path, "visitors", False) is None


def test_a_call_whose_minutes_are_over_leaves_the_rest_to_the_next(tmp_path, capfd):
    assert main(["gpu", "--rehearse", "--out", str(tmp_path), "--parts", "first-memory", "--minutes", "0.0001"]) == 1
    assert "1 parts are left: run the same command again." in capfd.readouterr().out
    assert not list(tmp_path.glob("first-*"))


def test_bits_that_differ_between_two_processes_are_told(tmp_path):
    parts = {"promise-sdxl-float16-eager": "a", "promise-sdxl-float16-eager-again": "b"}
    found = {name: {"rehearsal": False, "rows": [{"lanes": 4, "bits": bits}]} for name, bits in parts.items()}
    run.write(tmp_path, found)
    assert "| promise-sdxl-float16-eager | NO |" in (tmp_path / "gpu-report.md").read_text()


@pytest.mark.parametrize("name", ["sd15", "sdxl", "z-image"])
def test_big_models_have_as_many_weights_as_the_published_ones(name):
    """Counted without memory: every part's, as its authors' files hold them."""
    pipe = models.build(name, Device("meta", False, "none"), "float16").pipe
    count = {
        key: sum(weight.numel() for weight in part.parameters())
        for key, part in pipe.components.items()
        if isinstance(part, torch.nn.Module)
    }
    assert count == PUBLISHED[name]
