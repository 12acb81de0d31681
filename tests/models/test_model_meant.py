"""Which model a name or a recipe means: by content, wherever models are compared."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline_utils.engine.pool import Models
from pipeline_utils.errors import InputError, ModelError
from pipeline_utils.models import revisions, runtime
from pipeline_utils.page.share.layout import Share
from pipeline_utils.picture.picture import Picture, decode, encode
from pipeline_utils.proof.replay import verify
from pipeline_utils.recipe.ask import Ask
from pipeline_utils.settings import Settings
from pipeline_utils.studio import Started
from tests.making import made, studio
from tests.tiny import tiny_sd, tiny_single_file


@pytest.fixture
def twins(tmp_path) -> tuple[Path, Path]:
    """Two models in folders of one name."""
    return tiny_sd(tmp_path / "a" / "model"), tiny_sd(tmp_path / "b" / "model", seed=1)


def first(here, **values) -> Picture:
    return made(here.first_round(Ask("a cat", "0", num_inference_steps=2, **values)))[0].picture


def pixels(folder: Path, shelf: Path) -> str:
    """The picture of the one model that an app was started with."""
    return first(studio(folder, shelf)).pixel_sha256


def test_two_folders_of_one_name_are_two_models(twins, tmp_path):
    here = studio(twins[0], tmp_path / "shelf")
    own = first(here)
    other = first(here, model=str(twins[1]))
    assert own.pixel_sha256 == pixels(twins[0], tmp_path / "1")
    assert other.pixel_sha256 == pixels(twins[1], tmp_path / "2")
    assert own.recipe.model != other.recipe.model
    assert own.recipe.revision != other.recipe.revision
    for picture in (own, other):  # by the name it has here, without a model, by path
        again = first(here, model=picture.recipe.model)
        assert (again.recipe, again.pixel_sha256) == (picture.recipe, picture.pixel_sha256)
    assert first(here).pixel_sha256 == own.pixel_sha256
    assert first(here, model=str(twins[1])).recipe == other.recipe
    assert first(here, model=str(twins[0])).recipe == own.recipe


def test_rounds_and_replays_go_to_the_model_of_their_picture(twins, tmp_path):
    here = studio(twins[0], tmp_path / "shelf")
    pictures = [first(here), first(here, model=str(twins[1]))]
    for picture in (*pictures, *pictures):
        assert verify(here, decode(encode(picture))).identical
        assert made(here.second_round(picture, [", red"]))[0].picture.pixel_sha256 == picture.pixel_sha256
        assert made(here.variations(picture, "9"))[0].picture.pixel_sha256 == picture.pixel_sha256
    with pytest.raises(InputError, match="all come from one model"):
        here.grid(pictures, [", red"])


def test_a_recipe_that_names_a_twin_is_found_by_its_hash(twins, tmp_path):
    """As a process that knew one of them only wrote it."""
    others = first(studio(twins[1], tmp_path / "there"))
    assert others.recipe.model == "local:model"
    here = studio(twins[0], tmp_path / "shelf")
    verdict = verify(here, decode(encode(others)))
    assert not verdict.replayed
    assert "made with local:model at sha256:" in verdict.sentence
    with pytest.raises(ModelError, match="other weights make another picture"):
        here.second_round(others, [", red"])
    here.models.open(str(twins[1]))
    assert verify(here, decode(encode(others))).identical
    assert made(here.second_round(others, [", red"]))[0].picture.pixel_sha256 == others.pixel_sha256


@pytest.mark.parametrize("kind", ["renamed", "a copy"])
def test_a_folder_under_another_name_makes_second_rounds_and_grids_as_it_is_verified(tiny_sd_folder, tmp_path, kind):
    before = first(studio(tiny_sd_folder, tmp_path / "there"))
    here = studio(shutil.copytree(tiny_sd_folder, tmp_path / "another name"), tmp_path / "shelf")
    now = first(here, negative_prompt="")
    later = made(here.first_round(Ask("a dog", "7", num_inference_steps=2)))[0].picture
    assert now.recipe.model == "local:another name" != before.recipe.model
    assert verify(here, decode(encode(before))).identical
    for events in (
        here.second_round(before, [", red"]),
        here.variations(before, "9"),
        here.grid([before, later], [", red"]),
    ):
        control = made(events)[0].picture
        assert control.pixel_sha256 == before.pixel_sha256
        assert control.recipe == now.recipe  # what is loaded


def test_the_bundled_model_in_a_folder_of_another_name_is_found_though_another_was_started(tiny_sd_folder, tmp_path):
    models = Models(Settings(model=str(tiny_sd_folder)), runtime.Device("cpu", False, "none"))
    bundled = models.spec("emoji-sd")
    revision = revisions.content_hash(Path(bundled.source))
    assert models.meant("local:my copy", revision).source == bundled.source


def test_an_older_revision_of_a_checkpoint_that_lacks_its_own_hash_is_the_same_model(tmp_path):
    here = studio(tiny_single_file(tmp_path), tmp_path / "shelf")
    now = first(here)
    digits = now.recipe.revision.removeprefix("sha256:")
    assert len(digits) == 64
    old = replace(now, recipe=replace(now.recipe, revision=f"sha256:{digits[32:]}"))
    assert verify(here, decode(encode(old))).identical
    assert made(here.second_round(old, [", red"]))[0].picture.recipe == now.recipe
    with pytest.raises(ModelError, match=f"sha256:{digits[:6]}….* other weights make another picture"):
        here.models.meant(now.recipe.model, f"sha256:{digits[:32]}")


def test_weights_that_changed_in_their_folder_are_another_model(tmp_path):
    folder = tiny_sd(tmp_path / "model")
    here = studio(folder, tmp_path / "shelf")
    before = first(here)
    tiny_sd(folder, seed=1)
    after = first(here, model=str(folder))
    assert after.recipe.revision != before.recipe.revision
    assert after.pixel_sha256 == pixels(folder, tmp_path / "1")
    with pytest.raises(ModelError, match="other weights make another picture"):
        here.second_round(before, [", red"])


@pytest.mark.parametrize(
    ("one", "other"), [("アニメ", "写真"), ("ünder", "änder"), ("a..b", "a.b"), ("x" * 95, "x" * 96)]
)
def test_names_that_lose_characters_do_not_collide(tiny_sd_folder, tmp_path, one, other):
    here = studio(tiny_sd_folder, tmp_path / "shelf")
    names = set()
    for at, name in enumerate((one, other)):
        picture = first(here, model=str(tiny_sd(tmp_path / name, seed=1 + at)))
        assert picture.recipe.model.isascii()
        names.add(picture.recipe.model)
    assert len(names) == 2


def test_a_recipe_of_the_name_of_before_is_found_by_its_hash(tmp_path):
    folder = tiny_sd(tmp_path / "アニメ")
    here = studio(folder, tmp_path / "shelf")
    now = first(here)
    old = replace(now, recipe=replace(now.recipe, model="local:model"))  # as earlier versions named it
    assert verify(here, decode(encode(old))).identical
    assert made(here.second_round(old, [", red"]))[0].picture.pixel_sha256 == old.pixel_sha256


def test_a_call_without_a_model_means_the_one_of_the_start_whatever_was_loaded_last(twins, tmp_path):
    here = studio(twins[0], tmp_path / "shelf")
    before = first(here)
    first(here, model=str(twins[1]))
    assert here.models.current != here.models.default
    assert first(here).id == before.id


@pytest.mark.parametrize("name", ["emoji-sd@" + "a" * 40, "sdxl@abc", "local:x@" + "a" * 40, "owner/name@", "a@b@c"])
def test_a_revision_that_is_none_is_refused(tiny_sd_folder, name):
    models = Models(Settings(model=str(tiny_sd_folder)), runtime.Device("cpu", False, "none"))
    with pytest.raises(ModelError):
        models.open(name)


def test_a_model_and_its_number_format_are_loaded_for_a_replay_and_given_back(tiny_sd_folder, tmp_path):
    there = first(studio(tiny_sd_folder, tmp_path / "there", dtype="bfloat16"))
    here = studio(tiny_sd_folder, tmp_path / "shelf")
    own = first(here)
    assert there.recipe.dtype == "bfloat16"
    assert there.pixel_sha256 != own.pixel_sha256
    verdict = verify(here, decode(encode(there)))
    assert verdict.identical
    assert verdict.changed == []
    assert here.models.in_memory().dtype == "float32"
    assert here.models.ready(here.models.spec(here.models.default))
    assert first(here).id == own.id


def test_a_second_round_runs_in_the_number_format_of_its_pick(tiny_sd_folder, tmp_path):
    there = first(studio(tiny_sd_folder, tmp_path / "there", dtype="bfloat16"))
    here = studio(tiny_sd_folder, tmp_path / "shelf")
    own = first(here)
    control, styled = (event.picture for event in made(here.second_round(there, [", red"])))
    assert control.pixel_sha256 == there.pixel_sha256
    assert styled.recipe.dtype == "bfloat16"
    assert here.models.in_memory().dtype == "float32"
    with pytest.raises(InputError, match=r"pictures: 'bfloat16 and float32' is not accepted; all have one number"):
        here.grid([own, there], [", red"])


def test_a_replay_in_another_format_waits_for_the_rounds_that_run(tiny_sd_folder, tmp_path):
    there = first(studio(tiny_sd_folder, tmp_path / "there", dtype="bfloat16"))
    here = studio(tiny_sd_folder, tmp_path / "shelf")
    own = [e.picture.pixel_sha256 for e in made(here.first_round(Ask("a cat", "0-1", num_inference_steps=40)))]
    running = here.first_round(Ask("a cat", "0-1", num_inference_steps=40))
    while not isinstance(next(running), Started):
        pass
    formats = []
    make = here.make

    def noted(loaded, *arguments):
        formats.append(loaded.dtype)
        make(loaded, *arguments)

    here.make = noted
    verdict = verify(here, decode(encode(there)))
    assert [e.picture.pixel_sha256 for e in made(running)] == own
    assert verdict.identical
    assert formats == ["bfloat16"]


def test_a_link_is_of_the_model_with_its_content_and_says_what_other_weights_do(tiny_sd_folder, tmp_path):
    here = studio(tiny_sd_folder, tmp_path / "shelf")
    link = {"prompt": "a cat", "model": "local:former name", "revision": revisions.content_hash(tiny_sd_folder)}

    def note(**changes) -> str:
        request = SimpleNamespace(query_params={**link, **changes})
        return Share(here).open_link(request)["link_note"]

    assert "It was made with" not in note()
    assert "It was made with <b>local:former name</b>" in note(revision="sha256:" + "ab" * 16)
    other = note(model=here.models.default, revision="sha256:" + "ab" * 16)
    assert f"It was made with <b>{here.models.default} at sha256:abababababab</b>. This host runs tiny-sd, " in other
    commit = note(model="owner/name", revision="c" * 40)
    assert f"<b>owner/name@{'c' * 40}</b>, not tiny-sd: choose that model under Model" in commit
