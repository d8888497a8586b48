"""From hits to a checked answer: abstaining, withholding, conversation, words of recordings."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import lancedb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio_files import tone, write
from wavrag import Clip, Document, KnowledgeBase, Query, WavRAG
from wavrag.answer import NOTHING_FOUND, AnswerOptions, ReasoningOptions
from wavrag.answer.context import ContextOptions
from wavrag.audio import load
from wavrag.embed import EmbedResult, FakeEmbedder
from wavrag.embed.fake import SPEC
from wavrag.embed.recogniser import RecogniserSpec
from wavrag.errors import GenerationError
from wavrag.generate import (
    AudioBudget,
    FakeGenerator,
    GenerateOptions,
    Generator,
    GeneratorSpec,
    Message,
    extractive,
)
from wavrag.generate.base import TextPart
from wavrag.generate.extractive import ExtractiveGenerator
from wavrag.generate.map_reduce import MapReduceGenerator
from wavrag.generate.prompts import chat, find_question
from wavrag.kb import Retrieval, find_files
from wavrag.kb.transcripts import TranscriptCache
from wavrag.store import WORDS_FILE, FolderRecords
from wavrag.types import EmbedInput, HistoryTurn, Role

DEMO = Path(__file__).parent.parent / "src" / "wavrag" / "demo" / "data"
RATE = 16_000
OPEN = AnswerOptions(min_probability=0.0)


class Says(FakeGenerator):
    """Says what it is told to, and keeps what it was asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[Sequence[Message]] = []

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        self.asked.append(messages)
        yield self.text

    @property
    def prompt(self) -> str:
        """What it was last shown."""
        return "\n".join(line["content"] for line in chat(self.asked[-1]))


class Reads(Says):
    """The same for one that reads only."""

    spec = GeneratorSpec("reads")


class HearsWords(FakeEmbedder):
    """Recognises in every clip what it is told to."""

    def __init__(self, words: str) -> None:
        self.words = words

    @property
    def spec(self):  # type: ignore[no-untyped-def]
        return replace(SPEC, transcribes=True)

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        heard = [item if item.clip is None else EmbedInput(text=self.words) for item in inputs]
        return EmbedResult(self.embed(heard, role), tuple(item.text for item in heard))


def texts(folder: Path, embedder: FakeEmbedder | None = None) -> KnowledgeBase:
    kb = KnowledgeBase.open(folder, embedder=embedder or FakeEmbedder())
    kb.add(
        [
            Document("bees", text="Bees dance to show where flowers are. A dance lasts a minute."),
            Document("ferry", text="The ferry to Gull Island leaves at nine. A ticket is 4 euros."),
            Document("museum", text="The museum opens at ten. A ticket is 7 euros."),
        ]
    )
    return kb


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with texts(tmp_path / "kb") as kb:
        yield kb


def test_weak_retrieval_asks_no_generator(kb: KnowledgeBase) -> None:
    generator = Says("Made up [1].")
    gate = AnswerOptions(min_probability=1.0)
    stream = WavRAG(kb, generator, gate).stream("volcanoes of the south")
    assert list(stream) == [NOTHING_FOUND]
    answer = stream.answer
    assert answer.abstention is not None
    assert (answer.abstention.reason, answer.found) == ("weak retrieval", False)
    assert 0 < answer.probability < 1
    # The closest passages come with the silence.
    assert {hit.passage.document_id for hit in answer.hits} <= {"bees", "ferry", "museum"}
    assert answer.hits
    assert answer.source_forms == ("nothing",) * len(answer.hits)
    assert answer.withheld == ""
    assert not generator.asked


def test_fusion_by_ranks_does_not_silence_answers(tmp_path: Path) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder="minilm", fusion="ranks") as kb:
        kb.add([Document("ferry", text="The ferry to Gull Island leaves at nine.")])
        answer = WavRAG(kb, Says("The ferry leaves at nine [1].")).ask("When does the ferry leave?")
    assert answer.found


