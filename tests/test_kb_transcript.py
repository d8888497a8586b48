"""Transcripts: sentences, overlaps, formats, and recordings inside and outside a knowledge base."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from subtitles import parse_srt, parse_vtt
from wavrag import Clip, Document, KnowledgeBase
from wavrag.audio import load, write_wav
from wavrag.cli import main
from wavrag.demo import DATA
from wavrag.embed import Embedder
from wavrag.errors import InputError
from wavrag.kb import Segment, Transcriber, Transcript
from wavrag.kb.transcriber import join_windows
from wavrag.kb.transcript import remove_repetition, split_cues, split_sentences
from wavrag.types import Passage, TimedWord

TRAM = DATA / "questions" / "old-tram.opus"
TEXT = "What did the farmer do with the old tram?"


def timed(text: str, start: float = 0.0, step: float = 0.5) -> tuple[TimedWord, ...]:
    """Words of .4 s, one every `step` seconds."""
    words = text.split()
    return tuple(
        TimedWord(word, start + step * i, start + step * i + 0.4, 0.9)
        for i, word in enumerate(words)
    )


def passage(text: str, start: float, end: float, **fields: object) -> Passage:
    return Passage("d", 0, text, start, end, **fields)  # type: ignore[arg-type]


def transcript(*segments: Segment) -> Transcript:
    return Transcript("/talks/a.mp3", "A talk", segments, "a")


def test_a_passage_is_divided_into_sentences_at_the_times_of_their_words() -> None:
    text = "One bell rings. Two bells ring, don't they?"
    first, second = split_sentences(passage(text, 0, 9, speaker="Ada", channel=2), timed(text))
    assert (first.text, first.start, first.end) == ("One bell rings.", 0.0, 1.4)
    assert (second.text, second.start, second.end) == ("Two bells ring, don't they?", 1.5, 3.9)
    assert second.words == timed(text)[3:]
    assert (second.speaker, second.channel, second.voice) == ("Ada", 2, "Ada")
    assert replace(second, speaker=None, track=1).voice == "track 1, channel 2"


def test_without_times_of_words_a_sentence_has_its_share_of_the_passage() -> None:
    text = "Abcdefghi. Abcdefghi. "  # 22 characters in 22 seconds
    first, second = split_sentences(passage(text, 100, 122), ())
    assert [(s.start, s.end, s.words) for s in (first, second)] == [
        (100.0, 110.0, ()), (111.0, 121.0, ())
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("second", "start", "kept"),
    [
        ("three four five six", 1.0, "five six"),  # the windows have two words in common
        ("Three, FOUR five six", 1.1, "five six"),  # written otherwise
        ("free for five six", 1.0, "five six"),  # misheard: words by their times
        ("five six", 2.0, "five six"),  # no overlap
        ("three four", 1.0, ""),
    ],
)
def test_words_in_the_overlap_of_two_windows_occur_once(
    second: str, start: float, kept: str
) -> None:
    words = remove_repetition(timed("one two three four"), timed(second, start))
    assert " ".join(word.text for word in words) == kept


def test_channels_may_say_the_same_at_the_same_time() -> None:
    windows = [(passage("Yes.", 0, 1, channel=n), timed("Yes.")) for n in (1, 2)]
    assert [segment.channel for segment in join_windows(windows)] == [1, 2]
    again = [*windows, (passage("Yes. Indeed.", 0, 1, channel=2), timed("Yes. Indeed."))]
    assert [segment.text for segment in join_windows(again)] == ["Yes.", "Yes.", "Indeed."]


def test_cues_are_short_enough_to_read() -> None:
    text = " ".join(f"word{number}," for number in range(40))
    (segment,) = split_sentences(passage(text, 0, 40), timed(text, step=1.0))
    cues = list(split_cues([segment]))
    assert " ".join(cue.text for cue in cues) == text
    assert all(len(cue.text) <= 84 and cue.end - cue.start <= 7 for cue in cues)
    untimed = replace(segment, words=(), end=20.0)
    assert " ".join(cue.text for cue in split_cues([untimed])) == text
    assert list(split_cues([untimed]))[-1].end == pytest.approx(20.0)


def test_subtitles_of_speakers_with_signs_are_valid() -> None:
    text = "Is a < b & b > c --> true?"
    words = timed(text, start=3_599.0)
    segments = [Segment(text, words[0].start, words[-1].end, words, speaker="Ada <3 & Co")]
    segments.append(Segment("Yes.", 3605.0, 3605.0, (TimedWord("Yes.", 3605.0, 3605.0, 0.5),)))
    result = transcript(*segments)
    first, *_, last = parse_vtt(result.format("vtt"))
    assert (first.start, first.text) == (3599.0, "Is a < b & b > c \u2192 true?")
    assert first.voice == "Ada &lt;3 &amp; Co"
    assert (last.start, last.end, last.text) == (3605.0, 3605.1, "Yes.")
    first, *_, last = parse_srt(result.format("srt"))
    assert (first.start, first.text) == (3599.0, "Ada <3 & Co: Is a < b & b > c \u2192 true?")
    assert last.text == "Yes."


def test_an_empty_transcript_is_valid_in_every_format() -> None:
    empty = transcript()
    assert parse_srt(empty.format("srt")) == parse_vtt(empty.format("vtt")) == []
    assert (empty.format("txt"), empty.format("md")) == ("\n", "# A talk\n")
    assert json.loads(empty.format("json"))["segments"] == []


def test_paragraphs_end_at_pauses_and_with_the_speaker() -> None:
    segments = [
        Segment("One.", 0, 1, speaker="Ada"), Segment("Two.", 2, 3, speaker="Ada"),
        Segment("Three.", 6, 7, speaker="Ada"), Segment("Four.", 7, 8, speaker="Bob"),
    ]  # fmt: skip
    result = transcript(*segments)
    assert result.format("txt") == "Ada: One. Two.\n\nAda: Three.\n\nBob: Four.\n"
    assert "**0:06.0** Ada  \nThree.\n\n**0:07.0** Bob" in result.format("md")
    assert result.text == "One. Two. Three. Four."


def test_a_recording_has_the_same_transcript_inside_and_outside_a_knowledge_base(
    tmp_path: Path, cascade: Embedder
) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as kb:
        kb.add([Document("tram", path=str(TRAM)), Document("note", text="A text.")])
        result = kb.transcript("tram")
        with pytest.raises(InputError, match="text without times"):
            kb.transcript("note")
        with pytest.raises(InputError, match="not in the knowledge base"):
            kb.transcript("none")
    outside = Transcriber().transcribe(TRAM)
    assert (result.text, result.title) == (outside.text, outside.title) == (TEXT, "old-tram")
    assert (result.document_id, outside.document_id) == ("tram", None)
    assert [word.text for word in result.words] == TEXT.split()
    starts = [[word.start for word in transcript.words] for transcript in (result, outside)]
    assert starts[0] == pytest.approx(starts[1], abs=0.01)
    data = json.loads(result.format("json"))
    assert data["document_id"] == "tram"
    assert "speaker" not in data["segments"][0]
    assert data["segments"][0]["words"][3]["text"] == "farmer"


def test_a_speech_longer_than_a_window_is_transcribed_once(tmp_path: Path) -> None:
    clip = load(TRAM, 16_000)
    silence = np.zeros(16_000, np.float32)
    write_wav(tmp_path / "long.wav", Clip(np.concatenate([clip.samples, silence] * 7), 16_000))
    result = Transcriber().transcribe(tmp_path / "long.wav")
    assert result.text == " ".join([TEXT] * 7)
    seconds = clip.duration + 1
    starts = [segment.start for segment in result.segments]
    assert np.allclose(np.diff(starts), seconds, atol=0.1)


def test_silence_and_files_without_audio(tmp_path: Path) -> None:
    write_wav(tmp_path / "silence.wav", Clip(np.zeros(32_000, np.float32), 16_000))
    assert Transcriber().transcribe(tmp_path / "silence.wav").segments == ()
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(InputError, match="no audio"):
        Transcriber().transcribe(tmp_path / "a.txt")


def test_the_command_prints_and_writes_transcripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WAVRAG_KB", raising=False)
    assert main(["transcript", str(TRAM)]) == 0
    assert capsys.readouterr().out == f"{TEXT}\n"
    assert not (tmp_path / ".wavrag").exists()
    assert main(["transcript", str(TRAM), "--format", "srt", "--out", "a.srt"]) == 0
    (cue,) = parse_srt((tmp_path / "a.srt").read_text())
    assert cue.text == TEXT
    assert main(["transcript", "missing.wav"]) == 1
    assert "neither a file nor in the knowledge base" in capsys.readouterr().err


def test_the_command_prints_what_is_indexed(
    tmp_path: Path, cascade: Embedder, capsys: pytest.CaptureFixture[str]
) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as kb:
        kb.add([Document("tram", path=str(TRAM))])
    assert main(["transcript", "tram", "--kb", str(tmp_path / "kb"), "--format", "vtt"]) == 0
    (cue,) = parse_vtt(capsys.readouterr().out)
    assert cue.text == TEXT
