"""A model hub on localhost: the requests that huggingface_hub makes for a snapshot, answered from a folder."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLOSED = "http://127.0.0.1:9"
"""An endpoint where nobody listens."""


@dataclass
class FakeHub:
    """One model at one commit, which the branch `main` names. ``asked`` are the paths of all requests."""

    endpoint: str
    model: str
    folder: Path
    asked: list[str] = field(default_factory=list)
    damaged: dict[str, bytes] = field(default_factory=dict)
    """Files of which other bytes are sent than the checksum says."""

    def names(self) -> list[str]:
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())

    def entry(self, name: str) -> dict[str, Any]:
        """A file as the tree lists it: large files by sha256, small ones by Git's sha1."""
        content = (self.folder / name).read_bytes()
        about: dict[str, Any] = {"type": "file", "path": name, "size": len(content)}
        git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        if name.endswith((".safetensors", ".bin")):
            sha256 = hashlib.sha256(content).hexdigest()
            return about | {"oid": git, "lfs": {"oid": sha256, "size": len(content), "pointerSize": 134}}
        return about | {"oid": git}

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for the path of a request."""
        self.asked.append(path)
        api, resolve = f"/api/models/{self.model}", f"/{self.model}/resolve/"
        if path.startswith(f"{api}/tree/"):
            return 200, {}, json.dumps([self.entry(name) for name in self.names()]).encode()
        if path == api or path.startswith(f"{api}/revision/"):
            if path.rpartition("/")[2] not in (self.model.rpartition("/")[2], "main", COMMIT):
                return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
            siblings = [{"rfilename": name} for name in self.names()]
            return 200, {}, json.dumps({"id": self.model, "sha": COMMIT, "siblings": siblings}).encode()
        name = path.removeprefix(resolve).partition("/")[2] if path.startswith(resolve) else ""
        if not name or not (self.folder / name).is_file():
            return 404, {"X-Error-Code": "EntryNotFound" if name else "RepoNotFound"}, b"{}"
        entry = self.entry(name)
        content = self.damaged.get(name, (self.folder / name).read_bytes())
        etag = entry.get("lfs", entry)["oid"]
        return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, content


@contextmanager
def fake_hub(folder: Path, model: str = "shop/tiny") -> Iterator[FakeHub]:
    """Serve ``folder`` as ``model`` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send(body=True)

        def do_HEAD(self) -> None:
            self.send(body=False)

        def send(self, *, body: bool) -> None:
            status, headers, content = hub.answer(unquote(urlparse(self.path).path))
            self.send_response(status)
            for key, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = FakeHub(f"http://127.0.0.1:{server.server_port}", model, folder)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
