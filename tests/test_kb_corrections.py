"""Corrections of transcripts by hand: stored, indexed, and kept by the next indexing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wavrag import Clip, Document, KnowledgeBase, Query
from wavrag.audio import load, write_wav
from wavrag.demo import DATA
from wavrag.embed import Embedder, FakeEmbedder
from wavrag.errors import InputError
from wavrag.kb.transcript_corrections import TranscriptCorrection
from wavrag.types import TimedWord

FIRST, SECOND = (
    "What did the farmer do with the old tram?",
    "Why does my peace lily have brown tips?",
)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two questions, one passage."""
    names = ("old-tram", "peace-lily")
    clips = [load(DATA / "questions" / f"{name}.opus", 16_000).samples for name in names]
    write_wav(tmp_path / "questions.wav", Clip(np.concatenate(clips), 16_000))
    return tmp_path / "questions.wav"


def words(text: str, start: float = 0.0) -> tuple[TimedWord, ...]:
    return tuple(
        TimedWord(word, start + i, start + i + 0.5, 0.9) for i, word in enumerate(text.split())
    )


def correct(kb: KnowledgeBase, old: str, new: str) -> None:
    """Replace the first sentence that contains a text."""
    (segment,) = [s for s in kb.transcript("talk").segments if old in s.text]
    kb.correct_transcript("talk", segment.start, segment.end, segment.text.replace(old, new))


def find(kb: KnowledgeBase, word: str) -> str | None:
    """Text of the only passage that contains a word."""
    (hit,) = [hit for hit in kb.search(word) if "lexical" in hit.legs]
    return hit.passage.text


@pytest.mark.parametrize("make", ["cascade", "fake"])
def test_a_correction_is_searched_and_never_lost(
    tmp_path: Path, recording: Path, cascade: Embedder, make: str
) -> None:
    embedder = cascade if make == "cascade" else FakeEmbedder()
    document = Document("talk", path=str(recording))
    with KnowledgeBase.open(tmp_path / "kb", embedder=embedder) as kb:
        kb.add([document, Document("note", text="Ships and harbours.")])
        assert kb.transcript("talk").text == f"{FIRST} {SECOND}"
        correct(kb, "peace lily", "Spathiphyllum")
        expected = f"{FIRST} {SECOND.replace('peace lily', 'Spathiphyllum')}"
        assert kb.transcript("talk").text == expected
        assert find(kb, "Spathiphyllum") == expected
        (word,) = [w for w in kb.transcript("talk").words if w.text == "Spathiphyllum"]
        assert 3.2 < word.start < word.end < 6.1
        # Indexed again under another title, from scratch, and after another correction.
        kb.add([replace(document, title="Other title")])
        assert find(kb, "Spathiphyllum") == expected
        kb.remove(["talk"])
        kb.add([document])
        correct(kb, "farmer", "baker")
        assert kb.transcript("talk").text == expected.replace("farmer", "baker")
        correct(kb, "Spathiphyllum", "peace lily")
        assert kb.transcript("talk").text == f"{FIRST.replace('farmer', 'baker')} {SECOND}"
        assert kb.passages("note")[0].text == "Ships and harbours."
        assert kb.verify() == []


def test_a_corrected_text_has_the_vector_of_its_words(
    tmp_path: Path, recording: Path, cascade: Embedder
) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as kb:
        kb.add([Document("talk", path=str(recording))])
        (before,) = kb.scan()
        correct(kb, "tram", "zeppelin")
        (after,) = kb.scan()
        query = kb.retrieve(Query("What did the farmer do with the zeppelin?")).vector
    assert after.vector @ query > before.vector @ query + 0.05


def test_corrections_need_words(tmp_path: Path, recording: Path, cascade: Embedder) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as kb:
        kb.add([Document("talk", path=str(recording))])
        with pytest.raises(InputError, match="no words from 50 to 60 s"):
            kb.correct_transcript("talk", 50, 60, "words")
        with pytest.raises(InputError, match="no words"):
            kb.correct_transcript("talk", 0, 3, "words", channel=2)
        with pytest.raises(InputError, match="no words"):
            kb.correct_transcript("none", 0, 3, "words")


def test_a_correction_replaces_words_within_its_times() -> None:
    correction = TranscriptCorrection(1.0, 2.6, words("too thee", 1), words("two three", 1))
    result = correction.apply(words("one too thee four"), 0, 10)
    assert [word.text for word in result] == ["one", "two", "three", "four"]
    # Words that are corrected already stay; so does another recording under the same id.
    assert correction.apply(result, 0, 10) == result
    other = words("bells ring over meadows")
    assert correction.apply(other, 0, 10) == list(other)
    # A window that ends within the correction gets its own words only.
    assert [w.text for w in correction.apply(words("one too"), 0, 1.8)] == ["one", "two"]


def test_words_can_be_removed(tmp_path: Path, recording: Path, cascade: Embedder) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as kb:
        kb.add([Document("talk", path=str(recording))])
        correct(kb, FIRST, "")
        assert kb.transcript("talk").text == SECOND
        kb.add([Document("talk", path=str(recording), title="again")])
        assert kb.transcript("talk").text == SECOND