def test_what_nothing_supports_is_withheld(kb: KnowledgeBase) -> None:
    stream = WavRAG(kb, Says("Ferries sink each Tuesday [1]."), OPEN).stream(
        "when does the ferry go"
    )
    assert list(stream) == ["Ferries sink each Tuesday [1]."]
    answer = stream.answer
    assert (answer.text, answer.found, answer.citations) == (NOTHING_FOUND, False, ())
    assert answer.withheld == "Ferries sink each Tuesday [1]."
    assert answer.abstention is not None
    assert answer.abstention.reason == "nothing supported"
    assert answer.abstention.detail == "0 of 1 sentences are supported by their citations"
    assert answer.hits
    assert answer.support == ()
    assert answer.history_turn == HistoryTurn("when does the ferry go", "")


def test_a_sentence_without_support_is_told_apart(kb: KnowledgeBase) -> None:
    text = "The ferry leaves at nine [1]. Ducks like it very much [1]."
    answer = WavRAG(kb, Says(text), OPEN).ask("when does the ferry to Gull Island leave")
    assert answer.text == text
    assert answer.found
    assert [one.supported for one in answer.support] == [True, False]
    assert answer.abstention is None
    assert answer.source_forms == ("words",) * len(answer.hits)


# Conversation


def test_a_follow_up_is_searched_for_with_what_it_leans_on(kb: KnowledgeBase) -> None:
    generator = Reads("It is 4 euros [1].")
    rag = WavRAG(kb, generator, OPEN)
    history = [HistoryTurn("When does the ferry to Gull Island leave?", "At nine [1].")]
    answer = rag.ask("and what is a ticket?", history=history)
    assert answer.question == "and what is a ticket?"
    assert answer.search_query == "When does the ferry to Gull Island leave? and what is a ticket?"
    assert answer.hits[0].passage.document_id == "ferry"
    # A model reads the turns and the question as it was asked.
    assert find_question(generator.asked[-1]).text == "and what is a ticket?"
    assert "At nine." in generator.prompt
    assert "Gull Island leave?" in generator.prompt

    other = rag.ask("When does the museum open its doors?", history=history)
    assert other.search_query is None
    assert other.hits[0].passage.document_id == "museum"
    assert rag.ask("and what is a ticket?").search_query is None


