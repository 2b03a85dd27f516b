"""A server that answers huggingface_hub as Hugging Face does, with files of directories; it notes what is taken."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(models: Mapping[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the list to which it adds every file that is fetched, with the bytes if not all."""
    taken: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlparse(self.path).path
            for name, directory in models.items():
                files = sorted(p for p in directory.rglob("*") if p.is_file())
                names = [p.relative_to(directory).as_posix() for p in files]
                if path.startswith(f"/api/models/{name}/revision/") and path.endswith(("/main", COMMIT)):
                    about = {"id": name, "modelId": name, "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}
                    return self._json({**about, "tags": [], "private": False, "downloads": 0, "likes": 0})
                if path.startswith(f"/api/models/{name}/tree/"):
                    sizes = zip(names, files, strict=True)
                    return self._json(
                        [{"type": "file", "path": n, "size": p.stat().st_size, "oid": _hash(p)} for n, p in sizes]
                    )
                if path.startswith(f"/{name}/resolve/"):
                    file = path.removeprefix(f"/{name}/resolve/").partition("/")[2]
                    if file in names:
                        return self._file(directory / file, file)
                    return self._missing("EntryNotFound")
                if path.startswith(f"/api/models/{name}/revision/"):
                    return self._missing("RevisionNotFound")
            return self._missing("RepoNotFound")

        def do_HEAD(self) -> None:
            self.do_GET()

        def _json(self, value: Any) -> None:
            self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _file(self, path: Path, name: str) -> None:
            asked = self.headers.get("Range", "")
            if self.command == "GET":
                taken.append(f"{name} {asked}".strip())
            content, about = path.read_bytes(), {"ETag": f'"{_hash(path)}"', "X-Repo-Commit": COMMIT}
            if asked:
                first, last = map(int, asked.removeprefix("bytes=").split("-"))
                part = content[first : last + 1]
                about["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
                self._send(part, about, 206)
            else:
                self._send(content, about)

        def _send(self, content: bytes, headers: Mapping[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def _missing(self, kind: str) -> None:
            self._send(b"{}", {"X-Error-Code": kind, "X-Error-Message": "no"}, 404)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _hash(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
