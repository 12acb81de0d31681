"""The README, followed to the letter: cloned, set up, started, and every snippet run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from gradio_client import Client
from packaging.requirements import Requirement
from PIL import Image

from tests.running import ROOT, free_port

TEXT = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
BASH = [text for language, text in BLOCKS if language == "bash"]
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A repository with one commit: the files of this checkout, committed or not."""
    place = tmp_path_factory.mktemp("readme") / "origin"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    author = ["-c", "user.name=reader", "-c", "user.email=reader@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=place, check=True)
    return place


@contextmanager
def serving(command: str, folder: Path, port: int, data: Path, patience: float = 600):
    """Runs a command that serves until it is stopped, as Ctrl+C stops it; yields the address."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MODEL", "HOST", "VIRTUAL_ENV", "MAKEFLAGS")}
    environment |= {"PORT": str(port), "SECOND_ROUND_DATA": str(data), "SECOND_ROUND_DTYPE": "float32"}
    with open(folder.parent / "log.txt", "w+b") as log:
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            until = time.monotonic() + patience
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10).close()
                    break
                except (urllib.error.URLError, OSError):
                    if process.poll() is not None or time.monotonic() > until:
                        log.seek(0)
                        pytest.fail(f"{command!r} did not serve:\n{log.read().decode()[-4000:]}")
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def test_a_newcomer_follows_the_readme(repository):
    start, commands, settings = BASH
    plain, programs = PYTHON
    folder, data = repository.parent / "second-round", repository.parent / "data"
    python = folder / ".venv" / "bin" / "python"

    # 1. Clone and run, as the first block says, on a free port; then the client's snippet.
    with serving(start.replace("<this repository>", str(repository)), repository.parent, free_port(), data) as url:
        snippet = programs.replace("http://127.0.0.1:7860", url) + "\nprint(pick['file'], again['pictures'][0]['id'])"
        said = subprocess.run([python, "-c", snippet], cwd=folder, capture_output=True, text=True, check=True).stdout
        client = Client(url, verbose=False, download_files=str(repository.parent / "made"))
        ours = client.predict("a dog", seeds="0-3", api_name="/first_round")["pictures"]
        styles = [", highly realistic", ", neon", ", line art", ", sticker"]
        ours += client.predict(ours[2]["id"], styles, api_name="/second_round")["pictures"][1:]
    equal, files = said.strip().splitlines()[-2:]
    assert equal == "True"

    # 2. The lines of plain diffusers, in the same checkout: "the app's pictures equal theirs pixel for pixel".
    kept = [str(repository.parent / f"plain-{n}.png") for n in range(8)]
    save = f"\nfor image, file in zip(round_one + round_two, {kept}, strict=True):\n    image.save(file)\n"
    subprocess.run([python, "-c", plain + save], cwd=folder, check=True, capture_output=True)
    same = [
        Image.open(one).tobytes() == Image.open(other["file"]).tobytes() for one, other in zip(kept, ours, strict=True)
    ]
    assert same == [True] * 8

    # 3. The commands, on pictures that were just made.
    made = Path(files.split()[0])
    for name in ("picture.png", "first.png", "second.png"):
        shutil.copy(made, folder / name)
    for line in commands.strip().splitlines():
        subprocess.run(["bash", "-c", line], cwd=folder, check=True, capture_output=True)
    assert Image.open(folder / "again.png").tobytes() == Image.open(folder / "picture.png").tobytes()
    assert Image.open(folder / "sheet.png").width > 256

    # 4. The settings: each line serves.
    for line in settings.strip().splitlines():
        port = free_port()
        with serving(re.sub(r"PORT=\d+", f"PORT={port}", line), folder, port, data):
            pass


def test_every_file_that_the_readme_names_is_there():
    named = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_two_commands_give_the_cuda_build_of_the_very_torch_that_is_tested():
    ((first, second),) = [text.splitlines() for language, text in BLOCKS if language == "sh"]
    assert subprocess.run([*first.split(), "--dry-run"], cwd=ROOT, capture_output=True, check=False).returncode == 0
    (torch,) = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    build = re.search(
        r'pip install "torch==([\d.]+)\+(cu\d+)" --index-url https://download\.pytorch\.org/whl/(cu\d+)$', second
    )
    assert build.groups() == (torch, build[2], build[2])


# Millions of parameters, as the models' own files have them: what denoises, text encoders, decoder, safety checker.
PARAMETERS = {
    "SD 1.5, 4 lanes": (859.5, 123.1, 83.7, 303.2),
    "SDXL, SDXL-Turbo": (2567.5, 123.1, 694.7, 83.7),
    "SD 3.5 Medium": (2469.7, 123.1, 694.7, 4762.3, 83.8),
    "FLUX.1": (11901.4, 123.1, 4762.3, 83.8),
}
CUDA, DECODING, STEP = 1.0, 1.5, 0.5  # GB: its context and kernels; decoded pictures in halves; one denoising step


def test_the_table_of_cards_is_what_the_parameters_come_to():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TEXT.splitlines() if line.startswith("| ")]
    (head,) = [row for row in rows if "GB of weights" in row]
    cards = [int(name.removesuffix(" GB")) for name in head[3:]]
    assert cards == [6, 8, 12, 16, 24]
    told = {row[0]: row[1:] for row in rows if row[0] in PARAMETERS}
    expected = {}
    for model, millions in PARAMETERS.items():
        sizes = [2 * 1e6 * count / 2**30 for count in millions]
        whole = sum(sizes) + CUDA + DECODING * (2 if "SDXL" in model else 1)
        words = ["as it is" if whole <= n else "offload" if max(sizes) + CUDA + STEP <= n else "no" for n in cards]
        expected[model] = [f"{sum(sizes):.1f}", f"{max(sizes):.1f}", *words]
    assert told == expected


def test_the_front_matter_is_one_a_space_accepts():
    front = dict(re.findall(r"^(\w+): (.+)$", TEXT.split("---")[1], re.MULTILINE))
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == pinned["gradio"]
    assert front["app_file"] == "app.py"
    assert front["python_version"] == '"3.12"'
    assert len(front["short_description"]) <= 60
    colors = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {front["colorFrom"], front["colorTo"]} <= colors


def test_torch_is_a_release_that_zerogpu_runs():
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    (torch,) = (Requirement(line) for line in lines if line.startswith("torch>"))
    runs = ["2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.1", "2.13.0"]
    assert list(torch.specifier.filter(["2.7.1", "2.9.0", "2.12.0", "2.13.1", "2.14.0", "2.14.1", *runs])) == runs
