"""Stop is always heard, and who has left keeps nothing running."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import pytest
from playwright.sync_api import expect

from tests.browser import PATIENCE, Visitor
from tests.running import App
from tests.wire import Wire

CLIENT = """
import sys
from gradio_client import Client
client = Client(sys.argv[1], verbose=False)
job = client.submit("a red fox", "0-63", num_inference_steps=400, api_name="/first_round")
print("asked", flush=True)
if sys.argv[2] == "cancel":
    sys.stdin.readline()
    job.cancel()
    print("cancelled", flush=True)
    sys.stdin.readline()
job.result()
"""


def test_stop_is_heard_with_many_tabs_of_one_browser_open(visitors):
    """A browser keeps six connections to a server: with as many tabs, with fewer and with more."""
    first = visitors()
    others: list[Visitor] = []
    for tabs in (5, 6, 8):
        while len(others) < tabs - 1:
            other = Visitor(first.page.context.new_page(), first.app)
            other.page.goto(first.app.url)
            expect(other.prompt).to_be_visible(timeout=60_000)
            others.append(other)
        first.page.bring_to_front()
        first.ask("a red fox", "0-63", steps=400)
        expect(first.status).to_contain_text(re.compile(r"Step \d+"), timeout=PATIENCE)
        first.stop.click()
        expect(first.status).to_contain_text("Stopped before the first picture", timeout=PATIENCE)
        others[-1].page.bring_to_front()
        others[-1].ask("a blue cup", "0", steps=2)
        others[-1].expect_done(1)


def test_a_page_keeps_no_connection_open_while_nothing_runs(visitor):
    visitor.ask("a red fox", "0", steps=2)
    visitor.expect_done(1)
    begun, ended = [], []
    visitor.page.on("request", lambda request: begun.append(request))
    visitor.page.on("requestfinished", lambda request: ended.append(request))
    visitor.page.on("requestfailed", lambda request: ended.append(request))
    visitor.page.reload()
    expect(visitor.tiles).to_have_count(1)
    until = time.monotonic() + 30
    while (time.monotonic() < until and not begun) or set(begun) - set(ended):
        assert time.monotonic() < until, [request.url for request in begun if request not in ended]
        visitor.page.evaluate("1")
    assert any("gradio_api" in request.url for request in begun)


def cpu_rests(app: App) -> bool:
    """Does the app stop working? A round keeps it busy all the time."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if app.process.cpu_percent(0.5) < 20 and app.process.cpu_percent(1.0) < 20:
            return True
    return False


def wait_until_busy(app: App) -> None:
    until = time.monotonic() + 60
    while app.process.cpu_percent(0.5) < 40:
        assert time.monotonic() < until, "the round never began"


@pytest.mark.parametrize("how", ["kill", "cancel"])
def test_a_round_of_a_program_that_was_killed_or_that_cancels_ends(app, how):
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, app.url, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "asked\n"
        wait_until_busy(app)
        if how == "kill":
            process.kill()
        else:
            process.stdin.write("now\n")
            process.stdin.flush()
            assert process.stdout.readline() == "cancelled\n"
        assert cpu_rests(app)
    finally:
        process.kill()
        process.wait()


def test_a_round_of_a_bare_http_client_that_drops_the_connection_ends(app):
    body = json.dumps({"data": ["a red fox", "0-63", "", 400, *[None] * 5, False]}).encode()
    call = app.url + "/gradio_api/call/first_round"
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(call, body, headers), timeout=60) as answer:
        event = json.load(answer)["event_id"]
    stream = urllib.request.urlopen(f"{call}/{event}", timeout=60)
    wait_until_busy(app)
    stream.close()
    assert cpu_rests(app)


def test_a_round_whose_page_is_closed_ends(visitors, app):
    visitor = visitors()
    visitor.ask("a red fox", "0-63", steps=400)
    expect(visitor.status).to_contain_text(re.compile(r"Step \d+"), timeout=PATIENCE)
    visitor.page.close()
    assert cpu_rests(app)


def test_a_page_whose_stream_broke_can_download_its_pictures_and_make_more(app):
    wire = Wire(app, "broken0001")
    fields = ["", 100, *[None] * 4, False]
    wire.join("page_first_round", [None, "a red fox", "0-63", *fields])
    with closing(wire.messages()) as messages:
        assert any(re.search(r"seed-\d+_round-1_red_\w+\.png", json.dumps(message)) for message in messages)
    assert cpu_rests(app)
    assert wire.send("page_zip_button", [None])["success"]
    assert wire.send("page_first_round", [None, "a blue cup", "0", "", 2, *fields[2:]])["success"]
