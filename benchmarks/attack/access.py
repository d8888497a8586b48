"""Compare the server of a user with one that holds only the documents that the user may see.

    python benchmarks/attack/access.py --checks 10000

Each round makes up documents with access labels (texts, subtitles and recordings, each with words
of its own in title, text, path, metadata and speakers) and users with labels. Every operation of
the OpenAPI description, `/mcp` and the WebSocket are called for visible, hidden and missing
documents, on the server of all documents and on an oracle: a server of the visible ones. A check is
one pair of replies: same status and headers, same body apart from times, scores and generated ids,
and no word of a hidden document. An operation without a check is a fault, and so is a hidden
document that has changed.

Prints the number of checks and of leaks by operation; the exit status is 1 if there is a leak.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
import shutil
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from wavrag import KnowledgeBase, WavRAG
from wavrag.audio import encode
from wavrag.disk import dump_json
from wavrag.embed import FakeEmbedder
from wavrag.generate import FakeGenerator
from wavrag.integrations.mcp.results import document_uri
from wavrag.kb import find_files
from wavrag.server import ServerOptions, TokenFile, create_app
from wavrag.server.jobs import JobOptions, Upload
from wavrag.server.state import ServerState
from wavrag.server.uploaded_files import UploadedFile
from wavrag.store import LanceStore, MemoryStore, Store, VisibleStore
from wavrag.types import Clip, Document

LABELS = ("hr", "legal", "board", "sales")
COMMON = "the ferry leaves at nine and carries dogs for free while bees dance at noon".split()
RATE = 16_000
STORE = "/v1/vector_stores/{vector_store_id}"
STORE_FILES = f"{STORE}/files"
OTHER_FILE = f"upload-{'0' * 32}"  # of another user, on one of the servers only
MISSING_JOB = "1790000000000000-0123456789abcdef"
# Values that differ between two servers of the same documents. Scores: BM25 weighs words by their
# frequency in all documents, see SECURITY.md.
VOLATILE = frozenset({
    "timings_ms", "created", "created_at", "last_active_at", "ended", "score", "legs", "rank",
    "probability", "modified", "date",
})  # fmt: skip
EXACT_HEADERS = ("content-type", "cache-control", "www-authenticate", "content-disposition")
ASKING = "answer"  # checks whose order of hits may differ: their words are compared


@dataclass(frozen=True)
class Call:
    """A request, and how its two replies are compared: `same`, `set` of hits, or `answer`."""

    operation: str  # method and path of the OpenAPI description
    path: str
    mode: str = "same"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A made-up document."""

    document: Document
    words: frozenset[str]  # that occur in no other document
    body: str  # the one in its text
    labels: frozenset[str]

    @property
    def path(self) -> Path:
        """Its file."""
        assert self.document.path is not None
        return Path(self.document.path)


