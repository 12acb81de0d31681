"""Who may send what to the app: names, pages of other sites, sizes, headers. Over raw HTTP and in a browser."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import pytest
from gradio.routes import App as GradioApp
from gradio_client import Client
from playwright.sync_api import Browser, expect
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from pipeline_utils.page.edge import MAX_UPLOAD, Guard
from pipeline_utils.settings import Settings, parse

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\nnothing\r\n--x--\r\n"
)
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
JOIN = b'{"fn_index": 0, "data": [], "session_hash": "stranger001"}'


def ask(
    app, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(urlsplit(app.url).netloc, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, text, answer.headers


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7860",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "localhost.evil.example",
        "192.168.1.5",
        "",
        "[::1",
        "a b",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/queue/join")])
def test_a_local_app_answers_to_its_own_names_only(app, host, method, path):
    status, text, _ = ask(app, method, path, Host=host)
    assert status == 403
    assert "--allowed-hosts" in text
    assert "Second Round" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "LOCALHOST.", "[::1]:80", "app.localhost", "127.8.8.8"])
def test_every_name_of_this_machine_is_one_of_the_apps(app, host):
    assert ask(app, "GET", "/", Host=host)[0] == 200


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
@pytest.mark.parametrize(
    ("path", "body"), [("/gradio_api/upload", FORM), ("/gradio_api/queue/join", JOIN), ("/gradio_api/reset", JOIN)]
)
def test_a_page_of_another_site_changes_nothing(app, said, path, body):
    kind = {"Content_Type": MULTIPART["Content-Type"] if path.endswith("upload") else "text/plain"}
    status, text, _ = ask(app, "POST", path, body, **kind, **said)
    assert (status, text.startswith("A page of another site")) == (403, True)


def test_a_page_of_another_site_reads_nothing_of_a_local_app_but_may_lead_to_it(app):
    stranger = {"Sec_Fetch_Site": "cross-site"}
    assert ask(app, "GET", "/config", Sec_Fetch_Mode="cors", Origin="https://evil.example", **stranger)[0] == 403
    assert ask(app, "GET", "/gradio_api/heartbeat/x1", Sec_Fetch_Mode="no-cors", **stranger)[0] == 403
    assert ask(app, "GET", "/", Sec_Fetch_Mode="navigate", **stranger)[0] == 200


def test_the_own_page_and_programs_are_let_through(app):
    own = {"Origin": app.url, "Sec_Fetch_Site": "same-origin"}
    for said in ({}, own, {"Origin": app.url}, {"Origin": "https://example.org", "Sec_Fetch_Site": "same-origin"}):
        status, text, _ = ask(app, "POST", "/gradio_api/upload", FORM, Content_Type=MULTIPART["Content-Type"], **said)
        assert (status, "a.png" in text) == (200, True), said
    assert Client(app.url, verbose=False).view_api(return_format="dict", print_info=False)["named_endpoints"]


def test_every_answer_says_how_a_browser_is_to_take_it(app):
    for path in ("/", "/config", "/gradio_api/info", "/theme.css", "/nowhere"):
        headers = ask(app, "GET", path)[2]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "frame-ancestors 'self' https://huggingface.co" in headers.get_all("Content-Security-Policy")
    refused = ask(app, "GET", "/", Host="evil.example")[2]
    assert refused["X-Content-Type-Options"] == "nosniff"


def guarded(settings: Settings, place: Path, monkeypatch) -> GradioApp:
    """Gradio's own server with the guard of these settings, its uploads in `place`."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(place))
    with gr.Blocks() as demo:
        gr.Textbox()
    demo.max_file_size = MAX_UPLOAD  # as launch sets it
    return GradioApp.create_app(demo, app_kwargs={"middleware": [Middleware(Guard, settings=settings)]})


