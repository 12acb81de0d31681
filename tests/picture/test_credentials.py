"""Content Credentials, with the real signer and reader, and a certificate as `make certificate` makes it."""

import builtins
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import c2pa
import pytest
from fuzz_picture import sample_picture

from pipeline_utils.__main__ import main
from pipeline_utils.errors import InputError, UserError
from pipeline_utils.picture import export
from pipeline_utils.picture.credentials import sign, told
from pipeline_utils.picture.picture import decode, encode, pixel_sha256, read

AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ROOT = Path(__file__).resolve().parents[2]
PICTURE = sample_picture(prompt="a red fox, 狐")
FILES = {"PNG": encode(PICTURE), "JPEG": export.single(PICTURE, "JPEG"), "WEBP": export.single(PICTURE, "WEBP")}
UNKNOWN = "Content Credentials: valid, signed by Second Round trial signer, an unknown signer."
VALID = "Content Credentials: valid, signed by Second Round trial signer."
CHANGED = "Content Credentials: changed after Second Round trial signer signed it."


@pytest.fixture(scope="module")
def signer(tmp_path_factory) -> Path:
    """trial.pem and trial-root.pem."""
    file = tmp_path_factory.mktemp("signer") / "trial"
    subprocess.run(["make", "-s", "certificate", f"SIGNER={file}"], cwd=ROOT, check=True, timeout=60)
    assert sorted(each.name for each in file.parent.iterdir()) == ["trial-root.pem", "trial.pem"]
    assert file.with_suffix(".pem").stat().st_mode & 0o077 == 0
    return file.with_suffix(".pem")


@pytest.mark.parametrize("form", FILES)
def test_a_signed_file_is_valid_changed_or_of_an_unknown_signer(signer, form):
    signed = sign(FILES[form], form, PICTURE, signer.read_text())
    assert told(FILES[form], form) == ""
    assert told(signed, form) == UNKNOWN
    assert told(signed, form, (signer.parent / "trial-root.pem").read_text()) == VALID
    at = signed.index(b"a red fox")
    assert told(signed[:at] + b"a red fax" + signed[at + 9 :], form) == CHANGED


def test_the_manifest_says_what_made_the_picture_and_holds_its_record(signer):
    signed = sign(FILES["PNG"], "PNG", PICTURE, signer.read_text())
    with c2pa.Reader("image/png", io.BytesIO(signed)) as reader:
        found = json.loads(reader.json())
    manifest = found["manifests"][found["active_manifest"]]
    made = {each["label"]: each["data"] for each in manifest["assertions"]}
    (action,) = made["c2pa.actions.v2"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", AI)
    assert action["softwareAgent"]["name"] == "Second Round"
    assert made["second-round.record"] == PICTURE.record()
    assert "ingredients" not in manifest


def test_pixels_and_recipe_of_a_signed_picture_are_those_of_before(signer, tmp_path):
    (tmp_path / "x.png").write_bytes(sign(FILES["PNG"], "PNG", PICTURE, signer.read_text()))
    reading = read(tmp_path / "x.png")
    assert (reading.picture, reading.edited) == (PICTURE, False)


@pytest.mark.parametrize("pem", ["", "nonsense", "certificate only", "key only"])
def test_what_cannot_sign_is_refused(signer, pem):
    text = signer.read_text()
    at = text.index("-----BEGIN PRIVATE KEY")
    pem = {"certificate only": text[:at], "key only": text[at:]}.get(pem, pem)
    with pytest.raises(InputError, match="certificates and a key that can sign"):
        sign(FILES["PNG"], "PNG", PICTURE, pem)


def test_without_the_library_signing_says_how_to_get_it_and_reading_says_that_it_was_not_checked(signer, monkeypatch):
    signed = sign(FILES["PNG"], "PNG", PICTURE, signer.read_text())
    genuine = builtins.__import__

    def without(name, *rest):
        if name == "c2pa":
            raise ImportError(name)
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"requirements-credentials\.txt"):
        sign(FILES["PNG"], "PNG", PICTURE, signer.read_text())
    assert "not checked" in told(signed)
    assert told(FILES["PNG"]) == ""


def test_a_picture_of_the_word_c2pa_carries_no_credentials():
    assert told(encode(sample_picture(prompt="c2pa"))) == ""


def test_damaged_credentials_are_told_and_never_raise(signer):
    signed = sign(FILES["PNG"], "PNG", PICTURE, signer.read_text())
    at = signed.index(b"jumb")
    for cut in range(0, 3_000, 97):
        assert told(signed[: at + cut] + b"xxxx" + signed[at + cut + 4 :]).startswith("Content Credentials: ")
    assert told(b"c2pa" * 100) == "Content Credentials: they are damaged."


@pytest.mark.parametrize("form", ["png", "webp", "jpeg"])
def test_the_command_exports_a_batch_signed_last(signer, tmp_path, capsys, form):
    files = [tmp_path / f"{seed}.png" for seed in range(2)]
    for seed, file in enumerate(files):
        file.write_bytes(encode(sample_picture(seed)))
    (tmp_path / "out").mkdir()
    asked = ["export", *map(str, files), "-o", str(tmp_path / "out"), "--format", form]
    assert main([*asked, "--sign", str(signer)]) == 0
    for seed in range(2):
        data = (tmp_path / "out" / f"{seed}.{form}").read_bytes()
        assert told(data, form) == UNKNOWN
        if form == "png":
            assert decode(data).picture == sample_picture(seed)
    assert main([*asked, "--sign", str(tmp_path / "absent.pem")]) == 2
    assert "--sign" in capsys.readouterr().err


def test_an_edited_picture_is_not_exported(signer, tmp_path, capsys):
    touched = PICTURE.image.copy()
    touched.putpixel((0, 0), (1, 2, 3))
    assert pixel_sha256(touched) != PICTURE.pixel_sha256
    (tmp_path / "x.png").write_bytes(encode(type(PICTURE)(touched, *list(vars(PICTURE).values())[1:])))
    (tmp_path / "out").mkdir()
    assert main(["export", str(tmp_path / "x.png"), "-o", str(tmp_path / "out"), "--sign", str(signer)]) == 2
    assert "edited" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_the_commands_of_the_readme_sign_and_check(tmp_path):
    (block,) = re.findall(r"^```shell\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    install, *lines = block.splitlines()
    assert install.endswith("pip install -r requirements-credentials.txt -c constraints.txt")
    shutil.copy(ROOT / "assets" / "example" / "round-1-0.png", tmp_path / "picture.png")
    for line in lines:
        line = line.replace(".venv/bin/python", sys.executable).replace("make", f"make -f {ROOT / 'Makefile'}")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        asked = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 300}
        found = subprocess.run(["bash", "-c", line], **asked, check=False)
        assert found.returncode in ((0, 1) if "verify" in line else (0,)), found.stderr  # 1: made on another machine
    assert found.stdout.splitlines()[-1] == VALID
