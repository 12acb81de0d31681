"""Verify and Proof in a real browser, and /verify from a client."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Page, expect

from pipeline_utils.picture.picture import Picture, encode, read
from pipeline_utils.proof.experiments import EXPERIMENTS
from tests.browser import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "corpus"


@pytest.fixture(scope="module")
def client(app) -> Client:
    return Client(app.url, verbose=False)


@pytest.fixture(scope="module")
def made(client, tmp_path_factory) -> Path:
    """A picture made over the API and downloaded, with markup in its prompt."""
    prompt = "a cat <b>bold</b><script>document.title='bad'</script>"
    settings = {"num_inference_steps": 3, "cut_long_prompts": True}
    answer = client.predict(prompt, "4", **settings, api_name="/first_round")
    file = answer["pictures"][0]["file"]
    return Path(file["path"] if isinstance(file, dict) else file)


@pytest.fixture
def page(visitor) -> Page:
    visitor.tab("Verify").click()
    return visitor.page


def drop(page: Page, file: Path) -> None:
    page.locator("#verify-file input[type=file]").set_input_files(str(file))


def count(file: Path) -> str:
    """Of pixels, as the page writes it."""
    image = read(file).image
    return f"{image.width * image.height:,}"


def changed(file: Path, folder: Path, **changes) -> Path:
    """A copy of a picture's file with another recipe, whose pixels are those of the original."""
    picture = read(file).picture
    other = Picture.make(picture.image, replace(picture.recipe, **changes), picture.fingerprint, picture.lineage)
    path = folder / "changed.png"
    path.write_bytes(encode(other))
    return path


def test_a_dropped_picture_is_made_again_and_found_identical(page, made):
    drop(page, made)
    verdict = page.get_by_role("region", name="Verdict")
    expect(verdict).to_contain_text(
        f"Identical: made again, all {count(made)} pixels have the same bits.", timeout=PATIENCE
    )
    expect(verdict.get_by_alt_text("The file")).to_be_visible()
    expect(verdict.get_by_alt_text("Made again")).to_be_visible()
    expect(verdict.get_by_alt_text("What differs")).to_have_count(0)
    expect(verdict.locator("dd").filter(has_text=read(made).picture.recipe.scheduler)).to_be_visible()
    expect(page.locator("#verify-code")).to_contain_text("torch.Generator")
    # Words of the file are shown as words.
    expect(verdict).to_contain_text("<b>bold</b><script>")
    assert verdict.locator("b, script").count() == 0
    assert page.title() != "bad"


def test_an_edited_picture_is_told_and_shown(page, made, tmp_path):
    picture = read(made).picture
    pixels = np.array(picture.image)
    pixels[4:8, 4:8] ^= 3
    file = tmp_path / "edited.png"
    file.write_bytes(encode(replace(picture, image=Image.fromarray(pixels))))
    drop(page, file)
    verdict = page.get_by_role("region", name="Verdict")
    expect(verdict).to_contain_text("The file was edited after it was made", timeout=PATIENCE)
    expect(verdict).to_contain_text(f"16 of {count(made)} pixels, by at most 3 of 255")
    expect(verdict.get_by_alt_text("What differs, brightened")).to_be_visible()


def test_a_picture_from_elsewhere_shows_which_lines_differ(page, made, tmp_path):
    picture = read(made).picture
    there = {**picture.fingerprint, "torch": "2.9.0<i>", "device": "NVIDIA H200"}
    file = tmp_path / "elsewhere.png"
    file.write_bytes(encode(Picture.make(picture.image, picture.recipe, there, picture.lineage)))
    drop(page, file)
    verdict = page.get_by_role("region", name="Verdict")
    expect(verdict).to_contain_text("although it was made elsewhere", timeout=PATIENCE)
    row = verdict.get_by_role("row").filter(has_text="NVIDIA H200")
    expect(row).to_contain_text("device")
    expect(verdict.get_by_role("row").filter(has_text="2.9.0<i>")).to_be_visible()