def count_searches(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> list[Query]:
    """The queries that the knowledge base is searched for from now on."""
    queries: list[Query] = []
    retrieve = kb.retrieve

    def counted(query: Query, k: int = 10) -> Retrieval:
        queries.append(query)
        return retrieve(query, k)

    monkeypatch.setattr(kb, "retrieve", counted)
    return queries


def test_a_typed_follow_up_is_searched_once(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = count_searches(kb, monkeypatch)
    history = [HistoryTurn("When does the ferry to Gull Island leave?", "At nine [1].")]
    rag = WavRAG(kb, Reads("It is 4 euros [1]."), OPEN)
    rag.ask("and what is a ticket?", history=history)
    asked = "When does the ferry to Gull Island leave? and what is a ticket?"
    assert [query.text for query in queries] == [asked]
    rag.ask("When does the museum open its doors?", history=history)
    assert len(queries) == 2


def test_a_spoken_question_is_searched_again_only_for_a_follow_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip(tone(440, 1, RATE), RATE)
    with texts(tmp_path, HearsWords("and what is a ticket there")) as kb:
        queries = count_searches(kb, monkeypatch)
        rag = WavRAG(kb, Reads("4 euros [1]."), OPEN)
        rag.ask(Query(clip=clip))
        assert len(queries) == 1
        rag.ask(
            Query(clip=clip), history=[HistoryTurn("When does the ferry to Gull Island leave?", "")]
        )
    assert [query.modality for query in queries] == ["audio", "audio", "text"]


def test_a_follow_up_is_quoted_by_its_own_words(kb: KnowledgeBase) -> None:
    history = [HistoryTurn("When does the ferry to Gull Island leave?", "At nine [1].")]
    answer = WavRAG(kb, ExtractiveGenerator(), OPEN).ask("what is a ticket there?", history=history)
    assert "A ticket is 4 euros. [1]" in answer.text


def test_sentences_are_ranked_once_and_the_short_answer_is_marked(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    rank = extractive._rank
    monkeypatch.setattr(extractive, "_rank", lambda *args: calls.append(args) or rank(*args))
    question = "How much is a ticket to Gull Island?"
    answer = WavRAG(kb, ExtractiveGenerator(), OPEN).ask(question)
    assert len(calls) == 1
    assert "A ticket is 4 euros. [1]" in answer.text
    assert answer.short_span is not None
    assert answer.short == answer.text[slice(*answer.short_span)]
    assert answer.short in {"4", "4 euros"}
    written = WavRAG(kb, Says("It is 4 euros [1]."), OPEN).ask(question)
    assert (written.short, written.short_span) == ("", None)


def test_a_spoken_follow_up_is_resolved_by_its_words(tmp_path: Path) -> None:
    clip = Clip(tone(440, 1, RATE), RATE)
    with texts(tmp_path, HearsWords("and what is a ticket there")) as kb:
        rag = WavRAG(kb, Reads("4 euros [1]."), OPEN)
        asked = Query(clip=clip)
        assert rag.ask(asked).search_query is None
        answer = rag.ask(
            asked, history=[HistoryTurn("When does the ferry to Gull Island leave?", "")]
        )
    assert answer.search_query is not None
    assert answer.search_query.endswith("leave? and what is a ticket there")
    assert answer.hits[0].passage.document_id == "ferry"


# Words of recordings


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recorded sentence about a spare key, with a tone after it, in a folder of its own."""
    folder = tmp_path / "Tonbänder 1"
    folder.mkdir()
    return Path(shutil.copy(DEMO / "questions" / "spare-key.opus", folder))


def test_words_are_recognised_when_they_are_to_be_read_and_kept(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add([Document("r", path=str(recording))])
        generator = Reads("A spare key [1].")
        answer = WavRAG(kb, generator, OPEN).ask("spare key")
        (hit,) = answer.hits
        assert "spare key" in (hit.passage.text or "").lower()
        assert "spare key" in generator.prompt.lower()
        assert (
            '[1] recording "spare-key", 0:00.1-0:02.7, speech, 2.6 s, of usual' in generator.prompt
        )
        assert answer.source_forms == ("words",)
        assert kb.search("spare key")[0].passage.text is None  # what is found stays as it was
        assert (kb.directory / WORDS_FILE).exists()

        def refuse(*_: object) -> str:
            raise AssertionError("recognised again")

        monkeypatch.setattr("wavrag.embed.moonshine.Moonshine.transcribe", refuse)
        assert WavRAG(kb, generator, OPEN).ask("spare key").hits == answer.hits
        kept_out = replace(OPEN, transcribe=False)
        assert WavRAG(kb, generator, kept_out).ask("spare key").hits[0].passage.text is None


def test_a_recording_that_is_gone_is_still_named(
    tmp_path: Path, recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add([Document("r", path=str(recording))])
        recording.unlink()
        generator = Reads("I don't know.")
        with caplog.at_level(logging.WARNING):
            answer = WavRAG(kb, generator, OPEN).ask("spare key")
    assert answer.source_forms == ("nothing",)
    assert "(sound without words)" in generator.prompt
    assert "no such file" in caplog.text


def test_kept_words_that_cannot_be_read_are_recognised_anew(
    tmp_path: Path, recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = load(recording)
    words = TranscriptCache(FolderRecords(tmp_path))
    (tmp_path / WORDS_FILE).write_bytes(b"no database at all" * 100)
    with caplog.at_level(logging.WARNING):
        assert "spare key" in words.get(clip).lower()
    assert "cannot be read" in caplog.text
    assert "cannot be written" in caplog.text


def test_words_belong_to_their_sound_and_their_recogniser(tmp_path: Path, recording: Path) -> None:
    class Counts:
        def __init__(self, revision: str) -> None:
            self.spec = RecogniserSpec("counts", revision, RATE, 30.0, ("en",), "MIT")
            self.said = 0

        def transcribe(self, clip: Clip) -> str:
            self.said += 1
            return f"word {self.said}"

    clip = load(recording)
    words = TranscriptCache(FolderRecords(tmp_path), Counts("a"))
    assert words.get(clip) == words.get(clip) == "word 1"
    assert words.get(replace(clip, samples=0.9 * clip.samples)) == "word 2"
    assert words.transcribe(clip) == "word 3"
    assert TranscriptCache(FolderRecords(tmp_path), Counts("a")).get(clip) == "word 1"
    assert TranscriptCache(FolderRecords(tmp_path), Counts("b")).get(clip) == "word 1"
    silence = Clip(np.zeros(RATE, np.float32), RATE)
    assert words.get(silence) == ""


def test_sound_without_a_voice_is_called_so(tmp_path: Path) -> None:
    write(tmp_path / "hum.wav", tone(440, 12, RATE)[None], RATE)
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add([Document("hum", path=str(tmp_path / "hum.wav"))])
        generator = Reads("It hums [1].")
        answer = WavRAG(kb, generator, OPEN).ask("what hums")
    assert "sound without speech, " in generator.prompt
    assert answer.source_forms == ("nothing",) * len(answer.hits)


@pytest.mark.parametrize("embedder", ["fake", "cascade"])
def test_a_text_generator_decodes_no_recording(
    tmp_path: Path, recording: Path, embedder: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(recording.parent / "hum.wav", tone(440, 12, RATE)[None], RATE)
    with KnowledgeBase.open(tmp_path / "kb", embedder=embedder) as kb:
        kb.add(find_files([recording.parent]).documents)
        shutil.rmtree(recording.parent)
        generator = Reads("I don't know.")
        # The words of the cascade can be quoted; those of the fake would have to be recognised.
        wide = ContextOptions(max_gap=2.0, max_gap_agreed=2.0, min_score=0.0)
        options = replace(OPEN, context=wide, transcribe=embedder == "cascade")
        with caplog.at_level(logging.WARNING):
            WavRAG(kb, generator, options).ask("where is the spare key that hums")
    assert 'recording "spare-key", 0:00.1-0:02.7, speech, 2.6 s, of usual' in generator.prompt
    assert "sound without speech, " in generator.prompt
    assert caplog.text == ""


def drop_columns(store: Path, *names: str) -> None:
    """Make a store as it was before it had these columns, and recorded its commits."""
    lancedb.connect(store).open_table("passages").drop_columns(list(names))
    (store / "commit.json").unlink()


def test_a_knowledge_base_without_measurements_is_measured_when_it_is_asked(
    tmp_path: Path, recording: Path
) -> None:
    folder = tmp_path / "kb"
    with KnowledgeBase.open(folder, embedder="fake") as kb:
        kb.add([Document("r", path=str(recording))])
    drop_columns(folder / "store", "speech", "level")
    label = '[1] recording "spare-key", 0:00.1-0:02.7, speech, 2.6 s, of usual'
    generator = Reads("A spare key [1].")
    with KnowledgeBase.open(folder) as kb:
        assert kb.search("spare key")[0].passage.level is None
        WavRAG(kb, generator, OPEN).ask("spare key")
        assert label in generator.prompt
        write(tmp_path / "hum.wav", tone(440, 12, RATE)[None], RATE)
        kb.add([Document("hum", path=str(tmp_path / "hum.wav"))])
        assert kb.search("hum")[0].passage.speech is False
        assert kb.head("r") is not None
        assert kb.verify() == []


# Audio-capable generators


class Hears(Says):
    """Hears clips of up to 12 s, one of them."""

    spec = GeneratorSpec("hears", audio_budget=AudioBudget(max_clip_seconds=12.0, max_clips=1))

    @property
    def sounds(self) -> list[float]:
        """Seconds of each clip that it was last given."""
        parts = [part for message in self.asked[-1] for part in message.parts]
        clips = [part.clip for part in parts if not isinstance(part, TextPart)]
        return [round(clip.duration, 1) for clip in clips if clip is not None]


def test_what_is_not_heard_is_read(tmp_path: Path, recording: Path) -> None:
    write(tmp_path / "gulls.wav", tone(440, 10, RATE)[None], RATE)
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add(
            [
                Document("key", path=str(recording), title="spare key"),
                Document("gulls", path=str(tmp_path / "gulls.wav"), metadata={"caption": "gulls"}),
                Document("note", text="A note on spare keys.", title="note"),
            ]
        )
        generator = Hears("It is a spare key [1].")
        wide = replace(OPEN, context=ContextOptions(max_gap=2.0, max_gap_agreed=2.0, min_score=0.0))
        answer = WavRAG(kb, generator, wide).ask("spare key gulls note")
        modes = dict(
            zip([h.passage.document_id for h in answer.hits], answer.source_forms, strict=True)
        )
        assert modes.pop("note") == "words"
        # One clip goes in: that of the better of the two recordings.
        first = next(h.passage.document_id for h in answer.hits if h.passage.document_id in modes)
        assert modes.pop(first) == "sound"
        assert modes == {"key": "words"} or modes == {"gulls": "caption"}
        assert len(generator.sounds) == 1

        spoken = Clip(tone(300, 2, RATE), RATE)
        answer = WavRAG(kb, generator, OPEN).ask(Query("spare key gulls", clip=spoken))
        assert generator.sounds == [2.0]  # the question comes first
        assert "sound" not in answer.source_forms


def test_a_question_too_long_to_be_heard_is_read(tmp_path: Path, recording: Path) -> None:
    with texts(tmp_path / "kb") as kb:
        said = load(recording)
        long = Clip(np.concatenate([said.samples, np.zeros(20 * RATE, np.float32)]), RATE)
        generator = Hears("I don't know.")
        answer = WavRAG(kb, generator, OPEN).ask(long)
        assert generator.sounds == []
        assert "spare key" in (answer.question or "").lower()
        with pytest.raises(GenerationError, match="without words") as caught:
            WavRAG(kb, generator, replace(OPEN, transcribe=False)).ask(long)
        assert caught.value.hits


# No citation of what was not retrieved, in any mode

MARKS = st.sampled_from(
    ["[1]", "[2]", "[3]", "[9]", "[0]", "[1-7]", "[2, 8]", "[[4]1]", "[source 2]"]
)
WORDS = st.sampled_from(
    "the ferry leaves at nine . bees dance to show where flowers are museum opens ten not".split()
)
WRITTEN = st.lists(st.one_of(WORDS, MARKS), max_size=14).map(" ".join)


@pytest.fixture(scope="module")
def one_kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with texts(tmp_path_factory.mktemp("kb")) as kb:
        yield kb


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(written=WRITTEN, mode=st.sampled_from(["write", "think", "paths", "alone", "quote"]))
def test_only_what_was_retrieved_is_cited(one_kb: KnowledgeBase, written: str, mode: str) -> None:
    generator: Generator = Says(written)
    if mode == "alone":
        generator = MapReduceGenerator(generator)
    if mode == "quote":
        generator = ExtractiveGenerator()
    reasoning = {
        "think": ReasoningOptions(paths=1),
        "paths": ReasoningOptions(paths=3, think=False),
    }
    question = written if mode == "quote" and written.strip() else "ferry bees museum"
    try:
        answer = WavRAG(one_kb, generator, OPEN).ask(question, reasoning=reasoning.get(mode))
    except GenerationError:
        assert mode in reasoning  # no path wrote anything
        return
    retrieved = {hit.passage.id for hit in answer.hits}
    assert {citation.passage.id for citation in answer.citations} <= retrieved
    marks = {int(mark.split("]")[0]) for mark in answer.text.split("[")[1:] if mark[:1].isdigit()}
    assert marks == {citation.number for citation in answer.citations}
    assert all(1 <= number <= len(answer.hits) for number in marks)
    if mode == "quote":
        assert bool(answer.citations) is answer.found
