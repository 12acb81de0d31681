"""Whose shelf it is: everybody's at one machine, a visitor's own on a shared host."""

import pytest
from fuzz_picture import sample_picture

from pipeline_utils.errors import InputError, UserError
from pipeline_utils.page.visitor.visit import Visit
from pipeline_utils.shelf.owners import Shelves
from pipeline_utils.shelf.shelf import Shelf

ADA, BEN = "0123456789abcdef" * 2, "f" * 32


@pytest.fixture
def shared(tmp_path) -> Shelves:
    return Shelves(Shelf(tmp_path / "pictures"), shared=True)


def test_at_one_machine_all_have_the_one_shelf_whatever_their_browser_says(tmp_path):
    shelves = Shelves(Shelf(tmp_path), shared=False)
    for token in (ADA, None, "../..", 7):
        assert shelves.album(shelves.owner(token)).shelf is shelves.root


def test_on_a_shared_host_a_token_opens_the_same_shelf_again_and_no_other(shared):
    ada, ben = (shared.album(shared.owner(token)).shelf for token in (ADA, BEN))
    made = sample_picture()
    ada.put(made)
    again = Shelves(Shelf(shared.root.folder), shared=True)  # after a restart
    assert again.album(again.owner(ADA)).shelf.read(made.id) == made
    for other in (ben, shared.root):
        assert list(other) == []
        with pytest.raises(InputError):
            other.read(made.id)


def test_neither_the_token_nor_anything_it_names_is_in_the_folder_name(shared):
    owner = shared.owner(ADA)
    assert ADA not in owner
    assert ADA[:8] not in owner
    with pytest.raises(UserError):  # an address that was passed on opens nothing
        shared.owner(owner)
    assert shared.owner(owner.removeprefix("v-")) != owner


@pytest.mark.parametrize(
    "token", [None, "", 7, True, [], {}, ADA.upper(), ADA + "0", ADA[:-1], ADA[:-1] + "\n", ADA + "\n", "../" + ADA[3:]]
)
def test_what_is_no_token_opens_no_shelf(shared, token):
    with pytest.raises(UserError, match="The app was restarted: reload the page"):
        shared.owner(token)
    assert list(shared.folders()) == [shared.root.folder]


@pytest.mark.parametrize("owner", ["", "..", "v-", "v-" + "0" * 31, "v-" + "g" * 32, "/etc", "v-" + "0" * 32 + "/.."])
def test_only_names_of_owners_become_folders(shared, owner):
    with pytest.raises(ValueError, match="owner"):
        shared.album(owner)


def test_looking_makes_no_folder_but_the_first_picture_does(shared):
    shelf = shared.album(shared.owner(ADA)).shelf
    assert list(shelf) == []
    assert list(shared.folders()) == [shared.root.folder]
    shelf.put(sample_picture())
    assert list(shared.folders()) == [shared.root.folder, shelf.folder]


def test_a_visit_has_the_shelf_of_its_owner_and_none_without_one(shared):
    visit, other = Visit("m", shared.owner(ADA)), Visit("m", shared.owner(BEN))
    assert visit.shelf(shared) is visit.shelf(shared)
    assert visit.shelf(shared).folder != other.shelf(shared).folder
    assert visit.shelf(shared).folder != shared.root.folder
    with pytest.raises(ValueError, match="owner"):
        Visit("m").shelf(shared)


def test_a_shelf_stays_the_same_while_thousands_of_others_are_opened(shared):
    first = shared.album(shared.owner(ADA)).shelf
    first.put(sample_picture())
    for n in range(1000):
        shared.album(shared.owner(f"{n:032x}"))
    assert len(shared._open) <= 256
    assert shared.album(shared.owner(ADA)) is shared.album(shared.owner(ADA))
    assert list(shared.album(shared.owner(ADA)).shelf) == list(first)
