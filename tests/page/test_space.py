"""As a Space starts the app: python app.py alone, an ordinary user with a home, and what requirements.txt brings."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement
from playwright.sync_api import expect

from tests.running import BUNDLED, ROOT, App, free_port, stop, wait_for_an_answer

# Runs app.py as the main program, and notes what is opened for writing, made or moved.
PROGRAM = """
import os, runpy, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
kinds = {"os.mkdir": 0, "os.rename": 1, "os.symlink": 1, "os.link": 1, "os.remove": 0, "os.rmdir": 0, "os.utime": 0}
def note(event, args):
    path = None
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        path = args[0]
    elif event in kinds:
        path = args[kinds[event]]
    if isinstance(path, (str, bytes)):
        os.write(log, os.fsencode(os.path.abspath(os.fsdecode(path))) + b"\\n")
sys.addaudithook(note)
sys.argv = ["app.py"]
runpy.run_path("app.py", run_name="__main__")
"""


def closure(lines: list[str]) -> set[str]:
    """The names of the distributions that these requirements bring, with all that those need themselves."""
    found: set[str] = set()
    todo = [Requirement(line) for line in lines if line.strip()]
    while todo:
        need = todo.pop()
        extras = need.extras or {""}
        if need.name.lower() in found and not need.extras:
            continue
        found.add(need.name.lower())
        for text in distribution(need.name).requires or ():
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(inner)
    return found


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, Path, Path]]:
    """(the app, the home of its user, the log of what it wrote)."""
    home = tmp_path_factory.mktemp("space")
    site, bucket, noted = home / "site", home / "bucket", home / "written.txt"
    for folder in (site, home / "tmp"):
        folder.mkdir()
    for name in closure((ROOT / "requirements.txt").read_text("utf-8").splitlines()):
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution(name).locate_file(top))).resolve())
    assert not (site / "pytest").exists()
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),  # where torch probes what the system can do
        "PYTHONPATH": str(site),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SYSTEM": "spaces",
        "SPACE_ID": "somebody/second-round",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "SECOND_ROUND_DATA": str(bucket),
        "HF_HUB_OFFLINE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    command = [sys.executable, "-S", "-c", PROGRAM, str(noted)]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        # Root may write anywhere. This user may only read, also where the interpreter lies in root's home.
        for path in (home, site, home / "tmp"):
            os.chown(path, 65534, 65534)
        above = home.parent
        while above.stat().st_mode & 0o001 == 0:  # the way to the home of an ordinary user is open
            above.chmod(above.stat().st_mode | 0o011)
            above = above.parent
        ordinary = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        ordinary += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        command = [*ordinary, *command]
    with open(home / "log.txt", "wb") as log:
        process = psutil.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    app = App(f"http://127.0.0.1:{port}", home, BUNDLED, process)
    wait_for_an_answer(app)
    yield app, bucket, noted
    stop(app)


def test_a_space_makes_both_rounds_for_each_visitor_and_writes_nowhere_else(space, arrivals):
    app, bucket, noted = space
    for prompt in ("a cat", "a house"):
        visitor = arrivals.visit(app)
        visitor.ask(prompt, "0-1", steps=2)
        visitor.expect_done(2)
        visitor.tiles.first.click()
        expect(visitor.pick).to_contain_text("seed 0")
        expect(visitor.next).to_be_enabled()
        visitor.next.click()
        visitor.expect_done(5)
        expect(visitor.page.locator("#heading")).to_contain_text("equal, bit for bit")
    shelves = [path for path in (bucket / "pictures").iterdir() if path.name.startswith("v-")]
    assert sorted(len(list(shelf.glob("seed-*.png"))) for shelf in shelves) == [7, 7]
    written = {Path(line) for line in noted.read_text("utf-8").splitlines()}
    assert any(path.is_relative_to(bucket / "pictures") for path in written)
    assert [path for path in written if path.is_relative_to(app.data / "tmp") and path.parent != app.data / "tmp"] == []
    assert [path.name for path in written if path.name.startswith("torchinductor")] == []
    own = (app.data, Path("/dev"), Path("/proc"))
    outside = sorted(str(path) for path in written if not any(path.is_relative_to(place) for place in own))
    assert outside == [], json.dumps(outside, indent=1)
