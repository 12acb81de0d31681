"""The page is there before its model, and a model that cannot be had still ends the start."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.stops import Stop, Stopped
from pipeline_utils.models import runtime
from pipeline_utils.page.running import Player
from pipeline_utils.page.visitor.pictures import Pictures
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.settings import Settings
from tests.browser import Own
from tests.making import studio
from tests.running import ROOT, App, free_port, start

HELD = ("-m", "tests.held")


@pytest.fixture
def held(own: Own, tmp_path: Path):
    """held() starts an app whose model is held back until `held.go()`."""

    class Held:
        go = staticmethod((tmp_path / "go").touch)

        def __call__(self, **environment: str) -> App:
            own.stop()
            (tmp_path / "go").unlink(missing_ok=True)
            own.running.append(start(own.model, own.data, HELD, GO=str(tmp_path / "go"), **environment))
            return own.running[0]

    return Held()


def test_the_page_can_be_used_before_the_model_is_loaded_and_tells_the_rest_afterwards(held, own):
    visitor = own.visit(held())
    loading, words = visitor.page.locator("#loading"), visitor.page.locator("#words")
    expect(loading).to_contain_text(f"Loading {own.model.name}…")
    visitor.prompt.fill("a red fox")
    expect(visitor.make).to_be_enabled()
    expect(words).to_have_text("")
    held.go()
    expect(loading).to_have_text("")
    expect(words).to_contain_text("of 77 tokens")  # nobody typed meanwhile
    visitor.ask("a red fox", "0", steps=2)
    visitor.expect_done(1)
    # What was loaded before the page is opened is not told of.
    late = own.visit(own.running[0])
    late.prompt.fill("a cup")
    expect(late.page.locator("#words")).to_contain_text("of 77 tokens")
    expect(late.page.locator("#loading")).to_have_text("")
    assert visitor.complaints == late.complaints == []


def test_the_first_click_waits_for_the_model_and_can_be_stopped_meanwhile(held, own):
    visitor = own.visit(held())
    visitor.ask("a red fox", "0", steps=2)
    expect(visitor.status).to_contain_text("Loading the model…")
    expect(visitor.page.locator("#loading")).to_be_hidden()  # once is enough
    visitor.stop.click()
    expect(visitor.status).to_contain_text("Stopped before the first picture.")
    visitor.ask("a red fox", "0", steps=2)
    expect(visitor.status).to_contain_text("Loading the model…")
    held.go()
    visitor.expect_done(1)
    assert visitor.complaints == []


def test_kept_pictures_are_there_before_the_model_and_what_needs_it_follows(held, own):
    app = held()
    held.go()
    visitor = own.visit(app)
    visitor.make_two_rounds()
    app = held(PORT=app.url.rpartition(":")[2])  # to which the browser says who it is
    back = own.visit(app, page=visitor.page.context.new_page())
    expect(back.tiles).to_have_count(2)
    expect(back.pick).to_contain_text("Whether the same bits come out here is told when the model is loaded.")
    expect(back.page.locator("#python-box")).to_be_hidden()
    held.go()
    expect(back.pick).to_contain_text("Made on this machine, where the same bits come out again.")
    expect(back.page.locator("#python-box")).to_be_visible()
    expect(back.page.get_by_role("button", name="Copy as Python")).to_be_visible()
    assert back.complaints == []


def test_values_that_loading_finds_out_reach_every_page(tiny_sd_folder, tmp_path):
    """Of a model that nothing is known of but its name, the size for one."""
    here = studio(tiny_sd_folder, tmp_path)
    arrivals = Pictures(Player(here))
    here.models.preload()
    spec = here.models.spec(here.models.default)
    assert arrivals.arrive(Visit(spec.name), False, None, None) == {}
    here.models._known[spec.name] = replace(spec, width=2 * spec.width, note="A note.")
    changed = arrivals.arrive(Visit(spec.name), False, None, None)
    assert changed["width"]["value"] == 2 * spec.width
    assert "A note." in changed["note"]["value"]
    assert changed.keys() == {"width", "note"}


def test_a_start_hears_of_the_first_page_that_is_opened(tiny_sd_folder, tmp_path):
    """It imports torch then, and not while that page is fetched."""
    here = studio(tiny_sd_folder, tmp_path)
    arrivals = Pictures(Player(here))
    assert not here.visited.is_set()
    arrivals.arrive(Visit(here.models.default), False, None, None)
    assert here.visited.is_set()


def ended(**environment: str) -> subprocess.CompletedProcess:
    """What the command of a start says, and with which code it ends."""
    environment = {"PORT": str(free_port()), "HF_HUB_OFFLINE": "1"} | environment
    command = [sys.executable, "app.py"]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_model_that_fails_to_load_ends_the_process_with_a_sentence(tiny_sd_folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_sd_folder, broken)
    weights = next((broken / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    found = ended(MODEL=str(broken), SECOND_ROUND_DATA=str(tmp_path / "data"))
    assert found.returncode == 1
    assert "Running on local URL" in found.stdout  # the page was open already
    said = "Second Round cannot start. broken: a .safetensors file of it is damaged or was cut short"
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_what_is_known_to_be_no_model_ends_the_start_before_the_page_opens(tmp_path):
    found = ended(MODEL="/no/such/folder", SECOND_ROUND_DATA=str(tmp_path / "data"))
    assert found.returncode == 1
    assert found.stdout == ""
    assert re.match("Second Round cannot start. model: '/no/such/folder' is no catalog name", found.stderr)


def test_a_port_that_is_taken_ends_the_start_with_a_sentence(tiny_sd_folder, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = ended(MODEL=str(tiny_sd_folder), SECOND_ROUND_DATA=str(tmp_path / "data"), PORT=str(port))
    assert found.returncode == 1
    assert f"Second Round cannot start. port: {port} cannot be listened on at 127.0.0.1" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_device_that_is_not_here_ends_the_process_with_a_sentence(tiny_sd_folder, tmp_path):
    found = ended(MODEL=str(tiny_sd_folder), SECOND_ROUND_DATA=str(tmp_path / "data"), SECOND_ROUND_DEVICE="xpu")
    assert found.returncode == 1
    assert "Second Round cannot start. device: 'xpu' is not accepted; PyTorch finds no such Intel GPU" in found.stderr


def test_who_imports_the_app_has_its_page_and_its_model(tiny_sd_folder, tmp_path):
    code = "import app; print(type(app.demo).__mro__[1].__name__, app.models.has_begun)"
    environment = {"MODEL": str(tiny_sd_folder), "SECOND_ROUND_DATA": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "Blocks True\n"


def test_torch_is_started_once_whoever_needs_it_first(tiny_sd_folder, monkeypatch):
    ready, calls, begin = threading.Event(), [], runtime.start

    def slow(settings):
        calls.append(settings)
        ready.wait(30)
        return begin(settings)

    monkeypatch.setattr(runtime, "start", slow)
    models = Models(Settings(model=str(tiny_sd_folder), threads=1))
    assert not models.has_started
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped), models.use(models.default, stop):  # who waits for it can be stopped
        pass
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(models.start())) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.set()
    models.preload()
    for thread in threads:
        thread.join(30)
    assert len(calls) == 1
    assert found == [models.start()] * 3
    assert models.has_begun
