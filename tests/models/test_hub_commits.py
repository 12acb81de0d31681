"""A hub model whose repository goes on: the revision of a recipe is what is loaded, and is asked for."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub import COMMIT, hub
from tests.tiny import tiny_sd

ROOT = Path(__file__).resolve().parents[2]
README, WEIGHTS = "b" * 40, "c" * 40  # commits after COMMIT: of the model card alone, and of the weights

# The hub library reads its endpoint and folders when it is imported, so each visit is a process of its own.
VISIT = """
import json, os, sys
from pathlib import Path
from pipeline_utils.errors import UserError
from pipeline_utils.picture.picture import read
from pipeline_utils.proof.replay import verify
from tests.making import made, studio

repos, shelf, old = (Path(argument) for argument in sys.argv[1:4])

def app(name="someone/tiny", **settings):
    "A start of the app, with nothing in memory."
    return studio(name, shelf, **settings)

def main(commit):
    (repos / "someone" / "tiny.main").write_text(commit)

def asked():
    lines = (repos / "asked.txt").read_text().splitlines()
    (repos / "asked.txt").write_text("")
    return lines

def told(call):
    try:
        return call()
    except UserError as error:
        return f"{type(error).__name__}: {error}"

def rounds(events):
    return [(event.picture.recipe.revision, event.picture.pixel_sha256) for event in made(events)]

def first(here, **values):
    return made(here.first_round("a cat", "0-1", num_inference_steps=2, **values))

