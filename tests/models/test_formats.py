"""The number format of a CPU is the fastest, and stays what it was found to be."""

import json

import pytest

from pipeline_utils.engine.pool import Models
from pipeline_utils.models import formats
from pipeline_utils.models.runtime import Device
from pipeline_utils.settings import Settings

CPU = Device("cpu", False, "none")


@pytest.mark.parametrize(("speed", "dtype"), [(1.6, "bfloat16"), (1.1, "float32"), (0.3, "float32")])
def test_a_cpu_computes_in_bfloat16_where_that_is_clearly_faster(tmp_path, monkeypatch, speed, dtype):
    monkeypatch.setattr(formats, "speed_of_bfloat16", lambda: speed)
    assert formats.settled(Settings(data=tmp_path), CPU).dtype == dtype


def test_what_was_found_is_kept_for_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "speed_of_bfloat16", lambda: 1.6)
    formats.settled(Settings(data=tmp_path), CPU)
    monkeypatch.setattr(formats, "speed_of_bfloat16", lambda: pytest.fail("it was tried again"))
    assert formats.settled(Settings(data=tmp_path), CPU).dtype == "bfloat16"


def test_it_is_tried_again_on_another_machine_and_where_the_file_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "speed_of_bfloat16", lambda: 1.6)
    file = Settings(data=tmp_path).cache / "formats.json"
    file.parent.mkdir()
    for broken in ("", "[1]", "{", '"x"', json.dumps({"another machine": "float16"})):
        file.write_text(broken)
        assert formats.settled(Settings(data=tmp_path), CPU).dtype == "bfloat16"
    assert "bfloat16" in json.loads(file.read_text()).values()


def test_what_was_asked_for_is_not_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "speed_of_bfloat16", lambda: pytest.fail("nothing is to be tried"))
    for settings, device in (
        (Settings(data=tmp_path, dtype="float32"), CPU),
        (Settings(data=tmp_path), Device("cuda", False, "none")),
    ):
        assert formats.settled(settings, device) == settings


def test_the_trial_is_of_this_machine():
    assert 0.01 < formats.speed_of_bfloat16() < 100


def test_the_app_loads_its_models_in_the_format_that_was_found(tiny_sd_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "speed_of_bfloat16", lambda: 1.6)
    models = Models(Settings(model=str(tiny_sd_folder), data=tmp_path, threads=1, device="cpu"))
    models.preload()
    assert models.in_memory().dtype == "bfloat16"
