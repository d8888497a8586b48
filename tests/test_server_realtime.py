"""`/v1/realtime` with the official OpenAI client."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from openai.resources.realtime.realtime import RealtimeConnection

from serving import OPTIONS, create_rag, serving
from wavrag.audio import load
from wavrag.demo import DATA
from wavrag.live import AnswerDelta, Hits, Span
from wavrag.server.realtime_events import EventTranslator

# OpenAI's client connects as websockets 17 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")

TOKEN = "correct-horse-battery"
QUESTION = DATA / "questions" / "bee-distance.opus"
MANUAL: Any = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


def chunks(silence: float = 0.0) -> Iterator[str]:
    """A spoken question of 24 kHz in chunks of 100 ms, and silence after it."""
    samples = load(QUESTION, 24_000).samples
    samples = np.concatenate([samples, np.zeros(round(silence * 24_000), np.float32)])
    data = (samples * 32_767).astype("<i2").tobytes()
    return (base64.b64encode(data[at : at + 4800]).decode() for at in range(0, len(data), 4800))


def receive(connection: RealtimeConnection, last: str) -> list[Any]:
    """Events up to one of a type."""
    events = []
    while not events or events[-1].type != last:
        events.append(connection.recv())
        assert events[-1].type != "error", events[-1]
    return events


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as opened:
        yield opened


def test_a_turn_is_detected_and_answered(client: openai.OpenAI) -> None:
    with client.realtime.connect(model="wavrag") as connection:
        (created,) = receive(connection, "session.created")
        assert created.session.audio.input.turn_detection.type == "server_vad"
        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        (updated,) = receive(connection, "session.updated")
        assert updated.session.instructions == "Be brief."
        for chunk in chunks(silence=1.5):
            connection.input_audio_buffer.append(audio=chunk)
        events = receive(connection, "response.done")
    names = [event.type for event in events]
    names = [name for at, name in enumerate(names) if names[at - 1 : at] != [name]]
    assert names == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.added",
        "conversation.item.done",
        "response.done",
    ]
    items = {event.item_id for event in events[:3]}
    assert items == {events[3].item.id}
    response = events[-1].response
    assert response.status == "completed"
    text = next(event.text for event in events if event.type == "response.output_text.done")
    assert response.output[0].content[0].text == text
    assert response.wavrag["answer"] == text
    assert response.wavrag["hits"]


def test_a_turn_ends_with_a_commit_and_waits_for_a_request(client: openai.OpenAI) -> None:
    with client.realtime.connect(model="wavrag") as connection:
        receive(connection, "session.created")
        connection.session.update(session=MANUAL)
        receive(connection, "session.updated")
        for turn in range(2):  # the first one is not answered
            for chunk in chunks():
                connection.input_audio_buffer.append(audio=chunk)
            connection.input_audio_buffer.commit()
            names = [
                event.type
                for event in receive(
                    connection, "conversation.item.input_audio_transcription.completed"
                )
            ]
            assert names[0] == "input_audio_buffer.committed", turn
        connection.response.create()
        events = receive(connection, "response.done")
    assert [event.type for event in events].count("response.created") == 1
    assert events[0].type == "response.created"
    assert events[-1].response.status == "completed"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "input_audio_buffer.commit"}, "append some first"),
        ({"type": "input_audio_buffer.append", "audio": "AA=="}, "middle of a sample"),
        ({"type": "input_audio_buffer.append", "audio": "!"}, "not valid base64"),
        ({"type": "response.create"}, "append audio, and commit it"),
        ({"type": "conversation.item.truncate"}, "session.update"),
        ({"type": "session.update", "session": {"output_modalities": ["audio"]}}, "'text'"),
        ({"type": "session.update", "session": {"max_output_tokens": 0}}, "max_output_tokens is 0"),
    ],
)
def test_faulty_events_are_reported(
    client: openai.OpenAI, event: dict[str, Any], reason: str
) -> None:
    with client.realtime.connect(model="wavrag") as connection:
        receive(connection, "session.created")
        connection.send({**event, "event_id": "mine"})  # type: ignore[typeddict-item]
        error = connection.recv()
        assert error.type == "error"
        assert reason in error.error.message
        assert error.error.event_id == "mine"
        connection.session.update(session={"type": "realtime"})  # the connection is still usable
        assert connection.recv().type == "session.updated"


def test_a_token_and_a_model_are_checked(tmp_path: Path) -> None:
    options = replace(OPTIONS, tokens=frozenset({TOKEN}))
    with create_rag(tmp_path) as rag, serving(rag, options) as url:
        for key, model, reason in (
            (TOKEN, "wavrag", ""),
            (TOKEN, "gpt-realtime", "there is no model 'gpt-realtime'"),
            (TOKEN[:-1], "wavrag", "a token is needed"),
        ):
            with (
                openai.OpenAI(base_url=f"{url}/v1", api_key=key) as client,
                client.realtime.connect(model=model) as connection,
            ):
                event = connection.recv()
                assert event.type == ("error" if reason else "session.created")
                if event.type == "error":
                    assert reason in event.error.message


def test_answers_that_nobody_requests_are_not_kept() -> None:
    translator = EventTranslator(detects=True, answers=False)
    for turn in (1, 2, 3):
        hits = Hits(turn, 0.0, (), None, Span(0, 100), 0.0, 0.0, False, {})
        for event in (hits, AnswerDelta(turn, 0.0, f"text {turn}")):
            list(translator.translate(event))
    events = translator.request_answer()
    assert [event["type"] for event in events].count("response.created") == 1
    assert [event["delta"] for event in events if "delta" in event] == ["text 3"]
