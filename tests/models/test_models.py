"""One model in memory, shared by all rounds and switched when none uses it."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from pipeline_utils.engine import pool as models
from pipeline_utils.engine.call import lanes_agree, settled
from pipeline_utils.engine.pool import Models
from pipeline_utils.engine.stops import Stopped
from pipeline_utils.errors import ModelError
from pipeline_utils.models import runtime, sources
from pipeline_utils.models.runtime import Device
from pipeline_utils.settings import Settings
from tests.making import load, pictures, recipe
from tests.running import wait_until
from tests.tiny import tiny_sd


@pytest.fixture
def two(tiny_sd_folder, tmp_path, monkeypatch):
    """Models of a process that knows two: the one it was started with, and one of the catalog."""
    other = replace(sources.resolve(str(tiny_sd(tmp_path / "other", seed=1))), name="someone/other")
    known = sources.resolve

    def resolve(name, **options):
        return other if name == other.name else known(name, **options)

    monkeypatch.setattr(models, "resolve", resolve)
    settings = Settings(model=str(tiny_sd_folder), threads=1)
    return Models(settings, runtime.start(settings)), other.name


def test_a_model_is_loaded_once_for_all_its_users(two):
    here, _ = two
    with here.use(here.default) as one, here.use(here.default) as other:
        assert one is other
    with here.use(here.default) as again:
        assert again is one


def test_a_switch_waits_until_nobody_uses_the_model(two):
    here, other = two
    switched = threading.Event()

    def switch():
        with here.use(other) as loaded:
            assert loaded.spec.name == other
            switched.set()

    with here.use(here.default) as first:
        thread = threading.Thread(target=switch)
        thread.start()
        assert not switched.wait(0.5)
        assert here.current == here.default
        assert len(pictures(first, [recipe(first)])) == 1
    assert switched.wait(30)
    thread.join(5)
    assert here.current == other


def test_those_who_come_after_a_switch_was_asked_for_wait_behind_it(two):
    here, other = two
    order = []

    def visit(name):
        with here.use(name) as loaded:
            order.append(loaded.spec.name)

    with ThreadPoolExecutor(2) as pool:
        with here.use(here.default):
            switch = pool.submit(visit, other)
            wait_until(lambda: len(here._line) == 1)
            late = pool.submit(visit, here.default)
            wait_until(lambda: len(here._line) == 2)
            assert order == []
        switch.result(30)
        late.result(30)
    assert order == [other, here.default]


def test_waiting_for_a_switch_can_be_stopped(two):
    here, other = two
    stop = threading.Event()
    with here.use(here.default):
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(Stopped), here.use(other, stop):
            raise AssertionError("it must not be switched")
    with here.use(other):  # the line is free again
        pass


@pytest.mark.parametrize("step", ["fetch", "load"])
def test_stop_is_heard_while_a_model_is_fetched_or_loaded_and_the_work_is_kept_for_the_next(two, monkeypatch, step):
    here, other = two
    stop, began, go = threading.Event(), threading.Event(), threading.Event()
    ready, calls = getattr(runtime, step), []

    def slow(spec, *rest):
        calls.append(spec.name)
        began.set()
        assert go.wait(30)
        return ready(spec, *rest)

    monkeypatch.setattr(runtime, step, slow)

    def ask(flag):
        with here.use(other, flag) as loaded:
            return loaded.spec.name

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, stop)
        assert began.wait(30)
        behind, patient = threading.Event(), threading.Event()
        second = pool.submit(ask, behind)  # waits behind the first, and can be stopped as well
        stop.set()
        behind.set()
        for asked in (first, second):
            with pytest.raises(Stopped):
                asked.result(10)  # while `go` is still to come
        third = pool.submit(ask, patient)
        go.set()
        assert third.result(30) == other
    assert calls[:1] == [other]
    assert step == "fetch" or calls == [other]  # the load that was given up is the one that is used


def test_the_memory_of_a_model_is_freed_before_the_next_is_loaded(two, monkeypatch):
    here, other = two
    with here.use(here.default) as loaded:
        unet = weakref.ref(loaded.pipe.unet)
    del loaded
    load_model, alive = runtime.load, []

    def watched(*arguments):
        alive.append(unet())
        return load_model(*arguments)

    monkeypatch.setattr(runtime, "load", watched)
    with here.use(other):
        pass
    gc.collect()
    assert alive == [None]


def test_a_model_that_cannot_be_loaded_leaves_the_app_usable(two, monkeypatch):
    here, other = two
    with here.use(here.default) as loaded:
        before = pictures(loaded, [recipe(loaded)])

    def broken(spec, *_):
        raise ModelError(f"{spec.title} cannot be loaded: its files are damaged.")

    with monkeypatch.context() as patch:
        patch.setattr(runtime, "load", broken)
        with pytest.raises(ModelError, match="damaged"), here.use(other):
            pass
    with here.use(here.default) as loaded:
        assert pictures(loaded, [recipe(loaded)]) == before


@pytest.mark.parametrize(
    "name",
    ["/etc", "..", "../emoji-sd", "a/../b", "~/models", "http://127.0.0.1/x", "file:///etc/passwd", "a/b/c", "a b"],
)
def test_a_visitor_cannot_name_a_path_or_an_address(two, name):
    with pytest.raises(ModelError, match="no catalog name"):
        two[0].spec(name)


@pytest.mark.parametrize("name", [None, "", 5, ["emoji-sd"], {"a": 1}])
def test_a_name_that_is_no_text_is_refused(two, name):
    with pytest.raises(ModelError, match="a name is needed"):
        two[0].spec(name)


def test_a_folder_that_has_the_form_of_a_hub_id_is_never_looked_at(two, tmp_path, monkeypatch):
    tiny_sd(tmp_path / "some" / "folder")
    monkeypatch.chdir(tmp_path)
    assert not two[0].spec("some/folder").is_local


def test_who_sits_at_the_machine_may_open_a_folder(two, tmp_path):
    folder = tiny_sd(tmp_path / "mine")
    with pytest.raises(ModelError, match="no catalog name"):
        two[0].spec(str(folder))
    assert two[0].open(str(folder)).name == "local:mine"
    with two[0].use("local:mine") as loaded:
        assert loaded.spec.source == str(folder)


@pytest.mark.parametrize("choose", ["hub", "one"])
def test_strangers_cannot_tell_which_paths_exist(tiny_sd_folder, tmp_path, choose):
    settings = Settings(model=str(tiny_sd_folder), threads=1, switching=choose)
    here = Models(settings, runtime.start(settings))
    refusals = set()
    for path in (tiny_sd(tmp_path / "there"), tmp_path / "gone"):
        with pytest.raises(ModelError) as refused:
            here.open(str(path))
        refusals.add(str(refused.value).replace(path.name, ""))
    assert len(refusals) == 1


def test_another_local_model_is_told_apart_from_the_one_of_this_start(two):
    with pytest.raises(ModelError, match="start with its path"):
        two[0].spec("local:another")


def test_a_host_can_forbid_switching(tiny_sd_folder):
    settings = Settings(model=str(tiny_sd_folder), threads=1, switching="one")
    here = Models(settings, runtime.start(settings))
    with pytest.raises(ModelError, match="runs tiny-sd only"):
        here.spec("stabilityai/sdxl-turbo")
    assert here.spec(here.default).name == here.default


def test_a_model_that_was_not_loaded_cannot_be_had_from_memory(two):
    with pytest.raises(ModelError, match="No model is loaded"):
        two[0].in_memory()


def test_lanes_agree_on_a_sound_device(tiny_sd_folder):
    loaded = load(tiny_sd_folder)
    assert lanes_agree(loaded)
    assert settled(loaded) is loaded


def break_slots(loaded):
    """As a device would whose kernels treat the last part of a batch in another way."""

    def change_last(module, inputs, output):
        output[0][-1] *= 1 + 1e-5
        return output

    return loaded.pipe.unet.register_forward_hook(change_last)


def test_where_slots_disagree_there_is_one_lane_and_a_note_saying_why(tiny_sd_folder):
    loaded = load(tiny_sd_folder)
    with break_slots(loaded):
        assert not lanes_agree(loaded)
        one = settled(loaded)
    assert one.lanes == 1
    assert "one at a time" in one.spec.note
    assert "in calls of 4" in one.spec.note


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError("can't allocate memory: 9 GB")]
)
def test_memory_that_runs_out_while_slots_are_tried_leaves_one_lane_and_a_note(tiny_sd_folder, error):
    loaded = load(tiny_sd_folder)

    def batch(module, inputs):
        if len(inputs[0]) > 2:  # more than one picture, with and without its prompt
            raise error

    with loaded.pipe.unet.register_forward_pre_hook(batch):
        one = settled(loaded)
        assert len(pictures(one, [recipe(one, lanes=1)])) == 1
    assert one.lanes == 1
    assert one.spec.note.startswith("Pictures are made one at a time here: memory ran out when calls of 4 were tried")


def test_another_fault_while_slots_are_tried_is_not_hidden(tiny_sd_folder):
    loaded = load(tiny_sd_folder)

    def broken(module, inputs):
        raise ValueError("a fault of ours")

    with loaded.pipe.unet.register_forward_pre_hook(broken), pytest.raises(ValueError, match="a fault of ours"):
        settled(loaded)


def test_slots_are_tried_out_when_a_model_is_loaded_on_a_gpu(tiny_sd_folder, monkeypatch):
    """The hook only: the device is called cuda, the weights stay where they are."""
    settings = Settings(model=str(tiny_sd_folder), threads=1)
    cpu, gpu = runtime.start(settings), Device("cuda", False, "none")
    load_model = runtime.load

    def loaded_broken(spec, settings, _device):
        loaded = load_model(spec, settings, cpu)
        break_slots(loaded)
        return loaded

    monkeypatch.setattr(runtime, "load", loaded_broken)
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    with Models(settings, gpu).use(f"local:{tiny_sd_folder.name}") as loaded:
        assert loaded.lanes == 1
    with Models(settings, cpu).use(f"local:{tiny_sd_folder.name}") as loaded:
        assert loaded.lanes == 4  # on a CPU it held in every test, and a start costs nothing more