class Round:
    """Documents, users and servers of one random seed."""

    def __init__(
        self, folder: Path, seed: int, store: Callable[[Path, int], Store], users: int
    ) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self._words = self._make_words()
        self.made = [self._make_document(n) for n in range(self.random.randint(6, 9))]
        self.embedder = FakeEmbedder()
        # The oracle has a store of the same kind: they differ in stemming.
        self.open_store = store
        self.store = store(folder / "store", self.embedder.spec.dim)
        self.kb = KnowledgeBase(folder / "whole", self.embedder, self.store)
        self.kb.directory.mkdir()
        report = self.kb.add([made.document for made in self.made])
        assert not report.skipped, report.skipped
        for made in self.made:
            if made.path.suffix == ".wav":
                self._name_speaker(made)
        self.tokens = TokenFile(folder / "tokens.json")
        self.users = []
        for number in range(users):
            labels = frozenset(self.random.sample(LABELS, self.random.randint(0, 3)))
            token = self.tokens.create(f"user{number}", "write", labels=labels)
            self.users.append((labels, token))

    def _make_words(self) -> Iterator[str]:
        used: set[str] = set()
        while True:
            word = "".join(self.random.choice("bdfgklmnprstvz") + self.random.choice("aeiou")
                           for _ in range(5))  # fmt: skip
            if word not in used:
                used.add(word)
                yield word

    def _make_document(self, number: int) -> Made:
        rng = self.random
        title, body, key, place, name = (next(self._words) for _ in range(5))
        labels = frozenset(rng.sample(LABELS, rng.choice((0, 1, 1, 1, 2))))
        if number < 2:  # at least one that nobody but an administrator sees, and one for all
            labels = frozenset({"nobody"} if number else ())
        folder = self.folder / "files" / place
        folder.mkdir(parents=True)
        common = " ".join(rng.choices(COMMON, k=12))
        kind = rng.choice(("md", "md", "txt", "srt", "wav"))
        path = folder / f"{title}.{kind}"
        text = f"{body.capitalize()} {common}. A {body} dances."
        if kind == "md":
            path.write_text(f"# {title.capitalize()}\n\n## {name.capitalize()} parts\n\n{text}\n")
        elif kind == "srt":
            path.write_text(f"1\n00:00:01,000 --> 00:00:04,000\n{name}: {text}\n")
        elif kind == "wav":
            tone = np.sin(np.arange(2 * RATE) * (0.05 + 0.02 * number)).astype(np.float32)
            path.write_bytes(encode(Clip(0.3 * tone, RATE), "wav"))
        else:
            path.write_text(f"{title}. {text}\n")
        metadata = {key: f"{name} {number}", "year": 2000 + number}
        if labels:
            metadata["access"] = ",".join(sorted(labels))
        (document,) = find_files([path], (), metadata).documents
        if rng.random() < 0.4 and kind != "wav":  # as uploaded by an administrator
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            document = replace(document, id=f"upload-{digest[:32]}")
        return Made(document, frozenset({title, body, key, place, name}), body, labels)

    def _name_speaker(self, made: Made) -> None:
        name = min(made.words).capitalize()
        self.store.upsert([
            replace(record, passage=replace(record.passage, speaker=name))
            for record in self.store.scan([made.document.id])
        ])  # fmt: skip


class Server:
    """An application, and a client of one user."""

    def __init__(self, kb: KnowledgeBase, tokens: Path) -> None:
        options = ServerOptions(token_file=tokens, voice="fake", answer_timeout=60)
        self.app: FastAPI = create_app(WavRAG(kb, FakeGenerator()), options)
        self.folder = str(kb.address)
        self.state: ServerState  # set by start()
        self._stack = AsyncExitStack()
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://server"
        )

    async def start(self) -> None:
        """Start the application, with its endpoint of MCP."""
        await self._stack.enter_async_context(self.app.router.lifespan_context(self.app))
        (self.state,) = self.app.state.collections.states

    async def send(self, call: Call, token: str) -> httpx.Response:
        """Send a request."""
        method = call.operation.partition(" ")[0]
        headers = {"authorization": f"Bearer {token}", **call.options.get("headers", {})}
        options = {**call.options, "headers": headers}
        return await self.http.request(method, call.path, **options)

    async def close(self) -> None:
        """Stop the server."""
        await self.http.aclose()
        await self._stack.aclose()


