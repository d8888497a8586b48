"""The packaged recogniser: transcripts, batches, and damaged weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.demo import DATA
from wavrag.embed import FakeEmbedder
from wavrag.embed.cascade import Cascade
from wavrag.embed.moonshine import SPEC, Moonshine
from wavrag.embed.moonshine_decoder import MOONSHINE_WEIGHTS, WEIGHTS, MoonshineDecoder
from wavrag.embed.runtime import BATCH_CLIPS, BATCH_SECONDS, split_clips
from wavrag.errors import EmbedderError
from wavrag.testing.embedder import tone
from wavrag.types import Clip, EmbedInput


@pytest.fixture(scope="module")
def recogniser() -> Moonshine:
    return Moonshine()


@pytest.fixture(scope="module")
def clips(human_reading: Path) -> list[Clip]:
    """Clips of different lengths: a reading, a recording of the demo, two spoken questions."""
    recording = sorted((DATA / "corpus" / "recordings").iterdir())[0]
    questions = sorted(path for path in (DATA / "questions").iterdir() if path.suffix != ".json")
    return [
        audio.load(str(human_reading), SAMPLE_RATE, 0, 7),
        audio.load(str(human_reading), SAMPLE_RATE, 7, 9),
        audio.load(recording, SAMPLE_RATE, 0, 12),
        *(audio.load(path, SAMPLE_RATE) for path in questions[:2]),
    ]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("bee-distance", "How does a honeybee show the others how far away the flowers are?"),
        ("dogs-on-the-ferry", "Where a dog's allowed on the ferry."),
        ("varroa-mite", "When should bees be treated against the Varroa might?"),
        ("wind-vane", "How high above the ground should I mount the wind vein?"),
    ],
)
def test_the_words_are_those_of_the_published_model(
    recogniser: Moonshine, question: str, words: str
) -> None:
    # Transcripts by the published graphs, mistakes included; they do not change with noise of 1e-5.
    clip = audio.load(DATA / "questions" / f"{question}.opus", SAMPLE_RATE)
    assert recogniser.transcribe(clip) == words


def test_the_weights_are_the_converted_ones() -> None:
    # By `python tools/convert_moonshine.py`, which checks the published file.
    digest = hashlib.sha256()
    for name in ("encoder.onnx", "cross.onnx", "step.onnx", "batch_step.onnx", WEIGHTS):
        digest.update((MOONSHINE_WEIGHTS / name).read_bytes())
    assert SPEC.revision == "moonshine-tiny-en-0.0.73"
    assert digest.hexdigest().startswith("c1b73b21f6e2fff9")


def test_weights_shared_with_another_model_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavrag.embed.moonshine.SHARED_CRC", 1)
    with pytest.raises(EmbedderError, match=r"wavretriever/encoder\.onnx is damaged: reinstall"):
        Moonshine().load()


def test_a_batch_gives_the_transcripts_of_single_clips(
    recogniser: Moonshine, clips: list[Clip]
) -> None:
    silence = Clip(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)
    short = Clip(clips[0].samples[8_000:8_800], SAMPLE_RATE)
    batch = [silence, *clips, short, silence]
    transcripts = recogniser.transcribe_batch(batch)
    assert transcripts == [recogniser.transcribe(clip) for clip in batch]
    assert transcripts[0] == transcripts[-1] == ""
    assert "best of times" in transcripts[1].lower()
    assert recogniser.transcribe_batch(batch[::-1]) == transcripts[::-1]


def test_no_clips_and_empty_clips_have_no_words(recogniser: Moonshine) -> None:
    empty = Clip(np.zeros(0, np.float32), SAMPLE_RATE)
    assert recogniser.transcribe_batch([]) == []
    assert recogniser.transcribe(empty) == ""
    assert recogniser.transcribe_batch([empty, empty]) == ["", ""]


def test_decoding_stops_at_the_limit_of_each_clip(recogniser: Moonshine, clips: list[Clip]) -> None:
    decoder = MoonshineDecoder()
    frames = [recogniser.frames(clip)[None] for clip in clips[:3]]
    tokens = decoder.decode(frames, [60, 60, 100])
    limited = decoder.decode(frames, [3, 60, 1])
    assert limited == [tokens[0][:3], tokens[1], tokens[2][:1]]
    assert decoder.decode(frames[:1], [2]) == [tokens[0][:2]]


def test_missing_and_damaged_decoder_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"decoder\.bin is missing: reinstall"):
        MoonshineDecoder(tmp_path)
    data = bytearray((MOONSHINE_WEIGHTS / WEIGHTS).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / WEIGHTS).write_bytes(data)
    with pytest.raises(EmbedderError, match="is damaged: reinstall wavrag"):
        MoonshineDecoder(tmp_path)


def test_clips_are_batched_by_length() -> None:
    durations = [1.0, 9.0, 2.0, 8.0, *[3.0] * 20, 24.0, 24.0, 24.0, 24.0, 24.0]
    clips = {index: tone(seconds, SAMPLE_RATE) for index, seconds in enumerate(durations)}
    batches = split_clips(clips, threads=2)
    assert sorted(index for batch in batches for index in batch) == list(clips)
    lengths = [[clip.duration for clip in batch.values()] for batch in batches]
    assert [seconds for batch in lengths for seconds in batch] == sorted(durations, reverse=True)
    assert max(map(len, lengths)) == BATCH_CLIPS
    assert all(len(batch) * batch[0] <= BATCH_SECONDS for batch in lengths)
    # Few clips are spread over the threads.
    assert [len(batch) for batch in split_clips({0: clips[0], 5: clips[1]}, 2)] == [1, 1]
    assert split_clips({}, 2) == []


def test_a_cascade_gives_each_input_its_own_transcript(
    recogniser: Moonshine, clips: list[Clip]
) -> None:
    inputs = [EmbedInput(text="a title"), *(EmbedInput(clip=clip) for clip in clips)]
    result = Cascade(recogniser, FakeEmbedder(), threads=2).embed_with_texts(inputs, "passage")
    assert result.texts == ("a title", *(recogniser.transcribe(clip) for clip in clips))
