"""A server of OpenAI's chat completions, on a loopback port, that says what it is told to.

Each request gets the script of its seed, so that concurrent paths get theirs whatever the order,
or the first; one that shows responses and asks for a choice gets the script of the choice.
"""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHOOSING = "Select the most consistent response"


@dataclass(frozen=True)
class Says:
    """An answer, word by word, with its tokens; `then` is what happens after its words.

    `then` is `stop` (it ends), `hang` (nothing more comes until the client has gone), `break` (the
    connection ends in the middle) or `garbage` (an event that is no JSON).
    """

    text: str
    then: str = "stop"
    calls: Sequence[dict[str, Any]] = ()  # pieces of calls of tools, after the words


@dataclass(frozen=True)
class Refuses:
    """An answer with an error status."""

    status: int


@dataclass
class Scripted:
    """What the server says, and what it saw.

    Attributes:
        paths: scripts by seed.
        choice: script of the choice.
        url: base URL.
        requests: bodies, in the order in which they came.
        left: seeds of requests whose client went before the end.
        waiting: released by each request that begins to hang.
    """

    paths: Sequence[Says | Refuses]
    choice: Says | Refuses
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    left: list[int | None] = field(default_factory=list)
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    gone: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def sampled(self) -> list[dict[str, Any]]:
        """Requests for paths."""
        return [body for body in self.requests if not chooses(body)]

    def choices(self) -> list[dict[str, Any]]:
        """Requests for a choice."""
        return [body for body in self.requests if chooses(body)]


def chooses(body: dict[str, Any]) -> bool:
    """Whether a request asks for a choice."""
    return CHOOSING in json.dumps(body["messages"][-1]["content"])


@contextmanager
def serving(paths: Sequence[Says | Refuses], choice: Says | Refuses) -> Iterator[Scripted]:
    """A server with its scripts, as long as the block runs; the block ends when requests have."""
    script = Scripted(paths, choice)
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.requests.append(body)
            says = script.choice if chooses(body) else script.paths[body.get("seed") or 0]
            if isinstance(says, Refuses):
                self.refuse(says.status)
            else:
                self.write(says, body)

        def refuse(self, status: int) -> None:
            data = json.dumps({"error": {"message": "so it is"}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def write(self, says: Says, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            words = says.text.split(" ") if says.text else []
            for at, word in enumerate(words):
                self.event(choice={"delta": {"content": f"{' ' if at else ''}{word}"}})
            for piece in says.calls:
                self.event(choice={"delta": {"tool_calls": [piece]}})
            if says.then == "hang":
                self.hang(body.get("seed"))
            elif says.then == "garbage":
                self.chunk(b"data: {no json\n\n")
                self.chunk(b"")
            elif says.then == "stop":
                reason = "tool_calls" if says.calls else "stop"
                self.event(choice={"delta": {}, "finish_reason": reason})
                if body.get("stream_options", {}).get("include_usage"):
                    self.event(usage={"prompt_tokens": 100, "completion_tokens": len(words)})
                self.chunk(b"data: [DONE]\n\n")
                self.chunk(b"")
            self.close_connection = True

        def hang(self, seed: int | None) -> None:
            """Until the client closes its side, which makes the connection readable."""
            script.waiting.release()
            while not over.is_set():
                if select.select([self.connection], [], [], 0.02)[0]:
                    script.left.append(seed)
                    script.gone.release()
                    return

        def event(self, choice: dict[str, Any] | None = None, **more: Any) -> None:
            choices = [{"index": 0, "finish_reason": None, **choice}] if choice else []
            if "usage" in more:
                more["usage"]["total_tokens"] = sum(more["usage"].values())
            data = {
                "id": "x",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": choices,
                **more,
            }
            self.chunk(f"data: {json.dumps(data)}\n\n".encode())

        def chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, *_: object) -> None:
            """A client that has gone is no error of the server's."""

    with Server(("127.0.0.1", 0), Handler) as http:
        script.url = f"http://127.0.0.1:{http.server_port}/v1"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield script
        finally:
            over.set()
            http.shutdown()
            thread.join()