def document_calls(path: str, hidden_text: str) -> Iterator[Call]:
    """Calls for one document, of each operation."""
    base = f"/v1/documents/{path}"
    route = "/v1/documents/{document_id}"
    yield Call(f"GET {route}", base)
    yield Call(f"GET {route}/text", f"{base}/text")
    yield Call(f"GET {route}/original", f"{base}/original")
    yield Call(f"GET {route}/audio", f"{base}/audio")
    yield Call(f"GET {route}/audio", f"{base}/audio?start=0.5&end=1")
    yield Call(f"GET {route}/audio", f"{base}/audio", options={"headers": {"range": "bytes=0-9"}})
    yield Call(f"GET {route}/transcript", f"{base}/transcript?format=txt")
    yield Call(f"GET {route}/chapters", f"{base}/chapters")
    yield Call(f"GET {route}/summary", f"{base}/summary?quotes=true")
    yield Call(f"GET {route}/speakers", f"{base}/speakers")
    access = {"json": {"labels": []}}
    yield Call(f"PUT {route}/access", f"{base}/access", options=access)
    correction = {"start": 0, "end": 1, "text": hidden_text}
    yield Call(f"PATCH {route}/transcript", f"{base}/transcript", options={"json": correction})
    for remember in (False, True):
        name = {"speaker": "nobody", "name": "Somebody", "remember": remember}
        yield Call(f"PATCH {route}/speakers", f"{base}/speakers", options={"json": name})
    file, route = f"/v1/vector_stores/default/files/{path}", STORE_FILES
    yield Call(f"GET {route}/{{file_id}}", file)
    yield Call(f"GET {route}/{{file_id}}/content", f"{file}/content")
    where = {"where": f"id = '{path}'"}
    yield Call("GET /v1/search", "/v1/search", "set", {"params": {"q": "dances", **where}})
    yield Call("GET /v1/documents", "/v1/documents", options={"params": {"id": path}})


def word_calls(word: str, body: str, folder: str) -> Iterator[Call]:
    """Calls with a word and with one of the text, both also misspelt."""
    misspelt = body[1:]
    params = {"q": misspelt, "k": 100}
    yield Call("GET /v1/search", "/v1/search", "set", {"params": params})
    misspelt = word[:3] + word[4] + word[3] + word[5:]
    for text in (word, misspelt, f"{misspelt} ferry", word[:-1]):
        params = {"q": text, "k": 100}
        yield Call("GET /v1/search", "/v1/search", "set", {"params": params})
    body = {"text": f"What is said about {misspelt}?"}
    yield Call("POST /v1/search", "/v1/search", "set", {"json": {**body, "k": 100}})
    yield Call("POST /v1/ask", "/v1/ask", ASKING, {"json": body})
    yield Call("POST /v1/ask", "/v1/ask", ASKING, {"json": {**body, "stream": True}})
    messages = [{"role": "user", "content": body["text"]}]
    for stream in (False, True):
        chat = {"model": "wavrag", "messages": messages, "stream": stream}
        yield Call("POST /v1/chat/completions", "/v1/chat/completions", ASKING, {"json": chat})
        response = {"model": "wavrag", "input": body["text"], "stream": stream}
        response["include"] = ["file_search_call.results"]
        yield Call("POST /v1/responses", "/v1/responses", ASKING, {"json": response})
    for where in (
        f"title like '%{word}%'",
        f'"{word}" is not null',
        "access.nobody = true",
        "not (access is null)",
        f"source like '%{word}%' or not modality = 'text'",
    ):
        params = {"q": "ferry", "k": 100, "where": where}
        yield Call("GET /v1/search", "/v1/search", "set", {"params": params})
    search = {"query": [misspelt, "ferry"], "max_num_results": 50}
    path = "/v1/vector_stores/default/search"
    yield Call(f"POST {STORE}/search", path, ASKING, {"json": search})
    search["filters"] = {"type": "ne", "key": word, "value": 1}
    yield Call(f"POST {STORE}/search", path, ASKING, {"json": search})
    for params in ({"q": word}, {"folder": folder}, {"kind": "wav"}, {"sort": "folder"}):
        yield Call("GET /v1/documents", "/v1/documents", options={"params": params})
    embedding = {"model": "fake", "input": word}
    yield Call("POST /v1/embeddings", "/v1/embeddings", options={"json": embedding})
    speech = {"model": "voice-fake", "input": word, "response_format": "wav"}
    yield Call("POST /v1/audio/speech", "/v1/audio/speech", options={"json": speech})
    yield Call("DELETE /v1/voices/{name}", f"/v1/voices/{word}")