@pytest.mark.parametrize(
    ("argv", "host", "status"),
    [
        (["--host", "0.0.0.0"], "anything.example", 200),
        (["--host", "192.168.1.5"], "192.168.1.5", 200),
        (["--host", "0.0.0.0", "--allowed-hosts", "app.example"], "app.example", 200),
        (["--host", "0.0.0.0", "--allowed-hosts", "app.example"], "evil.example", 403),
        (["--allowed-hosts", "app.example,*.b.example"], "app.example:8000", 200),
        (["--allowed-hosts", "app.example,*.b.example"], "a.b.example", 200),
        (["--allowed-hosts", "app.example,*.b.example"], "b.example.evil.example", 403),
        (["--allowed-hosts", "*"], "anything.example", 200),
        (["--share"], "0123456789abcdef.gradio.live", 200),
        (["--share"], "evil.example", 403),
        ([], "0123456789abcdef.gradio.live", 403),
    ],
)
def test_other_names_are_a_matter_of_the_settings(argv, host, status, tmp_path, monkeypatch):
    client = TestClient(guarded(parse(argv, {}), tmp_path, monkeypatch))
    assert client.get("/config", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("argv", "origin", "status"),
    [
        ([], "https://app.example", 403),
        (["--allowed-hosts", "app.example"], "https://app.example", 200),
        (["--host", "0.0.0.0"], "https://app.example", 403),
        (["--host", "0.0.0.0"], "http://127.0.0.1:7860", 200),
    ],
)
def test_pages_of_other_sites_are_let_in_by_name(argv, origin, status, tmp_path, monkeypatch):
    client = TestClient(guarded(parse(argv, {}), tmp_path, monkeypatch))
    headers = {"Host": "127.0.0.1:7860", "Origin": origin} | MULTIPART
    assert client.post("/gradio_api/upload", content=FORM, headers=headers).status_code == status


def chunks(size: int) -> Iterator[bytes]:
    """Files of 40 MB, `size` bytes in all."""
    head = FORM[: FORM.index(b"nothing")]
    for _ in range(size // (40 * 2**20)):
        yield head
        yield from [bytes(2**20)] * 40
        yield b"\r\n"
    yield b"--x--\r\n"


@pytest.mark.parametrize("declared", [True, False])
def test_files_of_one_request_are_bounded_together_and_none_is_kept(app, tmp_path, monkeypatch, declared):
    client = TestClient(guarded(Settings(), tmp_path, monkeypatch), base_url="http://127.0.0.1")
    content = b"".join(chunks(80 * 2**20)) if declared else chunks(80 * 2**20)
    answer = client.post("/gradio_api/upload", content=content, headers=MULTIPART)
    assert answer.status_code == 413
    assert "maximum allowed size" in answer.text
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    # The same over a real connection: an answer, not a connection that is cut.
    status, text, _ = ask(
        app, "POST", "/gradio_api/upload", b"".join(chunks(80 * 2**20)), **{"Content_Type": MULTIPART["Content-Type"]}
    )
    assert (status, "maximum allowed size" in text) == (413, True)


def test_one_picture_of_the_largest_size_is_let_through(tmp_path, monkeypatch):
    client = TestClient(guarded(Settings(), tmp_path, monkeypatch), base_url="http://127.0.0.1")
    largest = FORM.replace(b"nothing", bytes(MAX_UPLOAD - 1000))
    assert client.post("/gradio_api/upload", content=largest, headers=MULTIPART).status_code == 200


def test_what_is_no_upload_is_small(app):
    large = b'{"fn_index": 0, "session_hash": "large00001", "data": ["' + b"x" * 9 * 2**20 + b'"]}'
    status, text, _ = ask(app, "POST", "/gradio_api/queue/join", large, Content_Type="application/json")
    assert (status, "maximum allowed size of 8 MB" in text) == (413, True)


def test_an_upload_that_is_broken_off_leaves_nothing(tmp_path, monkeypatch):
    app = guarded(Settings(), tmp_path, monkeypatch)
    messages = iter([{"type": "http.request", "body": FORM[:-20], "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict:
        return next(messages)

    async def send(_: dict) -> None: ...

    headers = [(b"host", b"localhost"), (b"content-type", MULTIPART["Content-Type"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": headers, "query_string": b""}
    scope |= {"http_version": "1.1", "scheme": "http", "root_path": "", "raw_path": b""}
    with ThreadPoolExecutor() as aside:  # this thread may have a loop already, the browser's
        aside.submit(asyncio.run, app(scope, receive, send)).result()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_form_on_a_page_elsewhere_uploads_nothing(app, browser: Browser):
    """As a visitor of that page meets it: the browser sends it, and the app refuses."""
    target = f"{app.url}/gradio_api/upload"
    page_text = f"""<form method=post enctype=multipart/form-data action="{target}">
        <input type=hidden name=files value=x><button>Win</button></form>
        <script>fetch("{target}", {{method: "POST", mode: "no-cors", body: new FormData()}})
          .then(() => document.title = "sent", () => document.title = "failed")</script>"""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page_text.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context()
    try:
        for name in ("localhost", "127.0.0.1"):  # another site, and the same site at another port
            page = context.new_page()
            with page.expect_response(target) as quiet:
                page.goto(f"http://{name}:{server.server_port}/")
            assert quiet.value.status == 403
            with page.expect_response(target) as loud:
                page.get_by_role("button", name="Win").click()
            assert loud.value.status == 403
            expect(page.locator("body")).to_contain_text("A page of another site sent this")
            page.close()
    finally:
        context.close()
        server.shutdown()
