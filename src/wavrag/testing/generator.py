"""What every generator must keep: subclass, give the fixture, inherit the tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from wavrag.generate import (
    AnswerEnd,
    GenerateOptions,
    Generator,
    Message,
    QuestionPart,
    Stream,
    answer_messages,
    parse_citations,
    sources_of,
)
from wavrag.types import Hit, Passage

QUESTION = "When does the ferry to the island leave?"
OPTIONS = GenerateOptions(max_tokens=24)


def supported() -> list[Message]:
    """A question that its first source answers; the second is a span of a recording."""
    passages = [
        Passage("t.md", 0, "The ferry to the island leaves at nine.", title="Timetable"),
        Passage("a.wav", 3, "The museum opens at ten.", start=12.0, end=19.5, source="a.wav"),
    ]
    hits = [
        Hit(passage, rank, 1.0 / rank, {"dense": 0.9 / rank})
        for rank, passage in enumerate(passages, start=1)
    ]
    return answer_messages(QuestionPart(QUESTION), hits)


class GeneratorConformance:
    """Tests of the generator seam.

    A subclass gives a fixture `generator`. It sets `cites` to False for a model too small to be
    relied on for citation marks, and `empty_without_sources` to False for one that writes whatever
    it is given.
    """

    cites = True
    empty_without_sources = True

    @pytest.fixture
    def messages(self) -> list[Message]:
        """A supported question."""
        return supported()

    def test_satisfies_the_protocol(self, generator: Generator) -> None:
        assert isinstance(generator, Generator)
        assert generator.spec.name

    def test_modalities_are_known_and_hold_text(self, generator: Generator) -> None:
        assert "text" in generator.spec.modalities
        assert generator.spec.modalities <= {"text", "audio"}

    def test_a_supported_question_is_answered_in_strings(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        pieces = list(generator.stream(messages, OPTIONS))
        assert all(isinstance(piece, str) and piece for piece in pieces)
        assert "".join(pieces).strip()

    def test_the_answer_cites_only_given_sources(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        if not self.cites:
            pytest.skip(f"{generator.spec.name} cannot be relied on for citation marks")
        sources = sources_of(messages)
        cited = parse_citations("".join(generator.stream(messages, OPTIONS)), sources)
        assert cited.invented == 0
        assert {citation.number for citation in cited.citations} <= {1, 2}
        assert cited.citations[0].passage is sources[cited.citations[0].number - 1].hit.passage

    def test_the_same_question_gives_the_same_answer(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        first = "".join(generator.stream(messages, OPTIONS))
        assert "".join(generator.stream(messages, OPTIONS)) == first

    def test_a_stream_can_be_closed_early_and_another_begun(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        pieces: Iterator[str] = generator.stream(messages, GenerateOptions(max_tokens=256))
        first = next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        assert next(pieces, None) is None
        assert next(iter(generator.stream(messages, OPTIONS))) == first

    def test_a_stream_that_is_closed_before_it_is_read_is_empty(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        stream = Stream.of(generator.stream(messages, OPTIONS))
        stream.close()
        stream.close()
        assert list(stream) == []

    def test_a_stream_that_another_thread_closes_ends(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        options = GenerateOptions(max_tokens=256)
        stream = Stream.of(generator.stream(messages, options))
        first = next(stream)
        closing = threading.Thread(target=stream.close)
        closing.start()
        closing.join()
        assert list(stream) == []
        assert next(iter(generator.stream(messages, options))) == first

    def test_tokens_are_told_when_the_stream_has_ended(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        stream = Stream.of(generator.stream(messages, OPTIONS))
        before, written, told = stream.usage, list(stream), stream.usage
        assert before is None
        if told is None:
            pytest.skip(f"{generator.spec.name} tells no tokens")
        assert told.input > 0
        assert 0 < told.output <= OPTIONS.max_tokens
        assert len(written) <= told.output

    def test_a_batch_writes_what_single_streams_write(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        written: dict[int, str] = {}
        ended: list[int] = []
        for index, piece in generator.stream_many(messages, OPTIONS, 2):
            assert index not in ended
            if isinstance(piece, AnswerEnd):
                ended.append(index)
            else:
                written[index] = written.get(index, "") + piece
        alone = "".join(generator.stream(messages, OPTIONS))
        assert sorted(ended) == [0, 1]
        assert list(written.values()) == [alone, alone]

    def test_without_sources(self, generator: Generator) -> None:
        pieces = list(generator.stream(answer_messages(QuestionPart(QUESTION), []), OPTIONS))
        assert all(isinstance(piece, str) for piece in pieces)
        if self.empty_without_sources:
            assert pieces == []
