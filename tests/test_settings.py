"""Settings: the command line, then the environment, then defaults."""

from dataclasses import fields
from pathlib import Path

import pytest

from pipeline_utils.settings import Settings, parse

EXAMPLES = {
    "model": ("sdxl", "sdxl"),
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("8000", 8000),
    "device": ("cpu", "cpu"),
    "dtype": ("bfloat16", "bfloat16"),
    "lanes": ("2", 2),
    "threads": ("1", 1),
    "noise_device": ("cuda", "cuda"),
    "full_determinism": ("true", True),
    "offload": ("model", "model"),
    "switching": ("hub", "hub"),
    "data": ("~/pictures", Path.home() / "pictures"),
    "shelves": ("each", "each"),
    "max_queue": ("3", 3),
    "visitor_rounds": ("2", 2),
    "address_rounds": ("20", 20),
    "visitor_pictures": ("100", 100),
    "keep_hours": ("1.5", 1.5),
    "prompt_writer": ("Ada Lovelace", "Ada Lovelace"),
    "previews": ("off", False),
    "share": ("on", True),
    "allowed_hosts": ("Example.org, *.local", ("example.org", "*.local")),
}
WRONG = [
    ("port", "http"),
    ("port", "70000"),
    ("port", "-1"),
    ("device", "tpu"),
    ("device", "cuda:"),
    ("device", "cuda:N"),
    ("device", "cuda:-1"),
    ("device", "mps:0"),
    ("dtype", "int4"),
    ("lanes", "17"),
    ("lanes", "1.5"),
    ("threads", "-1"),
    ("noise_device", "auto"),
    ("full_determinism", "maybe"),
    ("offload", "disk"),
    ("switching", "no"),
    ("shelves", "none"),
    ("max_queue", "0"),
    ("visitor_rounds", "-1"),
    ("address_rounds", "many"),
    ("visitor_pictures", "1.5"),
    ("keep_hours", "-1"),
    ("keep_hours", "nan"),
    ("keep_hours", "inf"),
    ("previews", "some"),
    ("share", "perhaps"),
    ("allowed_hosts", "https://example.org"),
    ("allowed_hosts", "example.org:80"),
    ("allowed_hosts", "a b"),
    ("allowed_hosts", "*.*"),
]


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    return name.upper() if name in ("model", "host", "port") else f"SECOND_ROUND_{name.upper()}"


def test_every_setting_has_an_example_here():
    assert set(EXAMPLES) == {field.name for field in fields(Settings)}


def test_without_arguments_all_is_default():
    assert parse([], {}) == Settings()
    assert parse([], {"MODEL": "", "SECOND_ROUND_LANES": ""}) == Settings()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_setting_is_given_as_an_argument_or_in_the_environment(name):
    text, value = EXAMPLES[name]
    default = getattr(Settings(), name)
    assert value != default
    assert getattr(parse([flag(name), text], {}), name) == value
    assert getattr(parse([f"{flag(name)}={text}"], {}), name) == value
    assert getattr(parse([], {variable(name): text}), name) == value
    assert getattr(parse([flag(name), text], {variable(name): str(default)}), name) == value


@pytest.mark.parametrize("name", ["full_determinism", "share"])
def test_a_switch_needs_no_value(name):
    assert getattr(parse([flag(name)], {}), name) is True


@pytest.mark.parametrize("place", ["argument", "environment"])
@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_value_ends_the_start_with_a_message_that_names_it(name, text, place, capsys):
    with pytest.raises(SystemExit) as caught:
        parse([f"{flag(name)}={text}"], {}) if place == "argument" else parse([], {variable(name): text})
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert f"argument {flag(name)}" in said
    assert text in said
    assert "Traceback" not in said


def test_an_unknown_argument_ends_the_start(capsys):
    with pytest.raises(SystemExit) as caught:
        parse(["--stepz", "3"], {})
    assert caught.value.code == 2
    assert "--stepz" in capsys.readouterr().err


def test_help_lists_every_setting_with_its_variable_and_no_folder_of_this_machine(capsys):
    with pytest.raises(SystemExit) as caught:
        parse(["--help"], {})
    said = capsys.readouterr().out
    assert caught.value.code == 0
    for name in EXAMPLES:
        assert flag(name) in said
        assert f"${variable(name)}" in said
    assert str(Path.home()) + "/" not in said


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "any"),
        (["--host", "0.0.0.0"], "one"),
        (["--share", "true"], "one"),
        (["--switching", "hub"], "hub"),
        (["--host", "0.0.0.0", "--switching", "any"], "any"),
    ],
)
def test_strangers_load_no_model_unless_the_host_says_so(argv, expected):
    assert parse(argv, {}).visitors_choose == expected


def test_a_space_says_by_gradios_own_variables_where_to_listen():
    space = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "7861"}
    assert (parse([], space).host, parse([], space).port) == ("0.0.0.0", 7861)
    assert parse([], space | {"HOST": "127.0.0.1"}).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "each"),
    [
        ([], False),
        (["--host", "localhost"], False),
        (["--host", "::1"], False),
        (["--host", "0.0.0.0"], True),
        (["--host", "192.168.1.7"], True),
        (["--share"], True),
        (["--shelves", "each"], True),
        (["--host", "0.0.0.0", "--shelves", "one"], False),
    ],
)
def test_strangers_have_a_shelf_each_and_who_sits_at_the_machine_has_its_one(given, each):
    assert parse(given, {}).own_shelves is each


def test_on_a_space_every_visitor_has_a_shelf():
    assert parse([], {"GRADIO_SERVER_NAME": "0.0.0.0"}).own_shelves


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:15", "mps", "xpu"])
def test_a_device_is_one_of_torchs_names_and_a_cuda_gpu_may_have_a_number(device):
    assert parse(["--device", device], {}).device == device
