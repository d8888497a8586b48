"""The MCP server, with the client of the SDK; `test_examples.py` starts it as a process."""

import asyncio
import base64
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import uvicorn
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from serving import BEES, FERRY, OPTIONS, client, create_rag, serving
from waiting import wait_for
from wavrag import Clip, Document, WavRAG
from wavrag.audio import load, wav_bytes, write_wav
from wavrag.cli import main
from wavrag.embed import FakeEmbedder
from wavrag.errors import InputError
from wavrag.generate import FakeGenerator, GenerateOptions, Message
from wavrag.integrations.mcp import Access, create_mcp_server, serve_http
from wavrag.server import TokenFile

TONE = Clip(0.3 * np.sin(np.arange(48_000) / 5).astype(np.float32), 16_000)  # 3 s


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mcp")
    (folder / "secret.txt").write_text("The password is swordfish.")
    memos = folder / "memos"
    memos.mkdir()
    (memos / "note.txt").write_text("Otters hold hands.")
    (memos / "link.txt").symlink_to(folder / "secret.txt")
    write_wav(memos / "tone.wav", TONE)
    return folder


@pytest.fixture(scope="module")
def rag(folder: Path) -> Iterator[WavRAG]:
    with create_rag(folder) as rag:
        rag.add(folder / "memos" / "tone.wav")
        yield rag


def error_of(result: CallToolResult) -> str:
    assert result.is_error
    assert result.structured_content is None
    (content,) = result.content
    return content.model_dump()["text"]


def data_of(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_tools_and_resources(rag: WavRAG, folder: Path, mode: str) -> None:
    ferry, tone = str(folder / "texts" / "ferry.txt"), str(folder / "memos" / "tone.wav")

    async def run() -> None:
        async with Client(create_mcp_server(Access(rag)), mode=mode) as mcp:
            tools = {tool.name: tool for tool in (await mcp.list_tools()).tools}
            assert set(tools) == {
                "search", "ask", "list_documents", "read_document", "transcript", "add"
            }  # fmt: skip
            assert all(tool.output_schema for tool in tools.values())
            result = data_of(await mcp.call_tool("search", {"query": "dogs ferry", "k": 1}))
            assert result["query"] == "dogs ferry"
            (hit,) = result["hits"]
            assert (hit["document_id"], hit["text"]) == (ferry, FERRY.strip())
            steps: list[tuple[float, str | None]] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                steps.append((progress, message))

            arguments = {"question": "When does the ferry leave?"}
            answer = data_of(await mcp.call_tool("ask", arguments, progress_callback=note))
            assert answer["answer"] == "The ferry leaves at nine in the morning. [1]"
            (citation,) = answer["citations"]
            assert (citation["number"], citation["document_id"]) == (1, ferry)
            assert citation["quote"] == "The ferry leaves at nine in the morning."
            assert steps[0] == (0, "1 passages found")
            assert steps[-1] == (len(answer["answer"]), "writing the answer")

            page = data_of(await mcp.call_tool("list_documents", {"title": "FERRY"}))
            assert [document["document_id"] for document in page["documents"]] == [ferry]
            page = data_of(await mcp.call_tool("list_documents", {"limit": 2}))
            assert (len(page["documents"]), page["total"], page["next_offset"]) == (2, 3, 2)
            text = data_of(await mcp.call_tool("read_document", {"document_id": ferry}))
            assert text["passages"][0]["text"] == FERRY.strip()
            assert text["next_passage"] is None
            listed = (await mcp.list_resources()).resources
            uris = [document["document_uri"] for document in page["documents"]]
            assert [resource.uri for resource in listed[:2]] == uris
            assert citation["document_uri"] in [resource.uri for resource in listed]
            (contents,) = (await mcp.read_resource(citation["document_uri"])).contents
            assert contents.model_dump()["text"] == FERRY.strip()
            uri = f"wavrag://audio/{tone.replace('/', '%2F')}/1/2.5"
            (sound,) = (await mcp.read_resource(uri)).contents
            path = folder / "span.wav"
            path.write_bytes(base64.b64decode(sound.model_dump()["blob"]))
            assert load(path).duration == pytest.approx(1.5)

    asyncio.run(run())


def test_errors_of_tools_have_the_message(rag: WavRAG, folder: Path) -> None:
    recording = base64.b64encode(b"no sound").decode()
    calls = {
        "give text, audio, or both": ("search", {}),
        "expected a key": ("search", {"query": "a", "where": "((("}),
        "not valid base64": ("ask", {"audio": "!"}),
        "the recording: is not decodable audio": ("ask", {"audio": recording}),
        "give audio or audio_path": ("search", {"audio": recording, "audio_path": "a.wav"}),
        "less than or equal to 100": ("search", {"query": "a", "k": 101}),
        "there is no document x: see list_documents": ("read_document", {"document_id": "x"}),
        "x is not in the knowledge base": ("transcript", {"document_id": "x"}),
        "give the text of a document, or the path": ("add", {}),
        "start the server with --root FOLDER": ("add", {"path": str(folder / "secret.txt")}),
        "this server reads no files": ("search", {"audio_path": "tone.wav"}),
    }

    async def run() -> None:
        async with Client(create_mcp_server(Access(rag))) as mcp:
            for message, (name, arguments) in calls.items():
                assert message in error_of(await mcp.call_tool(name, arguments))
            for uri, message in {
                "documents/x": "there is no document x",
                "audio/x/0/5": "there is no recording x",
                "audio/x/0/500": "a span lasts from 0 to 120 s",
                "audio/x/5/2": "a span lasts from 0 to 120 s",
            }.items():
                with pytest.raises(MCPError, match=message):
                    await mcp.read_resource(f"wavrag://{uri}")

    asyncio.run(run())


def test_clients_name_files_within_the_roots_only(rag: WavRAG, folder: Path) -> None:
    memos = folder / "memos"
    access = Access(rag, roots=[memos])

    async def run() -> None:
        async with Client(create_mcp_server(access)) as mcp:
            outside = ["../secret.txt", str(folder / "secret.txt"), "/etc/none", "link.txt"]
            for path in outside:
                message = error_of(await mcp.call_tool("add", {"path": path}))
                assert message == f"{path} is outside the folders of this server: use {memos}"
                assert message == error_of(await mcp.call_tool("search", {"audio_path": path}))
            message = error_of(await mcp.call_tool("add", {"path": "nothing.txt"}))
            assert message == "there is no file nothing.txt: check the path"
            assert "not valid" in error_of(await mcp.call_tool("add", {"path": "a\0b"}))
            hits = data_of(await mcp.call_tool("search", {"audio_path": "tone.wav"}))["hits"]
            sound = base64.b64encode(wav_bytes(TONE)).decode()
            assert hits == data_of(await mcp.call_tool("search", {"audio": sound}))["hits"]
            report = data_of(await mcp.call_tool("add", {"path": "."}))
            assert report["added"] == [str(memos / "note.txt")]
            assert list(report["skipped"]) == [str(memos / "link.txt")]
            text = {"text": "Lanterns glow.", "title": "Lamps"}
            (id,) = data_of(await mcp.call_tool("add", text))["added"]
            assert data_of(await mcp.call_tool("add", text))["unchanged"] == [id]
            rag.remove(id, memos / "note.txt")

    asyncio.run(run())
    with pytest.raises(InputError, match="is not a folder"):
        Access(rag, roots=[memos / "note.txt"])


@asynccontextmanager
async def connect(url: str, token: str = "") -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as mcp,
    ):
        yield mcp


