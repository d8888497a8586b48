"""The official OpenAI client and the remote embedder against the server."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest

from audio_files import tone
from serving import create_rag, serving
from wavrag import Clip, WavRAG
from wavrag.audio import load
from wavrag.embed import load_embedder
from wavrag.embed.remote import wav_bytes
from wavrag.types import EmbedInput


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def sound(hertz: float) -> Clip:
    return Clip(tone(hertz, 0.5, 16_000), 16_000)


def part_of(clip: Clip) -> dict[str, object]:
    data = base64.b64encode(wav_bytes(clip)).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [
        "wavrag",
        "fake",
        "moonshine",
        "voice-fake",
    ]


@pytest.mark.parametrize("format", ["float", "base64", None])
def test_embeddings_of_texts(client: openai.OpenAI, rag: WavRAG, format: str | None) -> None:
    texts = ["the ferry", "a honeybee"]
    options = {} if format is None else {"encoding_format": format}
    reply = client.embeddings.create(model="fake", input=texts, **options)  # type: ignore[call-overload]
    rows = np.array(
        [
            np.frombuffer(base64.b64decode(entry.embedding), "<f4")
            if isinstance(entry.embedding, str)
            else entry.embedding
            for entry in reply.data
        ],
        np.float32,
    )
    expected = rag.kb.embedder.embed([EmbedInput(text) for text in texts], "passage")
    np.testing.assert_array_equal(rows, expected)


def test_embeddings_of_audio(client: openai.OpenAI, rag: WavRAG) -> None:
    clip = sound(440)
    reply = client.embeddings.create(model="fake", input=[part_of(clip), "words"])  # type: ignore[list-item]
    expected = rag.kb.embedder.embed([EmbedInput(clip=clip), EmbedInput("words")], "passage")
    np.testing.assert_allclose([entry.embedding for entry in reply.data], expected, atol=1e-3)


def test_the_remote_embedder_works_with_the_server(url: str, rag: WavRAG) -> None:
    remote = load_embedder(f"{url}#fake")
    assert remote.spec.modalities == {"text", "audio"}
    assert remote.spec.dim == rag.kb.embedder.spec.dim
    items = [EmbedInput("the ferry"), EmbedInput(clip=sound(440)), EmbedInput("a bee", sound(700))]
    np.testing.assert_allclose(
        remote.embed(items, "query"), rag.kb.embedder.embed(items, "query"), atol=1e-3
    )


def test_a_chat_is_answered_with_citations(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="wavrag",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "When does the ferry leave?"},
        ],
    )
    assert reply.choices[0].message.content == "The ferry leaves at nine in the morning. [1]"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 9
    extension = reply.model_extra["wavrag"]  # type: ignore[index]
    assert extension["citations"][0]["document_id"].endswith("ferry.txt")


def test_a_chat_streams(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="wavrag",
        messages=[{"role": "user", "content": "When does the ferry leave?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == "The ferry leaves at nine in the morning. [1]"
    assert len(pieces) > 5
    assert chunks[-2].choices[0].finish_reason == "stop"
    extension = chunks[-2].model_extra["wavrag"]  # type: ignore[index]
    assert extension["citations"][0]["number"] == 1
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens > 9


def test_earlier_messages_are_the_history(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="wavrag",
        messages=[
            {"role": "user", "content": "When does the ferry leave?"},
            {"role": "assistant", "content": "The ferry leaves at nine in the morning."},
            {"role": "user", "content": "And does it carry dogs?"},
        ],
    )
    extension = reply.model_extra["wavrag"]  # type: ignore[index]
    assert extension["question"] == "And does it carry dogs?"
    assert "ferry" in extension["search_query"]


def test_a_chat_with_a_spoken_question(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="wavrag",
        messages=[{"role": "user", "content": [part_of(sound(440))]}],  # type: ignore[list-item,misc]
    )
    assert reply.model_extra["wavrag"]["hits"]  # type: ignore[index]


@pytest.mark.parametrize("format", ["wav", "mp3", "opus", "flac", "aac"])
def test_speech(client: openai.OpenAI, format: str) -> None:
    reply = client.audio.speech.create(
        model="voice-fake",
        voice="low",
        input="One ferry.",
        response_format=format,  # type: ignore[arg-type]
    )
    clip = load(io.BytesIO(reply.content))
    assert clip.duration == pytest.approx(0.8, abs=0.15)  # four groups of vowels
    assert np.abs(clip.samples).max() > 0.05


def test_pcm_speech_has_24_khz(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="voice-fake", voice="default", input="One ferry.", response_format="pcm", speed=2
    ) as reply:
        samples = np.frombuffer(reply.read(), "<i2")
    assert len(samples) == pytest.approx(0.4 * 24_000, rel=0.05)


def test_rejections_map_to_the_errors_of_the_client(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-4'"):
        client.chat.completions.create(
            model="gpt-4", messages=[{"role": "user", "content": "hello"}]
        )
    with pytest.raises(openai.BadRequestError, match="64 dimensions"):
        client.embeddings.create(model="fake", input="x", dimensions=3)
    with pytest.raises(openai.BadRequestError, match="has no voice 'alloy'"):
        client.audio.speech.create(model="voice-fake", voice="alloy", input="hello")
    with pytest.raises(openai.UnprocessableEntityError, match="input"):
        client.embeddings.create(model="fake", input=[[1, 2, 3]])
    with pytest.raises(openai.BadRequestError, match="end with the user's"):
        client.chat.completions.create(
            model="wavrag", messages=[{"role": "assistant", "content": "hello"}]
        )


def test_a_token_is_the_api_key(rag: WavRAG, tmp_path: Path) -> None:
    from dataclasses import replace

    from serving import OPTIONS

    token = "correct-horse-battery"
    with (
        create_rag(tmp_path) as own,
        serving(own, replace(OPTIONS, tokens=frozenset({token}))) as url,
    ):
        for key, works in ((token, True), (token[:-1], False), ("none", False)):
            with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
                if works:
                    assert client.models.list().data
                else:
                    with pytest.raises(openai.AuthenticationError, match="a token is needed"):
                        client.models.list()
