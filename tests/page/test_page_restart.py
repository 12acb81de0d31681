"""A page that stays open while the app goes and comes back: it goes on where it was."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from pipeline_utils.errors import UserError
from pipeline_utils.page.page import build_page
from pipeline_utils.page.rounds import panels
from pipeline_utils.page.rounds.handlers import Handlers
from pipeline_utils.page.running import Player
from pipeline_utils.page.visitor.visits import Visits, choose
from pipeline_utils.picture.picture import read
from pipeline_utils.recipe.ask import Ask
from tests.browser import Visitor
from tests.making import made, studio
from tests.wire import Wire

RESTARTED = "The app was restarted: reload the page."
ADA = "0123456789abcdef" * 2
# Events that are about no visitor's pictures.
NOBODYS = ("count", "stop", "open_link", "link_suffixes", "check_", "proof_")


def mine(visitor: Visitor) -> int:
    """How many pictures are on the disk; all must be on the one shelf that the visitor can reach."""
    files = list((visitor.app.data / "pictures").glob("**/seed-*.png"))
    assert len({path.parent for path in files}) == 1
    return len(files)


@pytest.mark.parametrize("shelves", ["each", "one"])
def test_an_open_page_goes_on_after_a_restart_and_loses_nothing(own, shelves):
    app = own.app(SECOND_ROUND_SHELVES=shelves)
    visitor = own.visit(app)
    page, quiet = visitor.page, visitor.page.get_by_test_id("toast-body")

    # An answer that breaks off makes Gradio reload the page by itself; here nothing is under way when the app goes.
    asked: set[object] = set()
    latest = time.monotonic()

    def follow(change):
        def followed(request) -> None:
            nonlocal latest
            if re.search("/run/|/queue/", request.url):
                change(request)
                latest = time.monotonic()

        return followed

    page.on("request", follow(lambda request: asked.add(request)))
    for end in ("requestfinished", "requestfailed"):
        page.on(end, follow(lambda request: asked.discard(request)))

    def restart() -> None:
        until = time.monotonic() + 60
        while (asked or time.monotonic() - latest < 1) and time.monotonic() < until:
            page.wait_for_timeout(50)
        own.app(SECOND_ROUND_SHELVES=shelves, PORT=app.url.rpartition(":")[2])

    visitor.make_two_rounds()
    assert mine(visitor) == 6
    # 1. The round that is seen is picked from, and then the other one is looked at.
    restart()
    visitor.tiles.nth(1).click()
    expect(visitor.pick).to_contain_text("seed 2 round 2")
    expect(visitor.rounds).to_have_count(2)
    visitor.rounds.first.click()
    expect(visitor.captions).to_have_text(["seed 0", "seed 1", "seed 2", "seed 3"])
    # 2. The next round is that of the pick which is seen.
    restart()
    visitor.next.click()
    visitor.expect_done(2)
    expect(visitor.rounds).to_have_text([re.compile(f"Round {n}") for n in (1, 2, 3)])
    assert mine(visitor) == 8
    (file,) = (app.data / "pictures").glob(f"**/seed-*_{visitor.pick.get_attribute('data-picture')}.png")
    picked = read(file).picture
    assert (picked.lineage.round, picked.recipe.prompt) == (2, "a red fox, neon")
    # 3. A first round, and with it a setting that another start did not offer.
    restart()
    visitor.ask("a blue cup", seeds="7", steps=3)
    visitor.expect_done(1)
    expect(visitor.rounds).to_have_count(4)
    assert mine(visitor) == 9
    visitor.tab("Shelf").click()
    tiles = page.locator("#shelf li[data-id]")
    expect(tiles).to_have_count(9)
    # 4. The shelf and the tree, which stay open too.
    restart()
    visitor.tile("a red fox, seed 3").get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(tiles).to_have_count(8)
    expect(page.locator("#shelf")).to_contain_text("1 picture deleted")
    visitor.tab("Tree").click()
    expect(page.locator("#tree .leaf")).to_have_count(8)
    restart()
    visitor.leaf("a red fox, seed 1").click()
    expect(visitor.pick).to_contain_text("seed 1 round 1")
    expect(visitor.captions).to_have_text(["seed 0", "seed 1", "seed 2"])
    with page.expect_download() as download:
        page.get_by_role("button", name="All as zip").click()
    assert download.value.suggested_filename == "round-1_seed-0.zip"
    # 5. A reload finds all of it as well; nobody had to be told anything.
    expect(quiet).to_have_count(0)
    page.reload()
    expect(visitor.captions).to_have_text(["seed 0", "seed 1", "seed 2"], timeout=60_000)
    expect(visitor.pick).to_contain_text("seed 1 round 1")
    assert visitor.complaints == []


def test_every_event_of_the_page_says_whose_it_is(tiny_sd_folder, tmp_path):
    config = build_page(studio(tiny_sd_folder, tmp_path)).get_config_file()
    kinds = {each["id"]: each["type"] for each in config["components"]}
    named = [each for each in config["dependencies"] if str(each["api_name"]).startswith("page_")]
    said = [each for each in named if not each["api_name"].removeprefix("page_").startswith(NOBODYS)]
    assert len(said) > 20
    for event in said:
        assert kinds[event["inputs"][0]] == "json", event["api_name"]
        assert "secondRound.here()" in event["js"], event["api_name"]
    # Nothing that an event is given is kept by the server alone, but what it was just told itself.
    states = {each["id"] for each in config["components"] if each["type"] == "state"}
    asked = [each["api_name"] for each in named if states & set(each["inputs"])]
    assert set(asked) == {"page_link_suffixes"}


def test_without_a_token_a_shared_host_refuses_every_event_and_keeps_nothing(own):
    app = own.app(SECOND_ROUND_SHELVES="each")
    wire = Wire(app, "nobody000001")
    with_visits = {
        name: each
        for name, each in wire.functions.items()
        if str(name).startswith("page_") and not name.removeprefix("page_").startswith(NOBODYS)
    }
    with urllib.request.urlopen(app.url + "/config", timeout=30) as config:
        values = {each["id"]: each["props"].get("value") for each in json.load(config)["components"]}
    said = {"index": 0, "value": "", "id": "0" * 16, "ids": ["0" * 16], "on": True}
    for name, each in with_visits.items():
        answer = wire.send(name, [values[part] for part in each["inputs"]], said)
        assert not answer["success"], name
        assert answer["output"]["error"] == RESTARTED, name
    assert not list((app.data / "pictures").glob("*"))
    # Programs have no page, and no need of a token.
    answer = wire.send("first_round", ["a red fox", "0", "", 1, *[None] * 5, False])
    assert answer["success"], json.dumps(answer)[:500]


@pytest.fixture
def shared(tiny_sd_folder, tmp_path):
    return studio(tiny_sd_folder, tmp_path, shelves="each")


def test_a_forgotten_visit_is_put_together_from_what_its_page_shows(shared):
    shelf = shared.shelves.album(shared.shelves.owner(ADA)).shelf
    first = [
        event.picture for event in made(shared.first_round(Ask("a fox", "0-3", num_inference_steps=1), shelf=shelf))
    ]
    second = [event.picture for event in made(shared.second_round(first[2], [", neon"], shelf=shelf))]
    here = {
        "token": ADA,
        "rounds": [first[0].id, second[0].id],
        "shown": second[0].id,
        "pick": first[2].id,
        "model": shared.models.default,
    }
    visit = Visits(shared).of(here, "a page")
    assert [sheet.round.number for sheet in visit.rounds] == [1, 2]
    assert visit.shown is visit.rounds[1]
    assert visit.pick.id == first[2].id
    assert visit.shelf(shared.shelves) is shelf
    # Another's token finds another shelf, and none of these pictures.
    visits = Visits(shared)
    other = visits.of(here | {"token": "f" * 32}, "a page")
    assert (other.rounds, other.pick) == ([], None)
    assert other.shelf(shared.shelves) is not shelf
    assert visits.of(here, "a page").pick.id == first[2].id  # who sends the session of a page must have its token
    assert visits.of({"token": ADA}, "a page").pick.id == first[2].id  # what is known is not asked again
    # The browser may say anything.
    for odd in ({}, [], None, 7, "x", [None, 7, {}, [], "x", "0" * 16, "../x"]):
        visit = Visits(shared).of({"token": ADA, "rounds": odd, "shown": odd, "pick": odd, "model": odd}, "a page")
        assert visit.rounds == []
        assert panels.looked(visit, shared)["gallery"] == []
    for odd in (None, [], "x", 7, {"token": "x"}):
        with pytest.raises(UserError, match=RESTARTED):
            Visits(shared).of(odd, "a page")


def test_a_forgotten_visit_is_not_given_another_model_than_its_page_shows(shared):
    handlers, visits, here = Handlers(shared, Player(shared)), Visits(shared), SimpleNamespace(session_hash="a page")

    def asked(visit):
        """What the form of that page asks for."""
        return handlers.first_round(visit, Ask("a fox", "0", num_inference_steps=1, model=visit.model), here)

    with pytest.raises(UserError, match="local:another is a folder or file of another start"):
        next(asked(visits.of({"token": ADA, "model": "local:another"}, "a page")))
    *_, last = asked(visits.of({"token": ADA, "model": shared.models.default}, "another page"))
    assert "1 picture" in last["status"]


def test_many_visits_are_kept_in_bounds_and_a_dropped_one_comes_back(shared, monkeypatch):
    monkeypatch.setattr("pipeline_utils.page.visitor.visits._KEPT", 3)
    shelf = shared.shelves.album(shared.shelves.owner(ADA)).shelf
    first = [event.picture for event in made(shared.first_round(Ask("a fox", "0", num_inference_steps=1), shelf=shelf))]
    visits = Visits(shared)
    visit = visits.of({"token": ADA}, "a page")
    choose(visit, visit.album(shared.shelves), first[0].id)
    for number in range(5):
        visits.of({"token": ADA}, f"page {number}")
    again = visits.of({"token": ADA, "rounds": [first[0].id], "shown": first[0].id, "pick": first[0].id}, "a page")
    assert again is not visit
    assert again.pick == visit.pick
