"""Contact sheets and zips of a round."""

import errno
import time
import zipfile

import numpy as np
import pytest
from fuzz_picture import sample_picture
from PIL import Image, ImageFont

from pipeline_utils.errors import CapacityError, InputError
from pipeline_utils.picture.picture import Lineage, Picture, decode
from pipeline_utils.shelf.contact_sheet import (
    LABEL_LINES,
    MARGIN,
    contact_sheet,
    font_for,
    grid_rows,
    label,
    round_sheet,
    wrap,
)
from pipeline_utils.shelf.copies import zip_pictures
from pipeline_utils.shelf.shelf import Shelf


def plain(color, size=(64, 64), **changes) -> Picture:
    """A picture of one color, of a recipe that fits."""
    model = sample_picture(size=(16, 16), **changes)
    recipe = type(model.recipe)(**{**model.recipe.to_dict(), "width": size[0], "height": size[1]})
    return Picture.make(Image.new("RGB", size, color), recipe, {}, model.lineage)


def boxes_of(sheet: Image.Image, color) -> tuple[int, int, int, int]:
    """left, top, right, bottom (excluded) of all pixels of that color."""
    rows, columns = np.where((np.asarray(sheet) == color).all(axis=-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (16, 4), (17, 5), (64, 8)])
def test_the_grid_is_as_square_as_can_be_and_its_last_row_may_be_ragged(count, columns):
    sheet = contact_sheet([sample_picture(seed) for seed in range(count)])
    rows = -(-count // columns)
    assert sheet.mode == "RGB"
    assert sheet.width == columns * (256 + MARGIN) + MARGIN
    assert rows * 256 < sheet.height < rows * (256 + 64) + 64


def test_every_tile_stands_in_reading_order_and_none_covers_another():
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200)]
    sheet = contact_sheet([plain(color) for color in colors])
    places = [boxes_of(sheet, color) for color in colors]
    assert [(right - left, bottom - top) for left, top, right, bottom in places] == [(256, 256)] * 5
    assert places == sorted(places, key=lambda place: (place[1], place[0]))
    assert len({place[1] for place in places}) == 2


def test_small_pictures_are_enlarged_smoothly():
    halves = plain((0, 0, 0), (16, 16))
    halves.image.paste((255, 255, 255), (8, 0, 16, 16))
    row = np.asarray(contact_sheet([halves]).convert("L"))[MARGIN + 128, MARGIN : MARGIN + 256]
    assert set(row[:64]) == {0}  # beyond the reach of the filter
    assert set(row[192:]) == {255}
    assert len(set(row[112:144])) > 8  # an edge of pixels would jump from 0 to 255


def test_large_and_oblong_pictures_share_a_sheet_with_small_ones():
    sheet = contact_sheet([plain((200, 0, 0), (1024, 256)), plain((0, 200, 0), (16, 256)), plain((0, 0, 200))])
    sizes = [boxes_of(sheet, color) for color in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    assert [(box[2] - box[0], box[3] - box[1]) for box in sizes] == [(512, 128), (16, 256), (256, 256)]


@pytest.mark.parametrize("count", [0, 65])
def test_no_pictures_or_too_many_are_refused(count):
    with pytest.raises(InputError, match="1 to 64"):
        contact_sheet([sample_picture()] * count)


def test_labels_tell_seed_suffix_control_and_pick():
    first = sample_picture(42)
    assert label(first, False) == ("seed 42", "")
    assert label(first, True) == ("seed 42 · pick", "")
    assert label(sample_picture(42, control=True), False) == ("seed 42 · control", "")
    assert label(sample_picture(0, suffix=", watercolor"), False) == ("seed 0", "watercolor")


def test_the_label_of_a_variation_says_where_it_leads():
    varied = sample_picture(42, variation_seed=7, variation_strength=0.2)
    assert label(varied, False) == ("seed 42", "20 % towards seed 7")
    styled = sample_picture(42, variation_seed=7, variation_strength=0.2, suffix=", flat")
    assert label(styled, False) == ("seed 42", "20 % towards seed 7; flat")


def ink(sheet: Image.Image) -> int:
    """How many pixels are dark: text, when the pictures are light."""
    return int((np.asarray(sheet).max(axis=-1) < 128).sum())


def test_labels_and_title_are_drawn():
    light = (250, 250, 250)
    bare = contact_sheet([plain(light)])
    assert ink(bare) > 50
    assert ink(contact_sheet([plain(light, suffix=", watercolor")])) > ink(bare) + 50
    titled = contact_sheet([plain(light)], "a red fox")
    assert ink(titled) > ink(bare) + 50
    assert titled.height > bare.height


def test_the_pick_is_marked_where_another_picture_came_from_it():
    pick = plain((250, 250, 250))
    child = Picture.make(pick.image, pick.recipe, {}, Lineage(2, pick.id, None, True))
    stranger = Picture.make(pick.image, pick.recipe, {}, Lineage(2, "0" * 16, None, True))
    assert ink(contact_sheet([pick, child])) > ink(contact_sheet([pick, stranger])) + 20


@pytest.mark.parametrize(
    "text",
    ["word " * 500, "x" * 2000, "a" * 30 + " " + "b" * 300, "two\nlines\tand a tab", "狐" * 300, "", "   ", "ok"],
)
def test_long_labels_are_wrapped_and_ellipsised_within_their_tile(text):
    font = ImageFont.load_default(16)
    lines = wrap(text, font, 256, LABEL_LINES)
    assert len(lines) <= LABEL_LINES
    assert all(font.getlength(line) <= 256 for line in lines)
    whole = "".join(text.split())
    shown = "".join("".join(lines).split())
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))