def mcp_calls(document_id: str, word: str) -> Iterator[Call]:
    """Calls of the Model Context Protocol."""
    uri = document_uri(document_id)
    for method, parameters in (
        ("tools/call", {"name": "search", "arguments": {"query": word, "k": 50}}),
        ("tools/call", {"name": "ask", "arguments": {"question": f"What about {word}?"}}),
        ("tools/call", {"name": "list_documents", "arguments": {}}),
        ("tools/call", {"name": "read_document", "arguments": {"document_id": document_id}}),
        ("tools/call", {"name": "transcript", "arguments": {"document_id": document_id}}),
        ("resources/list", {}),
        ("resources/read", {"uri": uri}),
    ):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        headers = {"accept": "application/json, text/event-stream"}
        exact = "ask" not in str(parameters) and "search" not in str(parameters)
        yield Call(
            "POST /mcp", "/mcp", "same" if exact else ASKING, {"json": body, "headers": headers}
        )


def other_calls(job_id: str) -> Iterator[Call]:
    """Calls without a document."""
    for path in (
        "/v1/voices",
        "/v1/documents",
        "/v1/watch",
        "/v1/models",
        "/v1/files",
        "/v1/vector_stores",
        "/v1/jobs",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/collections",
    ):
        yield Call(f"GET {path}", path)
    yield Call("GET /v1/documents", "/v1/collections/default/documents")
    yield Call("POST /v1/collections", "/v1/collections", options={"json": {"name": "new"}})
    yield Call("DELETE /v1/collections/{name}", "/v1/collections/default")
    yield Call("GET /v1/models/{model}", "/v1/models/fake")
    yield from store_calls(job_id)
    # The questions depend on scores.
    yield Call("GET /v1/suggestions", "/v1/suggestions", ASKING)
    tone = np.sin(np.arange(RATE) * 0.07).astype(np.float32)
    recording = {"audio": ("q.wav", encode(Clip(0.3 * tone, RATE), "wav"))}
    form = {"files": recording, "data": {"k": "100"}}
    yield Call("POST /v1/search", "/v1/search", "set", form)
    form = {"files": {"file": ("q.wav", b"no sound")}, "data": {"model": "whisper-1"}}
    yield Call("POST /v1/audio/transcriptions", "/v1/audio/transcriptions", options=form)
    for job in (job_id, MISSING_JOB):
        yield Call("GET /v1/jobs/{job_id}", f"/v1/jobs/{job}")
        yield Call("POST /v1/jobs/{job_id}/retry", f"/v1/jobs/{job}/retry")
        yield Call("POST /v1/jobs/{job_id}/cancel", f"/v1/jobs/{job}/cancel")
        yield Call("DELETE /v1/jobs/{job_id}", f"/v1/jobs/{job}")


def store_calls(job_id: str) -> Iterator[Call]:
    """Calls of vector stores, and of files, which belong to somebody else."""
    file = {"file": ("q.wav", b"")}
    yield Call("POST /v1/files", "/v1/files", options={"files": file})
    path = f"/v1/files/{OTHER_FILE}"
    yield Call("GET /v1/files/{file_id}", path)
    yield Call("GET /v1/files/{file_id}/content", f"{path}/content")
    yield Call("DELETE /v1/files/{file_id}", path)
    store = "/v1/vector_stores/default"
    yield Call("POST /v1/vector_stores", "/v1/vector_stores", options={"json": {"name": "new"}})
    yield Call(f"GET {STORE}", store)
    yield Call(f"DELETE {STORE}", store)
    yield Call(f"GET {STORE_FILES}", f"{store}/files")
    body = {"file_id": OTHER_FILE}
    yield Call(f"POST {STORE_FILES}", f"{store}/files", options={"json": body})
    batches, path = f"{STORE}/file_batches", f"{store}/file_batches"
    yield Call(f"POST {batches}", path, options={"json": {"files": [body]}})
    for job in (job_id, MISSING_JOB):
        yield Call(f"GET {batches}/{{batch_id}}", f"{path}/{job}")
        yield Call(f"GET {batches}/{{batch_id}}/files", f"{path}/{job}/files")
        yield Call(f"POST {batches}/{{batch_id}}/cancel", f"{path}/{job}/cancel")


