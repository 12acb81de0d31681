"""A small model hub on 127.0.0.1 that speaks enough of the hub's HTTP for its real client library.

Repositories are folders: `root`/owner/name at COMMIT, and `root`/owner/name@commit at others. A file
`root`/owner/name.main names the newest commit, COMMIT without one. Every path that was asked for is a line of
`root`/asked.txt. Names that begin with "gated", "absent", "broken" or
"silent" are answered as the hub answers for such models.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_REFUSALS = {  # (status, X-Error-Code) by the beginning of the owner's name
    "gated": (403, "GatedRepo"),
    "absent": (404, "RepoNotFound"),
    "private": (401, "RepoNotFound"),
    "broken": (500, ""),
}


@contextmanager
def hub(root: Path) -> Iterator[str]:
    """Serves the repositories under `root`; yields the endpoint, such as http://127.0.0.1:34567."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = unquote(urlsplit(self.path).path).strip("/")
            with (root / "asked.txt").open("a") as log:
                log.write(f"{self.command} {path}\n")
            parts = path.split("/")
            api = parts[:2] == ["api", "models"]
            owner, name, *rest = parts[2:] if api else parts
            if owner.startswith("silent"):
                self.close_connection = True
                return
            for beginning, (status, code) in _REFUSALS.items():
                if owner.startswith(beginning):
                    self._answer(status, b"", {"X-Error-Code": code, "X-Error-Message": code})
                    return
            main = root / owner / f"{name}.main"
            revision = rest[1] if len(rest) > 1 else "main"
            commit = revision if revision != "main" else main.read_text() if main.is_file() else COMMIT
            repo = root / owner / (name if commit == COMMIT else f"{name}@{commit}")
            if revision != "main" and not repo.is_dir():
                self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
                return
            files = sorted(p for p in repo.rglob("*") if p.is_file())
            if not api:
                self._file(repo / "/".join(rest[2:]), commit)
            elif rest[:1] == ["tree"]:
                self._answer(200, json.dumps([self._entry(repo, file) for file in files]).encode())
            else:
                siblings = [{"rfilename": file.relative_to(repo).as_posix()} for file in files]
                body = {"_id": "1", "id": f"{owner}/{name}", "sha": commit, "siblings": siblings, "tags": []}
                self._answer(200, json.dumps(body).encode())

        def _entry(self, repo: Path, file: Path) -> dict:
            name, size = file.relative_to(repo).as_posix(), file.stat().st_size
            return {"type": "file", "path": name, "size": size, "oid": self._etag(file)}

        def _file(self, file: Path, commit: str) -> None:
            if file.is_file():
                self._answer(200, file.read_bytes(), {"X-Repo-Commit": commit, "ETag": f'"{self._etag(file)}"'})
            else:
                self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})

        def _etag(self, file: Path) -> str:
            return hashlib.sha1(file.read_bytes()).hexdigest()

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
