"""Every tab is a room of its own: without its folder, and its line in page.py, the rest of the app works as before."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from tests.running import ROOT, running
from tests.wire import Wire

TABS = ("tree", "shelf", "verify", "proof")
START = """
import os, runpy, sys
here = os.path.dirname(os.path.abspath(__file__))
os.chdir(here)
sys.path.insert(0, here)
runpy.run_path("app.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """A copy of the project, and start.py, which starts the app that lies beside it."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "pipeline_utils", copy / "pipeline_utils", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", copy)
    (copy / "assets").symlink_to(ROOT / "assets")
    (copy / "start.py").write_text(START)
    return copy


@pytest.fixture(params=TABS)
def gone(request, house, tmp_path) -> Iterator[str]:
    """The name of the tab that the house is without, folder and line, for one test."""
    page = house / "pipeline_utils" / "page"
    whole = (page / "page.py").read_text()
    rest = whole.replace(f'    "{request.param}",\n', "", 1)
    assert rest.count("\n") == whole.count("\n") - 1
    (page / request.param).rename(tmp_path / request.param)
    (page / "page.py").write_text(rest)
    yield request.param
    (tmp_path / request.param).rename(page / request.param)
    (page / "page.py").write_text(whole)


def test_without_a_tab_the_page_is_served_and_makes_round_one(gone, house, tiny_sd_folder, tmp_path):
    with running(tiny_sd_folder, tmp_path / "data", program=(str(house / "start.py"),)) as app:
        with urllib.request.urlopen(app.url + "/config", timeout=30) as answer:
            components = json.load(answer)["components"]
        shown = [each["props"]["label"] for each in components if each["type"] == "tabitem"]
        assert shown == ["Rounds", *(tab.capitalize() for tab in TABS if tab != gone)]
        with urllib.request.urlopen(app.url, timeout=30) as answer:
            page = answer.read().decode()
        served = {tab for tab in ("tree", "shelf") if f"function {tab}(element" in page}
        assert served == {"tree", "shelf"} - {gone}
        assert "function here()" in page
        client = Client(app.url, verbose=False, download_files=False)
        made = client.predict("a red fox", seeds="0-1", num_inference_steps=1, api_name="/first_round")
        assert len(made["pictures"]) == 2
        # Whoever opens the page now finds the round on it.
        assert "Round 1" in str(Wire(app, "somebody0001").send("page_arrive", [{"token": "0" * 32}, True, None]))
        assert "Traceback" not in app.log()