def changes(content: bytes, own: str, removed: list[str]) -> Iterator[Call]:
    """Calls that change something: uploads of a document's content, and removals."""
    suffix = ".wav" if content.startswith(b"RIFF") else ".txt"
    for access in (None, own, "public", "nobody"):
        options = {"files": {"file": (f"copy{suffix}", content)}, "params": {"wait": 30}}
        if access is not None:
            options["data"] = {"access": access}
        yield Call("POST /v1/documents", "/v1/documents", options=options)
    for document_id in removed:
        path = f"/v1/documents/{document_id}"
        yield Call("DELETE /v1/documents/{document_id}", path, options={"params": {"wait": 30}})
        path = f"/v1/vector_stores/default/files/{document_id}"
        yield Call(f"DELETE {STORE_FILES}/{{file_id}}", path)


class Comparison:
    """Compares replies, and counts checks and leaks."""

    def __init__(self) -> None:
        self.checks: Counter[str] = Counter()
        self.leaks: list[str] = []

    async def check(
        self, call: Call, whole: Server, oracle: Server, token: str, hidden: frozenset[str]
    ) -> None:
        """Send a request to both servers."""
        replies = await asyncio.gather(*(server.send(call, token) for server in (whole, oracle)))
        self.checks[call.operation] += 1
        texts = [
            normalise(reply, server.folder)
            for reply, server in zip(replies, (whole, oracle), strict=True)
        ]
        heads = [
            (reply.status_code, *(reply.headers.get(name) for name in EXACT_HEADERS))
            for reply in replies
        ]
        request = json.dumps([call.path, call.options], default=repr)
        told = {word for word in hidden if word in replies[0].text.lower() and word not in request}
        if told:
            self._leak(call, f"words of hidden documents: {sorted(told)}", replies)
        elif heads[0] != heads[1]:
            self._leak(call, "other status or headers", replies)
        elif call.mode != ASKING and compared(texts[0], call) != compared(texts[1], call):
            self._leak(call, "another body", replies)

    def record(self, operation: str, problem: str = "") -> None:
        """Count a check that compares something else."""
        self.checks[operation] += 1
        if problem:
            self.leaks.append(f"{operation}: {problem}")

    def _leak(self, call: Call, problem: str, replies: list[httpx.Response]) -> None:
        bodies = "\n  ".join(f"{r.status_code} {r.text[:600]}" for r in replies)
        options = repr(call.options)[:300]
        self.leaks.append(f"{call.operation} {call.path} {options}: {problem}\n  {bodies}")


def normalise(reply: httpx.Response, folder: str) -> Any:
    """The body without what differs between two servers of the same documents."""
    if not reply.headers.get("content-type", "").startswith(("application/json", "text/")):
        return reply.content
    text = reply.text.replace(folder, "KB")
    text = re.sub(r"[0-9]{16}-[0-9a-f]{16}", "JOB", text)
    text = re.sub(r"upload-[0-9a-f]{32}", "UPLOAD", text)
    text = re.sub(r"[0-9a-f]{32}(?=\.)", "FILE", text)
    try:
        return strip(json.loads(text))
    except ValueError:
        return text


def strip(value: Any) -> Any:
    """JSON without volatile values; the report of a job without its seconds."""
    if isinstance(value, dict):
        dropped = VOLATILE | ({"seconds"} if "unchanged" in value else set())
        return {key: strip(item) for key, item in value.items() if key not in dropped}
    return [strip(item) for item in value] if isinstance(value, list) else value


def compared(body: Any, call: Call) -> Any:
    """The body without an order that depends on the weights of words, or on generated ids."""
    if isinstance(body, dict) and body.get("object") == "list":
        rows = sorted(json.dumps(row, sort_keys=True) for row in body["data"])
        return {**body, "data": rows, "first_id": None, "last_id": None}
    if call.mode != "set" or not isinstance(body, dict) or "hits" not in body:
        return body
    hits = [hit for top in body["hits"] for hit in (top, *top.pop("similar", ()))]
    return {**body, "hits": sorted(json.dumps(hit, sort_keys=True) for hit in hits)}


