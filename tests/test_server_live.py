"""`/v1/live` over a real WebSocket: hands-free, push-to-talk, access control."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from serving import OPTIONS, client, create_rag, serving
from wavrag import KnowledgeBase
from wavrag.audio import load
from wavrag.client import LiveClient
from wavrag.demo import DATA
from wavrag.errors import InputError, StoreError, WavRAGError
from wavrag.server.live_protocol import (
    CONTROLS,
    LiveControl,
    LiveStart,
    describe_protocol,
    event_models,
)

TOKEN = "correct-horse-battery"
QUESTION = DATA / "questions" / "bee-distance.opus"


def live(url: str, **options: Any) -> ClientConnection:
    return connect(f"{url.replace('http', 'ws')}/v1/live", proxy=None, **options)


def pcm(silence: float = 0.0) -> list[bytes]:
    """A spoken question in chunks of 40 ms, and silence after it."""
    samples = load(QUESTION).samples
    samples = np.concatenate([samples, np.zeros(round(silence * 16_000), np.float32)])
    data = (samples * 32_767).astype("<i2").tobytes()
    return [data[at : at + 1280] for at in range(0, len(data), 1280)]


def events(socket: ClientConnection) -> list[dict[str, Any]]:
    """All events until the server closes the connection."""
    received = []
    try:
        while True:
            received.append(json.loads(socket.recv(timeout=30)))
    except ConnectionClosed:
        return received


def test_push_to_talk_gives_one_committed_result_and_an_answer(url: str) -> None:
    with live(url) as socket:
        socket.send(json.dumps({"mode": "push-to-talk", "k": 1}))
        assert json.loads(socket.recv(timeout=30)) == {"event": "ready"}
        socket.send(json.dumps({"type": "begin"}))
        for chunk in pcm():
            socket.send(chunk)
        socket.send(json.dumps({"type": "end"}))
        socket.send(json.dumps({"type": "finish"}))
        received = events(socket)
    names = [event["event"] for event in received]
    assert names[-1] == "answer"
    assert names.count("hits") == 1
    assert names.index("turn_ended") < names.index("hits") < names.index("answer")
    assert len(received[names.index("hits")]["hits"]) == 1


def test_hands_free_detects_the_end_of_speech(url: str) -> None:
    with live(url) as socket:
        socket.send(json.dumps({"answer": False}))
        for chunk in pcm(silence=1.5):
            socket.send(chunk)
        socket.send(json.dumps({"type": "finish"}))
        names = [event["event"] for event in events(socket)]
    assert names.count("hits") == 1
    assert names.index("speech_started") < names.index("hits")


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (["{"], "JSON"),
        (['{"nonsense": 1}'], "nonsense"),
        ([b"\x00\x00"], "send the options before it"),
        (["{}", "no json"], "Invalid JSON"),
        (["{}", '{"type": "dance"}'], "dance"),
        (["{}", '{"type": "dance"}'], "begin"),
        (["{}", "{}"], "interrupt"),
        (['{"where": "("}'], "syntax error in the filter"),
        (['{"sample_rate": 1}'], "1"),
    ],
)
def test_invalid_messages_are_errors(url: str, messages: list[str | bytes], reason: str) -> None:
    with live(url) as socket:
        for message in messages:
            socket.send(message)
        received = events(socket)
    assert received[-1]["event"] in ("error", "failed")
    assert reason in json.dumps(received[-1])
    if len(messages) == 2:
        assert all(name in received[-1]["message"] for name in CONTROLS)


def test_foreign_origins_are_rejected(url: str) -> None:
    with pytest.raises(InvalidStatus), live(url, origin="http://other.example"):
        pass
    with live(url, origin=url) as socket:
        socket.send("{}")
        assert json.loads(socket.recv(timeout=30)) == {"event": "ready"}


def test_the_first_message_carries_the_token(tmp_path: Path) -> None:
    options = replace(OPTIONS, tokens=frozenset({TOKEN}))
    with create_rag(tmp_path) as rag, serving(rag, options) as url:
        with live(url) as socket:
            socket.send(json.dumps({"token": TOKEN}))
            assert json.loads(socket.recv(timeout=30)) == {"event": "ready"}
        with live(url) as socket:
            socket.send(json.dumps({"token": "another"}))
            (refused,) = events(socket)
            assert "a token is needed" in refused["message"]


def test_the_server_survives_a_disconnect(url: str) -> None:
    for _ in range(5):
        with live(url) as socket:
            socket.send("{}")
            for chunk in pcm()[:20]:
                socket.send(chunk)
    with client(url) as http:
        assert http.get("/readyz").json() == {"ready": True}


def test_the_description_is_of_the_messages_that_are_sent(url: str) -> None:
    with client(url) as http:
        description = http.get("/asyncapi.json").json()
    assert description == json.loads(json.dumps(describe_protocol()))
    schemas = {"components": {"schemas": description["components"]["schemas"]}}
    messages = description["components"]["messages"]
    checkers = {}
    for model in (LiveStart, LiveControl, *event_models()):
        schema = {**messages[model.__name__]["payload"], **schemas}
        event = (
            model.model_json_schema()["properties"].get("event", {}).get("const", model.__name__)
        )
        checkers[event] = jsonschema_rs.Draft202012Validator(schema)
    start = {"mode": "push-to-talk", "k": 2}
    checkers["LiveStart"].validate(start)
    with live(url) as socket:
        socket.send(json.dumps(start))
        for message in ({"type": "begin"}, *pcm(), {"type": "end"}, {"type": "finish"}):
            if isinstance(message, dict):
                checkers["LiveControl"].validate(message)
            socket.send(message if isinstance(message, bytes) else json.dumps(message))
        received = events(socket)
    for event in received:
        checkers[event["event"]].validate(event)
    assert {"ready", "turn_ended", "hits", "answer_delta", "answer"} <= {
        event["event"] for event in received
    }
    with pytest.raises(jsonschema_rs.ValidationError):
        checkers["hits"].validate({**received[-1], "event": "hits"})


def test_the_python_client_speaks_and_reads_events(url: str) -> None:
    async def talk() -> list[dict[str, Any]]:
        async with LiveClient(url, mode="push-to-talk", answer=False) as speaker:
            await speaker.begin()
            await speaker.push(load(QUESTION).samples)
            await speaker.push((load(QUESTION).samples[:160] * 32_767).astype(np.int16))
            await speaker.end()
            await speaker.finish()
            return [event async for event in speaker]

    received = asyncio.run(talk())
    assert [event["event"] for event in received].count("hits") == 1
    assert received[-1]["hits"]


def test_the_python_client_raises_the_errors_of_the_server(url: str) -> None:
    async def connect(**options: Any) -> None:
        async with LiveClient(url, **options) as speaker:
            await speaker.push(b"\0\0" * 160)

    for options, reason in (({"k": -1}, "k"), ({"dance": 1}, "dance")):
        with pytest.raises(WavRAGError, match=reason):
            asyncio.run(connect(**options))
    with pytest.raises(InputError, match="is no address of a server"):
        LiveClient("localhost")
    with pytest.raises(InputError, match="have the type int64"):
        asyncio.run(_push_integers(url))
    with pytest.raises(WavRAGError, match=r"cannot connect to ws://ada:\*{3}@127\.0\.0\.1:9/v1"):
        asyncio.run(_push_integers("http://ada:secret@127.0.0.1:9"))


async def _push_integers(url: str) -> None:
    async with LiveClient(url) as speaker:
        await speaker.push(np.zeros(160, np.int64))  # type: ignore[arg-type]


def test_a_failed_search_does_not_show_files_of_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("/srv/kb/store is damaged")

    with live(url) as socket:
        socket.send(json.dumps({"mode": "push-to-talk", "answer": False}))
        assert json.loads(socket.recv(timeout=30)) == {"event": "ready"}
        monkeypatch.setattr(KnowledgeBase, "retrieve", fail)
        socket.send(json.dumps({"type": "begin"}))
        for chunk in pcm():
            socket.send(chunk)
        socket.send(json.dumps({"type": "finish"}))
        last = events(socket)[-1]
    assert last["event"] == "failed"
    assert "see the log of the server" in last["message"]
    assert "/srv" not in last["message"]
