"""The one writer of files: whole or not at all."""

import os

import pytest

from pipeline_utils.errors import CapacityError, UserError
from pipeline_utils.files import writing


def test_a_file_is_there_whole_and_nothing_beside_it(tmp_path):
    with writing(tmp_path / "file", changed=5 * 10**9) as file:
        file.write(b"all of it")
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"all of it"
    assert (tmp_path / "file").stat().st_mtime_ns == 5 * 10**9
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("no")])
def test_a_file_that_could_not_be_written_is_as_it_was_before(error, tmp_path):
    (tmp_path / "file").write_bytes(b"before")
    expected = CapacityError if isinstance(error, OSError) else type(error)

    def half() -> None:
        with writing(tmp_path / "file") as file:
            file.write(b"half")
            raise error

    with pytest.raises(expected):
        half()
    assert (tmp_path / "file").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_the_longest_name_that_a_disk_takes_is_written(tmp_path):
    name = 255 * "n"
    with writing(tmp_path / name) as file:
        file.write(b"x")
    assert os.listdir(tmp_path) == [name]


def test_a_folder_that_is_not_there_is_told_by_its_name(tmp_path):
    with pytest.raises(UserError, match="The folder absent cannot be used"), writing(tmp_path / "absent" / "file"):
        pass
