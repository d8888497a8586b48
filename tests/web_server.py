"""A real HTTP server on a loopback port, with scripted replies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """A reply; with an `etag`, a request for this version gets 304."""

    body: bytes = b""
    content_type: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    write: Callable[[Any], object] | None = None  # instead of the body, given the raw stream


@dataclass
class Web:
    """The server: its pages by path, and the requests so far."""

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)  # path and status
    agents: list[str] = field(default_factory=list)


@contextmanager
def web_server() -> Iterator[Web]:
    """Serve the pages of a `Web` during the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = web.pages.get(self.path, Page(status=404))
            status = page.status
            if page.etag and self.headers["If-None-Match"] == page.etag:
                status = 304
            web.requests.append((self.path, status))
            web.agents.append(self.headers["User-Agent"])
            self.send_response(status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            if page.content_type:
                self.send_header("Content-Type", page.content_type)
            if page.etag:
                self.send_header("ETag", page.etag)
            body = b"" if status == 304 else page.body
            if page.write is None and "Content-Length" not in page.headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                if page.write is not None:
                    page.write(self.wfile)
                else:
                    self.wfile.write(body)
            except OSError:
                pass  # the client has hung up

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
