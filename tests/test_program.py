"""What a command writes over, how it ends, and what a shell makes of that: in processes of its own."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline_utils import program
from pipeline_utils.__main__ import main
from pipeline_utils.engine import engine
from pipeline_utils.engine.model_thread import MODEL
from pipeline_utils.picture.picture import read
from pipeline_utils.proof import replay as replaying
from pipeline_utils.proof.verdict import Claim
from pipeline_utils.recipe.ask import Ask
from tests.making import made, studio
from tests.test_cli import ROOT, edited, files  # noqa: F401  fixtures

PROGRAM = [sys.executable, "-m", "pipeline_utils"]
SETTINGS = {**os.environ, "HF_HUB_OFFLINE": "1"}


def shell(line: str, **more: str) -> subprocess.CompletedProcess:
    """A line of bash; `$P` is the program. The code is that of the program, also in front of a pipe."""
    return subprocess.run(
        ["bash", "-c", line + "; exit ${PIPESTATUS[0]}"],
        cwd=ROOT,
        capture_output=True,
        timeout=300,
        check=False,
        env=SETTINGS | {"P": " ".join(PROGRAM)} | {name: str(value) for name, value in more.items()},
    )


def places(tmp_path: Path, picture: Path) -> dict[str, Path]:
    """Names that must not be written to, by what they are. All end in .png."""
    names = ("link", "hard", "folder", "pipe", "loop")
    found = {name: tmp_path / f"{name}.png" for name in names}
    found["link"].symlink_to(picture)
    os.link(picture, found["hard"])
    found["folder"].mkdir()
    os.mkfifo(found["pipe"])
    found["loop"].symlink_to(found["loop"])
    found["input"] = picture
    found["detour"] = tmp_path / "folder.png" / ".." / picture.name
    found["absent"] = tmp_path / "absent" / "x.png"
    found["beneath a file"] = picture / "x.png"
    found["long"] = tmp_path / ("x" * 300 + ".png")
    return found


@pytest.mark.parametrize("command", ["verify", "replay", "contact-sheet"])
def test_no_command_writes_over_an_input_or_what_is_no_file(command, files, tmp_path, capsys):  # noqa: F811
    picture = tmp_path / "mine.png"
    picture.write_bytes(files[0].read_bytes())
    option = "--difference" if command == "verify" else "-o"
    for name, place in places(tmp_path, picture).items():
        # No model is named, so what is made first would end in another message.
        assert main([command, str(picture), option, str(place)]) == 2, name
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1), name
        assert "--model" not in said.err, name
    assert picture.read_bytes() == files[0].read_bytes()
    assert stat.S_ISFIFO((tmp_path / "pipe.png").stat().st_mode)
    assert (tmp_path / "link.png").is_symlink()


def test_a_device_is_not_replaced(files, tmp_path, capsys):  # noqa: F811
    before = os.stat("/dev/full")
    for name in ("/dev/full", "/dev/null", "/dev/stdout"):
        assert main(["contact-sheet", str(files[0]), "-o", name]) == 2
        assert "--output" in capsys.readouterr().err
    link = tmp_path / "null.png"
    link.symlink_to("/dev/full")
    assert main(["contact-sheet", str(files[0]), "-o", str(link)]) == 2
    assert "no file that can be replaced" in capsys.readouterr().err
    assert (os.stat("/dev/full").st_rdev, os.stat("/dev/full").st_ino) == (before.st_rdev, before.st_ino)


def test_a_link_to_another_file_stays_a_link(files, tmp_path):  # noqa: F811
    target, link = tmp_path / "target.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    assert main(["contact-sheet", str(files[0]), "-o", str(link)]) == 0
    assert link.is_symlink()
    assert Image.open(target).width > 100


@pytest.mark.parametrize(("ending", "kind"), [("png", "PNG"), ("PNG", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_the_ending_of_a_sheet_says_its_format(ending, kind, files, tmp_path):  # noqa: F811
    sheet = tmp_path / f"sheet.{ending}"
    assert main(["contact-sheet", str(files[0]), "-o", str(sheet)]) == 0
    assert Image.open(sheet).format == kind


@pytest.mark.parametrize("name", ["x.jpg", "x.jpeg", "x.gif", "x", "x.png.txt", ".png", "x.", ""])
def test_an_ending_that_says_another_format_is_refused(name, files, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    assert main(["replay", str(files[0]), "-o", name]) == 2
    assert "--output" in (said := capsys.readouterr().err)
    assert ".png" in said
    if name not in ("x.jpg", "x.jpeg"):
        assert main(["contact-sheet", str(files[0]), "-o", name]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_picture_can_go_to_standard_output_and_the_words_go_aside(files, tiny_sd_folder, tmp_path):  # noqa: F811
    made = shell(
        "$P replay $FILE --model $MODEL_FOLDER -o - >$OUT/again.png",
        FILE=files[2],
        MODEL_FOLDER=tiny_sd_folder,
        OUT=tmp_path,
    )
    assert (made.returncode, made.stdout) == (0, b"")
    assert b"Identical" in made.stderr
    assert (tmp_path / "again.png").read_bytes() == files[2].read_bytes()
    sheet = shell("$P contact-sheet $FILE -o -", FILE=files[0])
    assert (sheet.returncode, sheet.stdout[:4]) == (0, b"\x89PNG")
    assert sheet.stderr == b"-: 1 pictures\n"
    assert not (ROOT / "-").exists()


def test_nobody_listening_is_no_error_and_changes_no_exit_code(files, edited, tiny_sd_folder):  # noqa: F811
    """`true` ends at once; the code is still what was found."""
    more = {"MODEL_FOLDER": tiny_sd_folder, "GOOD": files[0], "EDITED": edited}
    for line, code in (
        ("$P verify $GOOD --model $MODEL_FOLDER | true", 0),
        ("$P verify $EDITED --model $MODEL_FOLDER --json | true", 1),
        ("$P show $GOOD | true", 0),
        ("$P --help | true", 0),
        ("$P show $GOOD >&-", 0),
        ("$P contact-sheet $GOOD -o - | true", 2),  # the picture has arrived nowhere
        ("$P show absent.png 2>&-", 2),
        ("$P show absent.png 2>&1 | true", 2),
    ):
        ended = shell(line, **more)
        assert (ended.returncode, ended.stderr) == (code, b""), line


def test_words_that_cannot_be_written_end_with_2_and_one_line(files, tiny_sd_folder):  # noqa: F811
    for line in ("show $GOOD", "verify $GOOD --model $MODEL_FOLDER", "contact-sheet $GOOD -o -"):
        ended = shell(f"$P {line} >/dev/full", GOOD=files[0], MODEL_FOLDER=tiny_sd_folder)
        assert ended.returncode == 2, line
        assert b"No space left on device" in ended.stderr, line
        assert ended.stderr.count(b"\n") == 1, ended.stderr.decode()


def test_a_terminal_without_the_letters_of_a_prompt_is_no_error(tiny_sd_folder, tmp_path):
    here = studio(tiny_sd_folder, tmp_path)
    (event,) = made(here.first_round(Ask("a 猫 café", "0", num_inference_steps=1)))
    shown = shell("LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=ascii $P show $FILE", FILE=here.shelf.get(event.picture.id))
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert rb"a \u732b caf\xe9" in shown.stdout


@pytest.mark.parametrize("command", ["verify", "replay", "show", "contact-sheet"])
def test_whatever_goes_wrong_ends_with_2(command, files, tmp_path, monkeypatch, capsys):  # noqa: F811
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("nobody thought of this")

    for module in ("__main__", "proof.replay"):
        for name in ("read", "decode", "encode", "replayed"):
            monkeypatch.setattr(f"pipeline_utils.{module}.{name}", broken, raising=False)
    output = [] if command in ("verify", "show") else ["-o", str(tmp_path / "x.png")]
    assert main([command, str(files[0]), *output]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(f"pipeline_utils {command}: this was not expected: nobody thought of this\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nul\0.png", "half\ud800.png", "x" * 5000 + ".png", ""])
def test_an_odd_name_ends_with_2_and_one_line(name, files, tmp_path, capsys):  # noqa: F811
    for arguments in (["show", name], ["verify", name], ["replay", name, "-o", str(tmp_path / "x.png")]):
        assert main(arguments) == 2
        assert (said := capsys.readouterr()).err.count("\n") == 1, said.err
    for arguments in (["contact-sheet", str(files[0]), "-o", name], ["verify", str(files[0]), "--model", name]):
        assert main(arguments) == 2
        said = capsys.readouterr()
        assert (said.out + said.err).count("\n") == 1, said.err


MOMENTS = {
    "torch is being imported": "'torch' in sys.modules",
    "the model is being loaded": "'diffusers' in sys.modules and 'pipeline_utils.engine.pool' in sys.modules",
    "the first steps are made": "within('taken') or within('answers')",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_during_a_replay_ends_it_without_a_word(moment, files, tiny_sd_folder, tmp_path):  # noqa: F811
    recipe = tmp_path / "long.json"
    recipe.write_text(replace(read(files[0]).picture.recipe, num_inference_steps=500).to_json())
    program = f"""if True:
        import os, signal, sys, threading, time
        from pipeline_utils.__main__ import leave, main

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start without it

        def within(function):
            for frame in sys._current_frames().values():
                while frame and frame.f_code.co_name != function:
                    frame = frame.f_back
                if frame:
                    return True

        def press():
            while not ({MOMENTS[moment]}):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=press).start()
        leave(main)"""
    command = [sys.executable, "-c", program, "replay", recipe, "--model", tiny_sd_folder, "-o", tmp_path / "x.png"]
    ended = subprocess.run(command, cwd=ROOT, env=SETTINGS, capture_output=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.json"]


def test_nothing_is_under_way_once_ctrl_c_was_heard(files, tiny_sd_folder, monkeypatch):  # noqa: F811
    real, seen = engine.make, []

    def make(*arguments: object) -> None:
        def pressed(event: object) -> None:
            seen.append(event)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.5)

        real(*arguments[:-1], pressed)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(engine, "make", make)
    try:
        with pytest.raises(KeyboardInterrupt):
            replaying.replayed(Claim.of(read(files[0])), model=str(tiny_sd_folder))
        assert len(seen) == 1
        frame, names = sys._current_frames()[MODEL._thread.ident], []
        while frame:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        assert "_serve" in names
        assert {"answers", "call_pipe", "_go_on"}.isdisjoint(names)
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_measurements_end_with_2_where_something_unexpected_happens(monkeypatch, capsys):
    from pipeline_utils.bench.__main__ import main as bench

    def broken(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr("pipeline_utils.bench.shelf.report", broken)
    assert bench(["shelf"]) == program.FAILED
    assert "bench: this was not expected" in capsys.readouterr().err