def test_a_label_is_drawn_in_a_font_that_has_its_characters():
    plain = ImageFont.load_default(16)
    assert font_for("seed 7 · pick…", 16).getname() == plain.getname()
    assert label(sample_picture(suffix="—“Füchse”—"), False)[1] == '-"Füchse"-'
    try:
        wider = ImageFont.truetype("DejaVuSans.ttf", 16)
    except OSError:  # then Pillow's own has to do
        wider = plain
    assert font_for("акварель", 16).getname() == wider.getname()


def test_a_full_sheet_with_long_labels_takes_seconds():
    pictures = [sample_picture(seed, suffix="x" * 2000) for seed in range(64)]
    began = time.perf_counter()
    contact_sheet(pictures, "y " * 1000)
    assert time.perf_counter() - began < 10


def grid_of(colors: list[list[tuple]], suffixes: list[str]) -> list[Picture]:
    """Rows of one-color pictures of seeds 0, 1, ..., the control first, row by row."""
    return [
        plain(color, seed=seed, parent=f"{seed:016x}", round=2, suffix=suffix, control=suffix is None)
        for seed, row in enumerate(colors)
        for color, suffix in zip(row, [None, *suffixes], strict=True)
    ]


COLORS = [[(200, 0, 0), (0, 200, 0), (0, 0, 200)], [(200, 200, 0), (0, 200, 200), (200, 0, 200)]]


def test_a_grid_has_a_row_for_each_seed_and_a_column_for_each_suffix():
    pictures = grid_of(COLORS, [", flat", ", neon"])
    sheet = round_sheet(pictures, "a red fox")
    places = [[boxes_of(sheet, color) for color in row] for row in COLORS]
    assert len({box[1] for box in places[0]}) == len({box[1] for box in places[1]}) == 1
    assert [box[0] for box in places[0]] == [box[0] for box in places[1]] == sorted(box[0] for box in places[0])
    assert places[0][0][3] < places[1][0][1]
    assert {(right - left, bottom - top) for row in places for left, top, right, bottom in row} == {(256, 256)}
    # Names at the edges: the seeds left of the rows, the suffixes above the columns.
    dark = np.asarray(sheet).max(axis=-1) < 128
    for row in places:
        assert dark[row[0][1] : row[0][3], : row[0][0] - MARGIN].sum() > 20
    for box in places[0]:
        assert dark[: box[1], box[0] : box[2]].sum() > 20


def test_a_grid_that_was_ended_early_leaves_its_missing_places_blank():
    sheet = round_sheet(grid_of(COLORS, [", flat", ", neon"])[:-1])
    white = boxes_of(sheet, COLORS[0][2])[0], boxes_of(sheet, COLORS[1][0])[1]
    assert sheet.getpixel((white[0] + 128, white[1] + 128)) == (255, 255, 255)
    assert (np.asarray(sheet) == COLORS[1][2]).all(axis=-1).sum() == 0


def test_what_is_no_grid_is_a_contact_sheet():
    pictures = grid_of(COLORS, [", flat", ", neon"])
    first = sample_picture(3)
    for others in (pictures[:3], [*pictures, first], pictures[1:], [first], [*pictures, pictures[1]]):
        assert grid_rows(others) is None
        assert round_sheet(others).size == contact_sheet(others).size
    assert len(grid_rows(pictures)) == 2


def test_the_largest_grid_with_long_names_is_a_sheet():
    suffixes = [f", {n} " + "x" * 180 for n in range(8)]
    pictures = [
        sample_picture(seed, prompt=f"prompt {seed} " + "y " * 200, parent=f"{seed:016x}", suffix=s, control=s is None)
        for seed in range(4)
        for s in [None, *suffixes]
    ]
    sheet = round_sheet(pictures, "z " * 1000)
    assert sheet.width == MARGIN + 150 + 9 * (256 + MARGIN)
    assert 4 * 256 < sheet.height < 4 * (256 + MARGIN) + 300


def test_a_zip_holds_the_files_themselves_uncompressed_and_in_order(tmp_path):
    shelf = Shelf(tmp_path)
    paths = [shelf.put(sample_picture(seed)) for seed in (3, 1, 2)]
    file = tmp_path / "round.zip"
    zip_pictures(paths, file)
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [path.name for path in paths]
        assert [decode(archive.read(path.name)).picture.recipe.seed for path in paths] == [3, 1, 2]
        assert [archive.read(path.name) for path in paths] == [path.read_bytes() for path in paths]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_same_files_give_the_same_zip_whenever_it_is_made(tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    paths = [shelf.put(sample_picture(seed)) for seed in range(3)]
    zip_pictures(paths, tmp_path / "a.zip")
    for path in paths:
        path.chmod(0o600)
        path.touch()
    zip_pictures(paths, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_two_files_of_one_name_are_refused(tmp_path):
    path = Shelf(tmp_path).put(sample_picture())
    with pytest.raises(InputError, match="once in a zip"):
        zip_pictures([path, path], tmp_path / "round.zip")


def test_a_zip_that_does_not_fit_on_the_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    path = Shelf(tmp_path / "shelf").put(sample_picture())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(CapacityError, match="disk is full"):
        zip_pictures([path], tmp_path / "round.zip")
    assert not (tmp_path / "round.zip").exists()