@pytest.fixture(scope="module")
def tokens(folder: Path) -> dict[str, str]:
    file = TokenFile(folder / "tokens.json")
    return {
        "reader": file.create("reader", "read"),
        "hr": file.create("hr", "write", labels=["hr"]),
        "legal": file.create("legal", "write", labels=["legal"]),
    }


@pytest.fixture(scope="module")
def url(rag: WavRAG, folder: Path, tokens: dict[str, str]) -> Iterator[str]:
    rag.kb.add([Document("deal", text="Zanzibar.", metadata={"access": "legal"})])
    options = replace(OPTIONS, token_file=folder / "tokens.json", audit_file=folder / "audit.jsonl")
    with serving(rag, options) as address:
        yield address


def test_the_server_has_it_with_its_tokens_and_labels(
    url: str, folder: Path, tokens: dict[str, str]
) -> None:
    async def run() -> None:
        async with connect(url, tokens["reader"]) as mcp:
            assert "add" not in [tool.name for tool in (await mcp.list_tools()).tools]
            text = {"text": "Salaries rise.", "title": "Pay"}
            assert "only reads" in error_of(await mcp.call_tool("add", text))
            arguments = {"question": "When does the ferry leave?"}
            steps: list[float] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                steps.append(progress)

            answer = data_of(await mcp.call_tool("ask", arguments, progress_callback=note))
            assert answer["citations"][0]["title"] == "ferry"
            assert steps[0] == 0
            assert steps[-1] == len(answer["answer"])
            for tool in ("read_document", "transcript"):
                hidden, missing = [
                    error_of(await mcp.call_tool(tool, {"document_id": id}))
                    for id in ("deal", "lost")
                ]
                assert hidden.replace("deal", "lost") == missing
        async with connect(url, tokens["hr"]) as mcp:
            (id,) = data_of(await mcp.call_tool("add", text))["added"]
            document = data_of(await mcp.call_tool("read_document", {"document_id": id}))
            assert document["title"] == "Pay"
            odd = {"text": "Bonuses.", "title": "../a\x1b[31m/b"}
            (other,) = data_of(await mcp.call_tool("add", odd))["added"]
            passages = data_of(await mcp.call_tool("read_document", {"document_id": other}))
            assert passages["passages"][0]["metadata"]["filename"] == "-a--31m-b.txt"
            assert "this server reads no files" in error_of(
                await mcp.call_tool("add", {"path": str(folder / "secret.txt")})
            )
            uris = [resource.uri for resource in (await mcp.list_resources()).resources]
            assert f"wavrag://documents/{id}" in uris
            assert "wavrag://documents/deal" not in uris
        async with connect(f"{url}/v1/collections/default", tokens["legal"]) as mcp:
            uris = [resource.uri for resource in (await mcp.list_resources()).resources]
            assert f"wavrag://documents/{id}" not in uris
            (contents,) = (await mcp.read_resource("wavrag://documents/deal")).contents
            assert contents.model_dump()["text"] == "Zanzibar."
            hits = data_of(await mcp.call_tool("search", {"query": "salaries"}))["hits"]
            assert id not in [hit["document_id"] for hit in hits]
        lines = (folder / "audit.jsonl").read_text().splitlines()
        actions = [(record["principal"], record["action"]) for record in map(json.loads, lines)]
        assert ("hr", "add_by_mcp") in actions

    asyncio.run(run())


