"""`/v1/live` over a real WebSocket: hands-free, push-to-talk, access control."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from serving import OPTIONS, client, create_rag, serving
from wavrag.audio import load
from wavrag.demo import DATA

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