def test_a_pasted_recipe_is_made(page, made):
    page.get_by_role("button", name="Or paste a recipe").click()
    page.get_by_label("Recipe or record, as JSON").fill(read(made).picture.recipe.to_json())
    page.get_by_role("button", name="Check the recipe").click()
    verdict = page.get_by_role("region", name="Verdict")
    expect(verdict).to_contain_text("Made; there is no picture to compare it with.", timeout=PATIENCE)
    page.get_by_label("Recipe or record, as JSON").fill('{"model": NaN}')
    page.get_by_role("button", name="Check the recipe").click()
    expect(page.locator("#verdict").get_by_role("alert")).to_contain_text("valid JSON")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("read_webui.png", "cannot be made again exactly"),
        ("refused_bomb_in_pixels.png", "pixels"),
        ("refused_model_is_a_path.png", "model"),
    ],
)
def test_a_file_that_is_no_picture_of_ours_is_refused_in_a_sentence(page, name, words):
    drop(page, CORPUS / name)
    expect(page.locator("#verdict .verdict")).to_contain_text(words, timeout=PATIENCE)


def test_a_model_that_is_not_here_is_downloaded_only_when_asked(page, made, tmp_path):
    drop(page, changed(made, tmp_path, model="stabilityai/sdxl-turbo", revision="a" * 40))
    expect(page.locator("#verdict")).to_contain_text("would be downloaded first", timeout=PATIENCE)
    fetch = page.get_by_role("button", name="Download the model and check")
    fetch.click()
    expect(page.locator("#verdict")).to_contain_text("hub cannot be reached", timeout=PATIENCE)


def test_every_row_of_the_proof_page_comes_out_as_said(page):
    page.get_by_role("tab", name="Proof").click()
    page.get_by_role("button", name="Run all").click()
    state = page.locator("#proof-state")
    unavailable = {"device-generator", "cifar"}
    expect(state).to_contain_text("13 as said, 0 not, 2 not available here", timeout=3 * PATIENCE)
    for experiment in EXPERIMENTS:
        row = page.locator(f"#proof-{experiment.id}")
        expect(row).to_contain_text(experiment.title)
        kind = "none" if experiment.id in unavailable else "green"
        expect(row.locator(f".result.{kind}")).to_be_visible()


def test_one_row_of_the_proof_page_is_run_alone(page):
    page.get_by_role("tab", name="Proof").click()
    row = page.locator("#proof-cpu-generator")
    row.get_by_role("button", name="Run").click()
    expect(row.locator(".result.green")).to_contain_text("the sum of |pixels| is", timeout=PATIENCE)
    expect(page.locator(".result")).to_have_count(1)


def test_experiments_can_be_stopped(page):
    page.get_by_role("tab", name="Proof").click()
    page.get_by_role("button", name="Run all").click()
    expect(page.locator(".result.green").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Stop all").click()
    expect(page.locator(".result.running")).to_have_text("Stopped.", timeout=PATIENCE)
    expect(page.locator("#proof-state")).to_contain_text("to go")


def test_the_tabs_fit_a_telephone(visitors):
    visitor = visitors(width=390, height=800)
    for name in ("Verify", "Proof"):
        expect(visitor.page.get_by_role("tab", name="Rounds")).to_be_visible()
        visitor.tab(name).click()
        expect(visitor.page.locator("#tabs .tabitem").filter(visible=True)).to_have_count(1)
        visitor.no_sideways_scroll()


def test_a_client_verifies_by_file_and_by_id(client, made):
    answer = client.predict(handle_file(str(made)), api_name="/verify")
    assert answer["identical"] is True
    assert (answer["l_inf"], answer["differing_pixels"]) == (0, 0)
    assert answer["recipe"] == read(made).picture.recipe.to_dict()
    assert answer["fingerprint_here"] == answer["fingerprint_there"]
    assert client.predict(read(made).picture.id, api_name="/verify")["identical"] is True
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize("picture", ["/etc/passwd", "../x.png", "0" * 16, "", None, 5, ["a"], {"path": "/etc/passwd"}])
def test_a_client_cannot_name_other_files(client, picture):
    with pytest.raises(AppError, match="picture"):
        client.predict(picture, api_name="/verify")


def test_a_picture_made_on_the_page_and_downloaded_is_identical_in_a_new_process(visitor, tmp_path):
    """The whole way: the app, a browser, a download, another process."""
    visitor.ask("a red fox", "7, 8", steps=4)
    visitor.expect_done(2)
    visitor.tiles.nth(1).click()
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Download PNG", exact=True).click()
    file = tmp_path / "downloaded.png"
    download.value.save_as(file)
    command = [sys.executable, "-m", "pipeline_utils", "verify", str(file), "--model", str(visitor.app.model)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (found.returncode, found.stdout[:10]) == (0, "Identical:"), found.stderr + found.stdout
