"""Times of words: alignment, their cache, and quotes of answers."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from wavrag import Clip, Document, KnowledgeBase, WavRAG
from wavrag.answer.quote_times import add_quote_times, quote_words
from wavrag.audio import load, write_wav
from wavrag.demo import DATA
from wavrag.embed import Embedder, FakeEmbedder, WordAligner
from wavrag.generate import load_generator
from wavrag.kb.word_times import WordTimeCache
from wavrag.shapes import AnswerShape
from wavrag.store import FolderRecords
from wavrag.types import Citation, EmbedInput, Float32, Passage, TimedWord

RATE = 16_000
TEXTS = {
    "great-fire": "Which buildings in Fairhaven survived the great fire.",
    "peace-lily": "Why does my peace lily have brown tips?",
    "old-tram": "What did the farmer do with the old tram?",
}


def question(name: str) -> Float32:
    """Samples of a question of the demo, without silence around it."""
    samples = load(DATA / "questions" / f"{name}.opus", RATE).samples
    blocks = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    level = np.sqrt((blocks**2).mean(1))
    loud = np.flatnonzero(level > 0.03 * level.max())
    return samples[160 * loud[0] : 160 * (loud[-1] + 1)]


def join(*names: str, gap: float = 0.5) -> tuple[Clip, str, list[tuple[float, float]]]:
    """A clip of several questions with silence before each, its text, and the times of each."""
    blocks, spans, position = [], [], 0
    for name in names:
        samples = question(name)
        position += round(gap * RATE)
        blocks += [np.zeros(round(gap * RATE), np.float32), samples]
        spans.append((position / RATE, (position + len(samples)) / RATE))
        position += len(samples)
    text = " ".join(TEXTS[name] for name in names)
    return Clip(np.concatenate([*blocks, blocks[0]]), RATE), text, spans


@pytest.fixture(scope="module")
def aligner() -> WordAligner:
    return WordAligner()


def test_words_have_the_times_at_which_they_are_spoken(aligner: WordAligner) -> None:
    clip, text, spans = join("great-fire", "peace-lily", "old-tram")
    words = aligner.align(replace(clip, start=100.0), text)
    assert " ".join(word.text for word in words) == text
    position = 0
    for name, (start, end) in zip(TEXTS, spans, strict=True):
        count = len(TEXTS[name].split())
        sentence = words[position : position + count]
        assert sentence[0].start == pytest.approx(100 + start, abs=0.2)
        assert sentence[-1].end == pytest.approx(100 + end, abs=0.2)
        position += count
    starts = [word.start for word in words]
    assert starts == sorted(starts)
    assert all(word.start < word.end for word in words)
    assert all(a.end <= b.start + 1e-6 for a, b in pairwise(words))


def test_words_that_were_not_spoken_are_improbable(aligner: WordAligner) -> None:
    clip, _, _ = join("old-tram")
    words = aligner.align(clip, "What did the farmer do with the zebra?")
    assert words[3].probability > 0.8 > 0.5 > words[-1].probability


def test_tokens_without_letters_lie_between_their_neighbours(aligner: WordAligner) -> None:
    clip, _, _ = join("old-tram")
    words = aligner.align(clip, "— What did the farmer & § do with the old tram? …")
    plain = aligner.align(clip, TEXTS["old-tram"])
    assert [w.text for w in words if not w.probability] == ["—", "&", "§", "…"]
    assert [w for w in words if w.probability] == list(plain)
    dash, ampersand, section, dots = (word for word in words if not word.probability)
    assert (dash.start, dash.end) == (0.0, words[1].start)
    assert words[4].end == ampersand.start <= ampersand.end == section.start <= words[7].start
    assert dots.end == pytest.approx(clip.duration, abs=1e-3)


def test_a_clip_longer_than_the_network_takes_is_aligned_in_pieces(aligner: WordAligner) -> None:
    names = list(TEXTS) * 4
    clip, text, spans = join(*names)
    assert clip.duration > 30
    words = aligner.align(clip, text)
    last = words[-len(TEXTS[names[-1]].split()) :]
    assert last[0].start == pytest.approx(spans[-1][0], abs=0.2)
    assert last[-1].end == pytest.approx(spans[-1][1], abs=0.2)
    # Frames of the pieces fit together: as many as in one call, and the same words at the cuts.
    assert len(aligner.letters(clip.samples)) == pytest.approx(clip.duration / 0.024, abs=3)


@pytest.mark.parametrize("seconds", [0.05, 27.9, 28.1, 50.0])
def test_there_is_a_frame_every_24_milliseconds(aligner: WordAligner, seconds: float) -> None:
    frames = len(aligner.letters(np.zeros(round(seconds * RATE), np.float32)))
    assert frames == pytest.approx(max(seconds, 0.1) / 0.024, abs=3)


def test_a_text_too_long_for_its_clip_has_no_times(aligner: WordAligner) -> None:
    assert aligner.align(Clip(np.zeros(RATE, np.float32), RATE), "word " * 50) == ()
    assert aligner.align(Clip(np.zeros(RATE, np.float32), RATE), " … ") == ()


def test_times_are_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, text, _ = join("old-tram")
    words = WordTimeCache(FolderRecords(tmp_path)).get(clip, text)
    assert [word.text for word in words] == text.split()

    def fail(*_: object) -> tuple[TimedWord, ...]:
        raise AssertionError("aligned again")

    monkeypatch.setattr(WordAligner, "align", fail)
    assert WordTimeCache(FolderRecords(tmp_path)).get(clip, text) == words
    later = WordTimeCache(FolderRecords(tmp_path)).get(replace(clip, start=60.0), text)
    assert later[0].start == pytest.approx(words[0].start + 60)
    with pytest.raises(AssertionError, match="aligned again"):
        WordTimeCache(FolderRecords(tmp_path)).get(clip, f"{text} Another text.")


@pytest.mark.parametrize(
    ("quote", "words"),
    [
        ("Two bells.", (2, 4)),
        ("One bell.", (0, 2)),
        ("bells.Three", (3, 4)),
        ("Three.", (3, 4)),
        ("Four.", (0, 0)),
    ],
)
def test_a_quote_is_found_in_the_words_of_its_passage(quote: str, words: tuple[int, int]) -> None:
    assert quote_words("One bell. Two bells.Three.", quote) == words


def test_answers_cite_the_seconds_of_their_quotes(tmp_path: Path, cascade: Embedder) -> None:
    clip, _, spans = join("great-fire", "peace-lily", "old-tram")
    write_wav(tmp_path / "notes.wav", clip)
    with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as kb:
        kb.add([Document("notes", path=str(tmp_path / "notes.wav"))])
        rag = WavRAG(kb, load_generator("extractive"))
        answer = rag.ask("Which buildings survived the great fire?")
        (tmp_path / "notes.wav").unlink()
        unreadable = rag.ask("Which buildings survived the great fire?")
    (citation,) = answer.citations
    assert citation.quote.startswith("Which buildings")
    assert citation.start == pytest.approx(spans[0][0], abs=0.2)
    assert citation.end == pytest.approx(spans[0][1], abs=0.2)
    assert " ".join(word.text for word in citation.words) == citation.quote
    assert citation.location == "0:00.4-0:03.7" != citation.passage.location
    data = AnswerShape.dump(answer)["citations"][0]
    assert (data["quote_start"], data["quote_end"]) == (citation.start, citation.end)
    assert (data["start"], data["end"]) == (citation.passage.start, citation.passage.end)
    assert data["location"] == citation.location
    assert [word["text"] for word in data["quote_words"]] == citation.quote.split()
    assert unreadable.citations[0].location == citation.passage.location
    assert "quote_start" not in AnswerShape.dump(unreadable)["citations"][0]


def test_a_citation_of_a_sound_names_the_closest_part(tmp_path: Path) -> None:
    seconds = np.arange(10 * RATE) / RATE
    samples = 0.1 * np.sin(2 * np.pi * 300 * seconds)
    samples[6 * RATE :] = 0.1 * np.sin(2 * np.pi * 3_000 * seconds[6 * RATE :])
    clip = Clip(samples.astype(np.float32), RATE)
    write_wav(tmp_path / "tones.wav", clip)
    passage = Passage("tones", 0, start=0.0, end=10.0, source=str(tmp_path / "tones.wav"))
    passage = replace(passage, speech=False)
    embedder = FakeEmbedder()
    high, both = embedder.embed(
        [EmbedInput(clip=Clip(clip.samples[6 * RATE :], RATE)), EmbedInput(clip=clip)], "query"
    )
    with KnowledgeBase.open(tmp_path / "kb", embedder=embedder) as kb:
        (citation,) = add_quote_times(kb, [Citation(1, passage)], high)
        (complete,) = add_quote_times(kb, [Citation(1, passage)], both)
    assert citation.location == "0:06.0-0:10.0"
    assert (complete.start, complete.location) == (None, "0:00.0-0:10.0")
