"""Visitors of a shared host in real browsers: whose the pictures are."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from pipeline_utils.picture.picture import read
from tests.wire import Wire

STYLED = ["control · equal to the pick", re.compile(r"^\s*neon · (kept|drifted|another picture)\s*$")]


def test_on_a_shared_host_nobody_sees_anothers_pictures_by_any_way(own):
    app = own.app(HOST="0.0.0.0")
    root = own.data / "pictures"
    ada, ben = own.visit(app), own.visit(app)
    ada.make_two_rounds()
    ben.make_two_rounds("a blue cup")
    (first,) = {path.parent for path in root.glob("*/*.png") if read(path).picture.recipe.prompt.startswith("a red")}
    assert len(list(root.glob("*/*.png"))) == 12
    assert list(root.glob("*.png")) == []
    # 1. Neither in the tree nor on the shelf, and each keeps their own over a reload.
    for visitor, mine, other in ((ada, "a red fox", "a blue cup"), (ben, "a blue cup", "a red fox")):
        visitor.page.reload()
        expect(visitor.captions).to_have_text(STYLED, timeout=60_000)
        for name in ("Tree", "Shelf"):
            visitor.tab(name).click()
            panel = visitor.page.locator(f"#{name.lower()}")
            expect(panel.locator("img")).to_have_count(6)
            expect(panel).to_contain_text(mine)
            expect(panel).not_to_contain_text(other)
    # 2. The token is in no address, file or log.
    token = ada.page.evaluate("localStorage.getItem('second-round-visitor')")
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert token not in ada.page.content()
    assert token not in app.log()
    for path in first.rglob("*"):
        assert token not in str(path)
        assert path.is_dir() or token.encode() not in path.read_bytes()
    # 3. A client with ids, paths and folder names of Ada, but not her token.
    theirs = [path.name[-20:-4] for path in first.glob("*.png")]
    mallory = Wire(app, "mallory00001")
    # With a token of their own, and Ada's ids as what their page is said to show.
    here = {"token": "0" * 32, "rounds": theirs, "shown": theirs[0], "pick": theirs[0]}

    def refused(function: str, data: list, event: object) -> None:
        answer = mallory.send(function, data, event)
        assert not answer["success"], (function, event)
        assert "fox" not in str(answer)

    for forged in (first.name, first.name[2:], token.upper(), f"../{first.name}", [token], {"token": token}, None, 7):
        mallory = Wire(app, f"mallory{abs(hash(str(forged))):09d}")
        for data in ({"token": forged}, here | {"token": forged}):
            for function, more in (("arrive", [True, None]), ("shelf", ["", "", "", False, 60]), ("tree", [240])):
                answer = mallory.send(f"page_{function}", [data, *more])
                assert "fox" not in str(answer)
                if forged == first.name[2:]:  # it could be a token, of a shelf that nobody has
                    assert answer["success"]
                else:
                    assert answer["output"]["error"] == "The app was restarted: reload the page."
    for picture in (*theirs, first.name + "/" + theirs[0], "../" + theirs[0], "*", None, 7, [theirs[0]], {}):
        refused("page_tree_choose", [here], {"id": picture})
        refused("page_shelf_choose", [here], {"id": picture})
        refused("page_shelf_star", [here], {"id": picture, "on": True})
        refused("page_shelf_pack", [here], {"ids": [picture]})
        refused("page_shelf_remove", [here, "", "", "", False, 60], {"ids": [picture]})
    refused("page_next_round", [here, [", neon"], False], None)
    refused("page_zip_button", [here], None)
    with ada.page.expect_request(re.compile("/run/|/queue/join")) as sent:
        ada.tab("Tree").click()
    mallory = Wire(app, sent.value.post_data_json["session_hash"])  # to know the session of a page is not enough
    assert "No pictures yet" in str(mallory.send("page_shelf", [here, "", "", "", False, 60]))
    for event in (None, {}, [], {"ids": []}, {"ids": theirs[0]}, {"ids": theirs * 1000}, {"ids": [["x"]]}):
        refused("page_shelf_pack", [here], event)
    for function in ("first_round", "second_round"):
        assert function in mallory.functions
    refused("second_round", [theirs[0], [", neon"], False], None)
    refused("verify", [theirs[0], False], None)
    # Their own folder name tells nobody the token: a browser without one has a visit of its own.
    assert len(list(first.glob("*.png"))) == 6
    assert "An event of the page failed" not in app.log()
    assert "Traceback" not in app.log()
