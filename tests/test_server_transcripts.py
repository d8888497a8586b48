"""Transcripts over HTTP, and `/v1/audio/transcriptions` with the official OpenAI client."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
import webvtt

from serving import client as http_client
from serving import serving
from subtitles import parse_srt, parse_vtt
from waiting import wait_for
from wavrag import Clip, Document, KnowledgeBase, WavRAG
from wavrag.audio import load, write_wav
from wavrag.demo import DATA
from wavrag.embed import FakeEmbedder
from wavrag.generate import FakeGenerator

TRAM = DATA / "questions" / "old-tram.opus"
TEXT = "What did the farmer do with the old tram?"
BOTH = f"{TEXT} Why does my peace lily have brown tips?"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two questions with 5 s of silence between them."""
    path = tmp_path_factory.mktemp("recording") / "two questions.wav"
    names = ("old-tram", "peace-lily")
    tram, lily = (load(DATA / "questions" / f"{name}.opus", 16_000).samples for name in names)
    write_wav(path, Clip(np.concatenate([tram, np.zeros(80_000, np.float32), lily]), 16_000))
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder of its knowledge base."""
    folder = tmp_path_factory.mktemp("server") / "kb"
    with KnowledgeBase.open(folder, embedder=FakeEmbedder()) as kb:
        kb.add([Document("two/questions", path=str(recording)), Document("note", text="A text.")])
        kb.add([Document("gone", path=str(TRAM))])
        with serving(WavRAG(kb, FakeGenerator())) as url:
            yield url, folder


@pytest.fixture(scope="module")
def http(server: tuple[str, Path]) -> Iterator[httpx.Client]:
    with http_client(server[0]) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(server: tuple[str, Path]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server[0]}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def test_documents_have_transcripts_in_every_format(http: httpx.Client) -> None:
    path = "/v1/documents/two/questions/transcript"
    data = http.get(path).raise_for_status().json()
    assert (data["document_id"], data["text"]) == ("two/questions", BOTH)
    first, second = data["segments"]
    assert [word["text"] for word in first["words"]] == TEXT.split()
    assert first["end"] + 4 < second["start"]
    reply = http.get(path, params={"format": "vtt"})
    assert reply.headers["content-type"] == "text/vtt; charset=utf-8"
    assert " ".join(cue.text for cue in parse_vtt(reply.text)) == BOTH
    assert len(parse_srt(http.get(path, params={"format": "srt"}).text)) == 2
    assert http.get(path, params={"format": "txt"}).text == BOTH.replace("? W", "?\n\nW") + "\n"
    assert http.get(path, params={"format": "md"}).text.startswith("# two questions\n\n**0:00.")


def test_documents_have_chapters_and_summaries(http: httpx.Client) -> None:
    path = "/v1/documents/two/questions"
    (chapter,) = http.get(f"{path}/chapters").raise_for_status().json()["chapters"]
    assert (chapter["start"], chapter["title"]) == (
        0.0,
        "What did the farmer do with the old tram?",
    )
    assert [s["text"] for s in chapter["sentences"]] == [TEXT], "the fake quotes the first sentence"
    reply = http.get(f"{path}/chapters", params={"format": "vtt", "quotes": True})
    assert reply.headers["content-type"] == "text/vtt; charset=utf-8"
    assert len(webvtt.from_buffer(io.StringIO(reply.text))) == 1
    summary = http.get(f"{path}/summary", params={"sentences": 1}).raise_for_status().json()
    assert (summary["generator"], summary["sentences"]) == ("fake", chapter["sentences"])
    quoted = http.get(f"{path}/summary", params={"quotes": True, "format": "md"})
    assert quoted.text.startswith("# two questions\n")
    assert http.get(f"{path}/summary", params={"sentences": 0}).status_code == 422


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("none/chapters", 404, "no document none"),
        ("note/summary", 400, "text without times"),
        ("none/transcript", 404, "no document none"),
        ("note/transcript", 400, "text without times"),
        ("two/questions/transcript?format=pdf", 422, "format"),
    ],
)
def test_documents_without_a_transcript(
    http: httpx.Client, path: str, status: int, message: str
) -> None:
    reply = http.get(f"/v1/documents/{path}")
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]


def test_a_transcript_is_corrected(http: httpx.Client) -> None:
    path = "/v1/documents/gone/transcript"
    (segment,) = http.get(path).json()["segments"]
    body = {"start": segment["start"], "end": segment["end"], "text": "What became of the trams?"}
    reply = http.patch(path, json=body).raise_for_status().json()
    assert reply["text"] == http.get(path).json()["text"] == "What became of the trams?"
    assert [word["text"] for word in reply["segments"][0]["words"]] == body["text"].split()
    for wrong, status in (({**body, "start": 90, "end": 91}, 400), ({**body, "speaker": 1}, 422)):
        assert http.patch(path, json=wrong).status_code == status
    assert http.patch("/v1/documents/none/transcript", json=body).status_code == 404


def test_transcriptions_in_json(client: openai.OpenAI, recording: Path) -> None:
    with recording.open("rb") as file:
        reply = client.audio.transcriptions.create(model="whisper-1", file=file)
    assert reply.text == BOTH
    assert reply.usage is not None
    assert reply.usage.type == "duration"
    assert reply.usage.seconds == 12  # 3.2 + 5 + 2.9, rounded up


def test_transcriptions_with_segments_and_words(client: openai.OpenAI, recording: Path) -> None:
    reply = client.audio.transcriptions.create(
        model="moonshine",
        file=recording,
        language="en",
        prompt="trams",
        temperature=0.2,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (reply.text, reply.language) == (BOTH, "english")
    assert reply.duration == pytest.approx(11.1, abs=0.1)
    assert reply.words is not None
    assert [word.word for word in reply.words] == BOTH.split()
    assert reply.segments is not None
    first, second = reply.segments
    assert (first.id, first.text, second.id) == (0, TEXT, 1)
    assert (first.start, second.end) == (reply.words[0].start, reply.words[-1].end)
    assert -0.7 < first.avg_logprob < 0
    only_words = client.audio.transcriptions.create(
        model="whisper-1",
        file=recording,
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert only_words.segments is None
    assert only_words.words == reply.words


def test_transcriptions_as_text_and_subtitles(client: openai.OpenAI) -> None:
    text = client.audio.transcriptions.create(model="whisper-1", file=TRAM, response_format="text")
    assert text == f"{TEXT}\n"
    srt = client.audio.transcriptions.create(model="whisper-1", file=TRAM, response_format="srt")
    vtt = client.audio.transcriptions.create(model="whisper-1", file=TRAM, response_format="vtt")
    assert parse_srt(srt) == parse_vtt(vtt)
    assert [cue.text for cue in parse_srt(srt)] == [TEXT]


def test_transcriptions_as_a_stream(
    client: openai.OpenAI, recording: Path, server: tuple[str, Path]
) -> None:
    events = list(
        client.audio.transcriptions.create(model="gpt-4o-transcribe", file=recording, stream=True)
    )
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert deltas == [TEXT, BOTH.removeprefix(TEXT)]
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert done.text == BOTH
    # The upload is deleted once the last event is out.
    wait_for(lambda: not list((server[1] / "incoming").iterdir()), seconds=10)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"model": "none"}, 404, "no model 'none'"),
        ({"language": "de"}, 400, "does not know the language 'de'"),
        ({"response_format": "srt", "stream": True}, 400, "format json or text"),
        ({"response_format": "diarized_json"}, 422, "response_format"),
        ({"file": ("a.txt", io.BytesIO(b"just words"))}, 415, "a.txt"),
    ],
)
def test_refused_transcriptions(
    client: openai.OpenAI, options: dict[str, object], status: int, message: str
) -> None:
    request = {"model": "whisper-1", "file": TRAM, **options}
    with pytest.raises(openai.APIStatusError, match=message) as error:
        client.audio.transcriptions.create(**request)  # type: ignore[call-overload]
    assert error.value.status_code == status
    assert "incoming" not in str(error.value)


def test_a_form_without_a_recording(http: httpx.Client) -> None:
    parts = {"model": (None, "whisper-1")}
    reply = http.post("/v1/audio/transcriptions", files=parts)
    assert reply.status_code == 400
    assert "no recording" in reply.json()["error"]["message"]