def test_a_text_added_to_a_shared_knowledge_base(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAVRAG_BLOBS", str(tmp_path / "files"))
    monkeypatch.setattr("wavrag.server.mcp.MAX_JOB_SECONDS", 20.0)

    async def run(url: str) -> None:
        async with connect(url) as mcp:
            result = await mcp.call_tool("add", {"text": "Salaries rise.", "title": "Pay"})
            (id,) = data_of(result)["added"]
            document = data_of(await mcp.call_tool("read_document", {"document_id": id}))
            assert document["title"] == "Pay"

    address = f"{postgres_url}&tenant=mcp"
    with (
        WavRAG.open(address, embedder=FakeEmbedder(), generator=FakeGenerator()) as rag,
        serving(rag, OPTIONS) as url,
    ):
        asyncio.run(run(url))


def test_the_server_rejects_other_requests(url: str, tokens: dict[str, str]) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    token = {"authorization": f"Bearer {tokens['reader']}"}
    with client(url) as http:
        assert http.post("/mcp", json=body).status_code == 401
        assert http.get("/mcp", headers=token).status_code == 405
        path = "/v1/collections/none/mcp"
        assert http.post(path, json=body, headers=token).status_code == 404
        foreign = token | {"origin": "https://example.org"}
        assert http.post("/mcp", json=body, headers=foreign).status_code == 403


class EndlessGenerator(FakeGenerator):
    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        while True:
            yield "more "


def test_cancelling_a_call_stops_its_answer(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        started = asyncio.Event()

        async def note(progress: float, total: float | None, message: str | None) -> None:
            if progress:
                started.set()

        async with connect(url) as mcp:
            arguments = {"question": "When does the ferry leave?"}
            call = asyncio.create_task(mcp.call_tool("ask", arguments, progress_callback=note))
            await started.wait()
            assert count_answers() == 1
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.to_thread(wait_for, lambda: count_answers() == 0)

    with create_rag(tmp_path, EndlessGenerator()) as rag, serving(rag) as url, client(url) as http:

        def count_answers() -> int:
            (line,) = re.findall(
                r"^wavrag_answers_in_progress (.*)", http.get("/metrics").text, re.M
            )
            return int(float(line))

        asyncio.run(run(url))


def test_http_for_this_machine(rag: WavRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    servers: list[uvicorn.Server] = []
    urls: list[str] = []
    started = threading.Event()

    class RecordedServer(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            servers.append(self)
            started.set()

    monkeypatch.setattr(uvicorn, "Server", RecordedServer)
    server = create_mcp_server(Access(rag, read_only=True))
    thread = threading.Thread(target=serve_http, args=(server, 0, urls.append))
    thread.start()
    try:
        assert started.wait(30)

        async def run() -> None:
            async with connect(urls[0].removesuffix("/mcp")) as mcp:
                assert "add" not in [tool.name for tool in (await mcp.list_tools()).tools]
                hits = data_of(await mcp.call_tool("search", {"query": "bees dance"}))["hits"]
                assert hits[0]["text"] in BEES

        asyncio.run(run())
        with client(urls[0]) as http:
            reply = http.post(urls[0], json={}, headers={"host": "attacker.example"})
            assert reply.status_code == 421
            with pytest.raises(InputError, match="choose another"):
                serve_http(server, http.base_url.port or 0, urls.append)
    finally:
        for running in servers:
            running.should_exit = True
        thread.join()


def test_the_command_checks_its_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mcp", "--port", "80"]) == 2
    assert main(["mcp", "--http", "--port", "70000"]) == 2
    assert main(["mcp", "--kb", str(tmp_path / "none")]) == 1
    assert "there is no knowledge base" in capsys.readouterr().err
