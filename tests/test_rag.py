from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from audio_files import tone, write
from wavrag import Clip, Document, KnowledgeBase, Query, WavRAG
from wavrag.answer import NOTHING_FOUND
from wavrag.errors import AudioError, GenerationError, InputError
from wavrag.generate import (
    AudioBudget,
    FakeGenerator,
    GenerateOptions,
    GeneratorSpec,
    Message,
    QuestionPart,
    SourcePart,
)
from wavrag.rag import as_query

RATE = 16_000


class Scripted(FakeGenerator):
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self, *pieces: str, hears: bool = False) -> None:
        self.pieces = pieces
        self.spec = GeneratorSpec("scripted", audio_budget=AudioBudget() if hears else None)
        self.asked: Sequence[Message] = ()
        self.closed = False

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        self.asked = messages
        yield from self.pieces

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    write(tmp_path / "hum.wav", tone(440, 30, RATE)[None], RATE)
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add(
            [
                Document("bees", text="Bees dance to show where flowers are.", title="Bees"),
                Document("hum", path=str(tmp_path / "hum.wav")),
            ]
        )
        yield kb


def test_links_out_of_a_folder_are_noted(kb: KnowledgeBase, tmp_path: Path) -> None:
    folder, target = tmp_path / "folder", tmp_path / "elsewhere.txt"
    folder.mkdir()
    target.write_text("A text outside of the folder.")
    (folder / "link.txt").symlink_to(target)
    report = WavRAG(kb, Scripted()).add(folder)
    assert [path for path, _ in report.notes] == [str(folder / "link.txt")]
    assert report.notes[0][1].endswith(f"was followed to {target}")


def test_an_answer_has_its_citations_hits_and_timings(kb: KnowledgeBase) -> None:
    answer = WavRAG(kb, Scripted("Bees ", "dance [1][9].")).ask("why do bees dance")
    assert answer.text == "Bees dance [1]."
    assert (answer.spoken, answer.spoken_sources) == ("Bees dance.", "Source: Bees.")
    assert answer.found
    assert answer.question == "why do bees dance"
    assert answer.invented_citations == 1
    assert [citation.number for citation in answer.citations] == [1]
    assert answer.citations[0].passage.document_id == "bees"
    assert answer.citations[0].quote == "Bees dance to show where flowers are."
    assert answer.hits[0].passage.document_id == "bees"
    assert set(answer.timings) == {"embed", "search", "read", "first_piece", "generate"}


def test_a_stream_gives_pieces_and_then_the_answer(kb: KnowledgeBase) -> None:
    stream = WavRAG(kb, Scripted("Bees ", "dance [1].")).stream("bees")
    assert list(stream) == ["Bees ", "dance [1]."]
    assert stream.answer.text == "Bees dance [1]."
    assert list(stream) == []
    assert stream.answer is stream.answer


def test_a_statement_without_a_mark_gets_one_where_a_source_says_it(kb: KnowledgeBase) -> None:
    answer = WavRAG(kb, Scripted("Bees dance to show where the flowers are.")).ask("bees")
    assert answer.citations[0].passage.document_id == "bees"
    assert "[1]" in answer.text


@pytest.mark.parametrize(
    ("pieces", "text"), [((), NOTHING_FOUND), (("I don't know.",), "I don't know.")]
)
def test_not_knowing_is_not_found(kb: KnowledgeBase, pieces: tuple[str, ...], text: str) -> None:
    answer = WavRAG(kb, Scripted(*pieces)).ask("bees")
    assert (answer.text, answer.found, answer.citations) == (text, False, ())


def test_an_empty_base_asks_no_generator(tmp_path: Path) -> None:
    generator = Scripted("Made up [1].")
    with WavRAG(KnowledgeBase.open(tmp_path, embedder="fake"), generator) as rag:
        answer = rag.ask("anything")
    assert not answer.found
    assert generator.asked == ()
    assert generator.closed


def test_a_generator_that_hears_gets_the_sound_of_recordings(kb: KnowledgeBase) -> None:
    question = Clip(tone(440, 1, RATE), RATE)
    for hears in (True, False):
        generator = Scripted("It hums [1].", hears=hears)
        WavRAG(kb, generator).ask(Query("what hums", clip=question))
        parts = [part for message in generator.asked for part in message.parts]
        asked = next(part for part in parts if isinstance(part, QuestionPart))
        assert asked.clip is question
        for source in (part for part in parts if isinstance(part, SourcePart)):
            passage = source.hit.passage
            if passage.modality == "audio" and hears:
                assert source.clip is not None
                assert passage.start is not None
                assert passage.end is not None
                assert source.clip.duration == pytest.approx(passage.end - passage.start, abs=0.01)
                assert np.abs(source.clip.samples).max() == pytest.approx(0.25, abs=0.01)
            else:
                assert source.clip is None


def test_questions_of_every_kind(kb: KnowledgeBase, tmp_path: Path) -> None:
    clip = Clip(tone(440, 1, RATE), RATE)
    assert as_query("words", "year = 1").where == "year = 1"
    assert as_query(clip).clip is clip
    heard = as_query(tmp_path / "hum.wav").clip
    assert heard is not None
    assert heard.duration == pytest.approx(30)
    query = Query("x", where="a = 1")
    assert as_query(query) is query
    assert as_query(query, "b = 2").where == "b = 2"
    with pytest.raises(AudioError, match="no such file"):
        as_query(tmp_path / "none.wav")
    with pytest.raises(InputError, match="the query is empty"):
        WavRAG(kb, FakeGenerator()).ask("")


def test_adding_takes_paths_and_documents(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("A comet came by.")
    with WavRAG.open(tmp_path / "kb", embedder="fake") as rag:
        report = rag.add(
            tmp_path / "note.txt", Document("d", text="x"), "none.txt", metadata={"year": 1}
        )
        assert report.added == ["d", str(tmp_path / "note.txt")]
        assert [Path(source).name for source, _ in report.skipped] == ["none.txt"]
        assert rag.search("comet", where="year = 1")[0].passage.source.endswith("note.txt")
        assert rag.generator.spec.name == "extractive"


def test_an_unknown_generator_makes_no_knowledge_base(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="no generator is called"):
        WavRAG.open(tmp_path / "kb", generator="nonsense")
    assert not (tmp_path / "kb").exists()
