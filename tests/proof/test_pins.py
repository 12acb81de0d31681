"""Why a picture no longer comes out equal, what made it, and how two recipes differ."""

import subprocess
import sys

import pytest
from fuzz_picture import sample_picture

from pipeline_utils.errors import InputError
from pipeline_utils.page.verify.layout import verdict_html
from pipeline_utils.proof.pins import SUSPECTS, compared, constraints, differing_lines, pip_line
from pipeline_utils.proof.verdict import Verdict, in_words

THERE = {
    "torch": "2.9.1+cu128", "diffusers": "0.42.0", "transformers": "5.20.0", "device": "NVIDIA H200",
    "system": "Linux x86_64", "driver": "570.1", "cudnn": 91002, "matmul_tf32": False,
}  # fmt: skip
HERE = {**THERE, "system": "Linux aarch64", "driver": "580.2", "torch": "2.13.0", "device": "NVIDIA L4", "new": 1}


def test_the_likeliest_suspect_is_named_first():
    names = [name for name, _, _ in differing_lines(THERE, HERE)]
    assert names == ["device", "torch", "driver", "system", "new"]
    assert in_words(differing_lines(THERE, HERE)).startswith("device NVIDIA H200 there, NVIDIA L4 here; torch 2.9.1")
    assert differing_lines({}, HERE) == differing_lines(HERE, HERE) == []


def test_every_line_of_a_fingerprint_has_a_place_among_the_suspects(tiny_sd_folder):
    code = (
        "from pipeline_utils.models import runtime; from pipeline_utils.settings import Settings; "
        "print(*runtime.fingerprint(runtime.start(Settings(device='cpu'))))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert set(found.stdout.split()) <= set(SUSPECTS)


def test_the_pip_line_names_the_packages_that_differ_and_where_their_builds_are():
    index = " --extra-index-url https://download.pytorch.org/whl/cu128"
    assert pip_line(THERE, HERE) == "pip install torch==2.9.1+cu128" + index
    assert pip_line(THERE, {}) == f"pip install torch==2.9.1+cu128 diffusers==0.42.0 transformers==5.20.0{index}"
    assert pip_line({**THERE, "torch": "2.9.1"}, HERE) == "pip install torch==2.9.1"
    assert pip_line(THERE, THERE) == pip_line({}, HERE) == ""


@pytest.mark.parametrize(
    "version",
    ["2.0; rm -rf /", "2.0 --index-url http://x", "$(id)", "2.0\nevil==1", "-r x", "", "2", "git+https://x/y", 2, None],
)
def test_a_version_that_is_none_never_gets_into_a_command_or_a_file(version):
    assert pip_line({"torch": version}, HERE) == ""
    with pytest.raises(InputError, match="fingerprint"):
        constraints({"torch": version}, "x.png")


def test_constraints_are_what_pip_reads(tmp_path):
    file = tmp_path / "pins.txt"
    file.write_text(constraints({"torch": "2.9.1+cpu", "diffusers": "0.42.0", "device": "x"}, "x.png"))
    assert file.read_text().splitlines()[2:] == ["torch==2.9.1+cpu", "diffusers==0.42.0"]
    # pip itself, asked for nothing: a file that it cannot read is an error
    asked = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "-c", file, "-r", "/dev/null"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=120)
    assert "ERROR" not in found.stderr


def test_a_verdict_that_differs_says_how_to_get_the_versions_back_and_an_equal_one_does_not():
    made = sample_picture()
    about = {"recipe": made.recipe, "replay": made.image, "fingerprint_there": THERE, "fingerprint_here": HERE}
    differs = Verdict(**about, stored_sha256="a" * 64, replayed_sha256="b" * 64)
    assert differs.getting_back == differs.to_dict()["getting_back"] == pip_line(THERE, HERE)
    assert f"<pre>{pip_line(THERE, HERE)}</pre>" in verdict_html(differs, None)
    equal = Verdict(**about, stored_sha256="b" * 64, replayed_sha256="b" * 64)
    assert equal.getting_back == ""
    assert "<pre>" not in verdict_html(equal, None)


def test_two_recipes_compared_show_only_what_differs():
    one, other = sample_picture(seed=0).recipe, sample_picture(seed=1, prompt="an owl").recipe
    assert compared(one, other) == [("prompt", "a red fox", "an owl"), ("seed", 0, 1)]
    assert compared(one, one) == []