def hide_job(whole: Server, hidden: Made) -> str:
    """Add a failed job of another user with the names of a hidden document."""
    name = next(iter(hidden.words))
    upload = Upload("upload-0", f"{'0' * 32}.txt", name, name, 1, {})
    job = whole.state.jobs.create([upload], [], JobOptions("token:other", labels=["nobody"]))
    job.state, job.error = "failed", name
    whole.state.jobs.save(job)
    file = UploadedFile(OTHER_FILE, f"{name}.txt", 1, 0, "assistants", "token:other", ".txt", name)
    records = whole.state.rag.kb.backend.records
    records.put("files", file.id, dump_json(asdict(file)))
    return str(job.id)


def check_live(server: Server, token: str) -> tuple[list[str], str]:
    """The events of a voice turn, and all their words."""
    sound = (3000 * np.sin(np.arange(RATE) * 0.07)).astype("<i2").tobytes()
    names, text = [], ""
    with TestClient(server.app).websocket_connect("/v1/live") as socket:
        socket.send_json({"token": token, "mode": "push-to-talk", "k": 100})
        try:
            names.append(socket.receive_json()["event"])
            if names == ["ready"]:
                socket.send_json({"type": "begin"})
                for at in range(0, len(sound), 3200):
                    socket.send_bytes(sound[at : at + 3200])
                socket.send_json({"type": "end"})
                socket.send_json({"type": "finish"})
            while True:
                event = socket.receive_json()
                names.append(event["event"])
                text += json.dumps(event)
        except WebSocketDisconnect:
            return sorted(set(names)), text.lower()


def check_realtime(server: Server, token: str) -> tuple[list[str], str]:
    """The events of a voice turn in OpenAI's format, and all their words."""
    sound = (3000 * np.sin(np.arange(24_000) * 0.07)).astype("<i2").tobytes()
    session = {"audio": {"input": {"turn_detection": None}}}
    names, text = [], ""
    headers = {"authorization": f"Bearer {token}"}
    with TestClient(server.app).websocket_connect("/v1/realtime", headers=headers) as socket:
        for event in (
            {"type": "session.update", "session": session},
            {"type": "input_audio_buffer.append", "audio": b64encode(sound).decode()},
            {"type": "input_audio_buffer.commit"},
            {"type": "response.create"},
        ):
            socket.send_json(event)
        while "response.done" not in names and "error" not in names:
            event = socket.receive_json()
            names.append(event["type"])
            text += json.dumps(event)
    return sorted(set(names)), text.lower()


