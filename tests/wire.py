"""The protocol of the page, spoken without a browser."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing

from tests.running import App


class Wire:
    """A client that speaks the page's own protocol, with whatever data it likes."""

    def __init__(self, app: App, session: str) -> None:
        self.base, self.session = app.url + "/gradio_api/", session
        with urllib.request.urlopen(app.url + "/config", timeout=30) as answer:
            config = json.load(answer)
        self.functions = {each["api_name"]: each for each in config["dependencies"]}

    def send(self, function: str, data: list, event: object = None) -> dict:
        """Calls an event of the page; the last message about it: {"success": ..., "output": ...}."""
        try:
            self.join(function, data, event)
        except urllib.error.HTTPError as error:
            return {"success": False, "output": {"error": error.read().decode()}}
        with closing(self.messages()) as messages:
            for message in messages:
                if message["msg"] == "process_completed":
                    return message
        raise AssertionError("the server closed the stream early")

    def join(self, function: str, data: list, event: object = None) -> None:
        """Asks for an event of the page, whose messages are still to be read."""
        body = {
            "fn_index": self.functions[function]["id"],
            "data": data,
            "event_data": event,
            "session_hash": self.session,
        }
        request = urllib.request.Request(
            self.base + "queue/join", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=30).close()

    def messages(self) -> Iterator[dict]:
        """What is told to this session. Closing the iterator drops the connection."""
        with urllib.request.urlopen(self.base + f"queue/data?session_hash={self.session}", timeout=120) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])