found = {}
"""


def visit(script: str, home: Path, *arguments: Path) -> dict:
    """What `script` put into `found`, with `home` as the hub library's folder."""
    own = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    process = subprocess.run(
        [sys.executable, "-c", f"{VISIT}\n{script}\nprint(json.dumps(found))", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


MADE_BEFORE = """
before = app()
pictures = first(before)
found["made at"] = pictures[0].picture.recipe.revision
old.write_bytes(before.shelf.get(pictures[0].picture.id).read_bytes())
pick = read(old).picture
found["pick"] = pick.pixel_sha256

main("b" * 40)
here = app()
new = first(here)
found["new"] = [new[0].picture.recipe.revision, new[0].picture.pixel_sha256]
loaded = here.models.in_memory()
verdict = verify(here, read(old))
found["verified after a model card"] = [verdict.identical, verdict.sentence]
found["second round after a model card"] = rounds(here.second_round(pick, [", red"]))
found["grid of both"] = rounds(here.grid([pick, new[1].picture], [", red"]))
found["still the one in memory"] = here.models.in_memory() is loaded

main("c" * 40)
here = app()
other = first(here)
found["other"] = [other[0].picture.recipe.revision, other[0].picture.pixel_sha256]
asked()
verdict = verify(here, read(old))
found["verified after new weights"] = [verdict.identical, verdict.sentence]
found["second round after new weights"] = rounds(here.second_round(pick, [", red"]))
found["grid of two"] = told(lambda: here.grid([pick, other[0].picture], [", red"]))
found["asked for what is here"] = asked()
found["the name means the newest"] = first(here, model="someone/tiny")[0].picture.recipe.revision
found["the name and a commit"] = rounds(
    here.first_round("a cat", "0", num_inference_steps=2, model="someone/tiny@" + pick.recipe.revision)
)
"""

WITHOUT_LEAVE = """
here = app(switching=os.environ.get("CHOOSE", "auto"))
found["here"] = first(here)[0].picture.recipe.revision
pick = read(old).picture
asked()
verdict = verify(here, read(old))
found["verified"] = [verdict.needs_download, verdict.replayed, verdict.sentence]
found["second round"] = told(lambda: here.second_round(pick, [", red"]))
"""
WITH_LEAVE = """
found["a commit that is none"] = told(lambda: first(here, model="someone/tiny@" + "d" * 40)) if not asked() else "asked"
asked()
verdict = verify(here, read(old), allow_download=True)
found["with leave"] = [verdict.identical, verdict.sentence]
found["weights fetched"] = [line for line in asked() if line.startswith("GET") and line.endswith(".safetensors")]
found["now"] = told(lambda: rounds(here.second_round(pick, [", red"])))
"""


@pytest.fixture(scope="module")
def repos(tmp_path_factory, tiny_sd_folder) -> Path:
    root = tmp_path_factory.mktemp("hub")
    for commit in (README, WEIGHTS):
        copy = shutil.copytree(tiny_sd_folder, root / "someone" / f"tiny@{commit}")
        (copy / "README.md").write_text(f"The card of {commit}")
    shutil.copytree(tiny_sd_folder, root / "someone" / "tiny")
    part = Path("unet") / "diffusion_pytorch_model.safetensors"
    other = tiny_sd(tmp_path_factory.mktemp("other") / "tiny", seed=1)
    shutil.copy(other / part, root / "someone" / f"tiny@{WEIGHTS}" / part)
    return root


@pytest.fixture(scope="module")
def endpoint(repos):
    with hub(repos) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", address)
        yield address


@pytest.fixture(scope="module")
def found(repos, endpoint, tmp_path_factory) -> dict:
    """A picture, a commit of the model card, a commit of the weights; the app is started before and after each."""
    home, shelf = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("shelf")
    return visit(MADE_BEFORE, home, repos, shelf, shelf / "old.png") | {"file": str(shelf / "old.png")}


@pytest.fixture(scope="module")
def elsewhere(repos, endpoint, found, tmp_path_factory) -> dict:
    """A machine that has the newest commit alone, and the old picture."""
    home, shelf = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("shelf")
    return visit(WITHOUT_LEAVE + WITH_LEAVE, home, repos, shelf, Path(found["file"]))


IDENTICAL = [True, "Identical: made again, all 1,024 pixels have the same bits."]


def test_a_commit_of_the_model_card_alone_changes_no_picture(found):
    assert found["made at"] == COMMIT
    assert found["new"] == [README, found["pick"]]
    assert found["verified after a model card"] == IDENTICAL
    assert found["second round after a model card"][0] == [README, found["pick"]]
    assert [found["grid of both"][0], len(found["grid of both"])] == [[README, found["pick"]], 4]
    assert found["still the one in memory"]


def test_pictures_of_before_are_made_with_the_weights_of_before(found):
    assert found["other"][0] == WEIGHTS
    assert found["other"][1] != found["pick"]
    assert found["verified after new weights"] == IDENTICAL
    assert found["second round after new weights"][0] == [COMMIT, found["pick"]]
    assert found["asked for what is here"] == []


def test_a_grid_is_of_one_revision(found):
    assert f"someone/tiny at {COMMIT[:12]} and someone/tiny" in found["grid of two"]
    assert "all come from one model at one revision" in found["grid of two"]


def test_a_name_means_the_newest_commit_of_the_start_and_a_commit_can_be_named(found):
    assert found["the name means the newest"] == WEIGHTS
    assert found["the name and a commit"][0] == [COMMIT, found["pick"]]


def test_another_revision_is_not_downloaded_without_leave_and_what_would_be_is_said(elsewhere):
    assert elsewhere["here"] == WEIGHTS
    needs, replayed, sentence = elsewhere["verified"]
    assert (needs, replayed) == (True, False)
    assert f"someone/tiny is here at {WEIGHTS[:12]}, not at {COMMIT[:12]}; the files that differ would be" in sentence
    assert elsewhere["second round"].startswith(f"ModelError: someone/tiny is here at {WEIGHTS[:12]}")
    assert f"Choose someone/tiny@{COMMIT} as the model" in elsewhere["second round"]


def test_a_commit_that_the_hub_does_not_know_is_said(elsewhere):
    assert elsewhere["a commit that is none"] == (
        "ModelError: someone/tiny: the hub has no commit dddddddddddd of it; perhaps it was taken away."
    )


def test_with_leave_the_revision_is_fetched_but_not_what_is_here_already(elsewhere):
    assert elsewhere["with leave"] == IDENTICAL
    assert elsewhere["weights fetched"] == [
        f"GET someone/tiny/resolve/{COMMIT}/unet/diffusion_pytorch_model.safetensors"
    ]
    assert elsewhere["now"][0][0] == COMMIT


def test_a_host_of_one_model_downloads_no_other_revision_for_visitors(repos, endpoint, found, tmp_path, monkeypatch):
    monkeypatch.setenv("CHOOSE", "one")
    there = visit(WITHOUT_LEAVE, tmp_path, repos, tmp_path, Path(found["file"]))
    reason = f"someone/tiny at {COMMIT[:12]} is not on this host, which downloads nothing for visitors."
    assert there["verified"] == [False, False, f"Not checked. {reason}"]
    assert there["second round"] == f"ModelError: {reason}"