async def check_user(
    setup: Round, whole: Server, comparison: Comparison, labels: frozenset[str], token: str
) -> None:
    """Compare all operations for a user with some labels."""
    rng = setup.random
    visible = [made for made in setup.made if not made.labels or made.labels & labels]
    hidden = [made for made in setup.made if made not in visible]
    words = frozenset(word for made in hidden for word in made.words)
    folder = Path(tempfile.mkdtemp(dir=setup.folder)) / "oracle"
    folder.mkdir()
    store = setup.open_store(folder.parent / "store", setup.embedder.spec.dim)
    store.upsert(list(VisibleStore(setup.store, labels).scan()))
    oracle = Server(KnowledgeBase(folder, setup.embedder, store), setup.tokens.path)
    await oracle.start()
    before = hidden_records(setup, hidden)
    calls = list(other_calls(hide_job(whole, rng.choice(hidden))))
    missing = f"{setup.folder}/files/missing.md"
    for made in rng.sample(hidden, min(2, len(hidden))) + rng.sample(visible, len(visible) > 0):
        word = rng.choice(sorted(made.words))
        calls += [
            *document_calls(made.document.id, word),
            *word_calls(word, made.body, str(made.path.parent)),
            *mcp_calls(made.document.id, word),
        ]
    calls += document_calls(missing, "x")
    rng.shuffle(calls)
    uploaded = [made for made in hidden if made.document.id.startswith("upload-")]
    # Not that of a visible upload, which would get other labels.
    others = [made for made in visible if not made.document.id.startswith("upload-")]
    content = rng.choice(rng.choice((uploaded or hidden, others or hidden))).path.read_bytes()
    own = ",".join(sorted(labels)) or "public"
    for call in calls:
        await comparison.check(call, whole, oracle, token, words)
    # In this order, as each depends on those before it. Afterwards, the user knows the content.
    words = frozenset(word for word in words if word.encode() not in content.lower())
    removed = [rng.choice(made).document.id for made in (hidden, visible) if made]
    for call in (*changes(content, own, removed), *other_calls(MISSING_JOB)):
        await comparison.check(call, whole, oracle, token, words)
    for check in (check_live, check_realtime) if rng.random() < 0.2 else ():
        (names, text), (expected, _) = await asyncio.gather(
            asyncio.to_thread(check, whole, token), asyncio.to_thread(check, oracle, token)
        )
        told = [word for word in words if word in text]
        problem = f"{told} in an event" if told else f"{names}, not {expected}"
        path = check.__name__.removeprefix("check_")
        comparison.record(f"WS /v1/{path}", problem if told or names != expected else "")
    changed = before != hidden_records(setup, hidden)
    comparison.record("hidden documents", "one was changed" if changed else "")
    await oracle.close()
    store.close()
    # The uploads of this user are no documents of the others.
    setup.made = [made for made in setup.made if made.document.id not in removed[1:]]
    made_up = {made.document.id for made in setup.made}
    setup.store.delete([d.id for d in setup.store.documents() if d.id not in made_up])


def hidden_records(setup: Round, hidden: list[Made]) -> list[tuple[str, str, str]]:
    """What is stored of the hidden documents."""
    rows = setup.store.scan([made.document.id for made in hidden])
    return [(row.passage.id, repr(row.passage), row.content_hash) for row in rows]


def unchecked(app: FastAPI, comparison: Comparison) -> list[str]:
    """The operations of the OpenAPI description that no check has called."""
    operations = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items() for method in methods
    }  # fmt: skip
    return sorted(operations - set(comparison.checks))


async def attack(checks: int, seed: int, lance_rounds: int, users: int = 2) -> Comparison:
    """Run rounds until there are enough checks."""
    comparison = Comparison()
    number = 0
    while comparison.checks.total() < checks:
        number += 1
        folder = Path(tempfile.mkdtemp(prefix="wavrag-access-"))
        try:
            is_lance = number <= lance_rounds
            setup = Round(
                folder, seed * 100_000 + number,
                LanceStore if is_lance
                else (lambda path, dim: MemoryStore(dim)),
                users,
            )  # fmt: skip
            whole = Server(setup.kb, setup.tokens.path)
            await whole.start()
            for labels, token in setup.users:
                await check_user(setup, whole, comparison, labels, token)
            missing = unchecked(whole.app, comparison)
            await whole.close()
            setup.kb.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        comparison.leaks += [f"no check calls {operation}" for operation in missing]
        if comparison.leaks:
            break
    return comparison


def main() -> int:
    """Print checks and leaks by operation; return 1 if there is a leak."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lance", type=int, default=2, help="rounds on the store on disk")
    arguments = parser.parse_args()
    start = time.monotonic()
    comparison = asyncio.run(attack(arguments.checks, arguments.seed, arguments.lance))
    for operation, count in sorted(comparison.checks.items()):
        print(f"{count:6} {operation}")
    for leak in comparison.leaks[:20]:
        print(f"leak: {leak}")
    seconds = time.monotonic() - start
    print(
        f"{comparison.checks.total()} checks of {len(comparison.checks)} operations in"
        f" {seconds:.0f} s: {len(comparison.leaks)} leaks"
    )
    return 1 if comparison.leaks else 0


if __name__ == "__main__":
    sys.exit(main())
