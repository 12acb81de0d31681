"""A hub model whose repository goes on: the revision of a recipe is what is loaded, and is asked for."""

import shutil
from pathlib import Path

import pytest

from tests.hub import COMMIT, hub
from tests.models.hub_visits import before_and_after_commits, visit, without_and_with_leave, without_leave
from tests.tiny import tiny_sd

README, WEIGHTS = "b" * 40, "c" * 40  # commits after COMMIT: of the model card alone, and of the weights


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
    return visit(before_and_after_commits, home, repos, shelf, shelf / "old.png") | {"file": str(shelf / "old.png")}


@pytest.fixture(scope="module")
def elsewhere(repos, endpoint, found, tmp_path_factory) -> dict:
    """A machine that has the newest commit alone, and the old picture."""
    home, shelf = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("shelf")
    return visit(without_and_with_leave, home, repos, shelf, found["file"])


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
    assert elsewhere["asked without leave"] == []


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


def test_a_host_of_one_model_downloads_no_other_revision_for_visitors(repos, endpoint, found, tmp_path):
    there = visit(without_leave, tmp_path, repos, tmp_path, found["file"], "one")
    reason = f"someone/tiny at {COMMIT[:12]} is not on this host, which downloads nothing for visitors."
    assert there["verified"] == [False, False, f"Not checked. {reason}"]
    assert there["second round"] == f"ModelError: {reason}"
