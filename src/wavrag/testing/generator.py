"""Conformance kit for the generator interface: subclass it and provide one fixture."""

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
    list_sources,
    parse_citations,
)
from wavrag.types import Hit, Passage

QUESTION = "When does the ferry to the island leave?"
OPTIONS = GenerateOptions(max_tokens=24)


def supported() -> list[Message]:
    """Build a question that its first source answers; the second source is a recording."""
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
    """Tests of the generator interface.

    A subclass provides the fixture `generator`. It sets `cites` to False for a model too small to
    write citation marks reliably, and `empty_without_sources` to False for a model that answers
    without sources.

    Example:
        >>> from wavrag.generate import FakeGenerator
        >>> class TestFakeGenerator(GeneratorConformance):
        ...     @pytest.fixture
        ...     def generator(self) -> FakeGenerator:
        ...         return FakeGenerator()
    """

    cites = True
    empty_without_sources = True

    @pytest.fixture
    def messages(self) -> list[Message]:
        """A question with a source that answers it."""
        return supported()

    def test_satisfies_the_protocol(self, generator: Generator) -> None:
        assert isinstance(generator, Generator)
        assert generator.spec.name
        assert generator.spec.parallel >= 1

    def test_modalities_are_known_and_hold_text(self, generator: Generator) -> None:
        assert "text" in generator.spec.modalities
        assert generator.spec.modalities <= {"text", "audio"}

    def test_a_question_with_a_source_has_an_answer_in_strings(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        output = list(generator.stream(messages, OPTIONS))
        assert all(isinstance(text, str) and text for text in output)
        assert "".join(output).strip()

    def test_the_answer_cites_only_its_sources(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        if not self.cites:
            pytest.skip(f"{generator.spec.name} does not cite reliably")
        sources = list_sources(messages)
        answer = parse_citations("".join(generator.stream(messages, OPTIONS)), sources)
        assert answer.invented_count == 0
        assert {citation.number for citation in answer.citations} <= {1, 2}
        assert answer.citations[0].passage is sources[answer.citations[0].number - 1].hit.passage

    def test_the_same_question_gives_the_same_answer(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        answer = "".join(generator.stream(messages, OPTIONS))
        assert "".join(generator.stream(messages, OPTIONS)) == answer

    def test_a_stream_can_be_closed_early_and_another_begun(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        # Also without `Stream`: Python generators can be closed as well.
        output: Iterator[str] = generator.stream(messages, GenerateOptions(max_tokens=256))
        first = next(output)
        output.close()  # type: ignore[attr-defined]
        assert next(output, None) is None
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
        closer = threading.Thread(target=stream.close)
        closer.start()
        closer.join()
        assert list(stream) == []
        assert next(iter(generator.stream(messages, options))) == first

    def test_tokens_are_reported_at_the_end_of_the_stream(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        stream = Stream.of(generator.stream(messages, OPTIONS))
        usage_before, output, usage = stream.usage, list(stream), stream.usage
        assert usage_before is None
        if usage is None:
            pytest.skip(f"{generator.spec.name} reports no tokens")
        assert usage.input > 0
        assert 0 < usage.output <= OPTIONS.max_tokens
        assert len(output) <= usage.output

    def test_a_batch_equals_single_streams(
        self, generator: Generator, messages: list[Message]
    ) -> None:
        answers: dict[int, str] = {}
        finished: list[int] = []
        for index, output in generator.stream_many(messages, OPTIONS, 2):
            assert index not in finished
            if isinstance(output, AnswerEnd):
                finished.append(index)
            else:
                answers[index] = answers.get(index, "") + output
        single = "".join(generator.stream(messages, OPTIONS))
        assert sorted(finished) == [0, 1]
        assert list(answers.values()) == [single, single]

    def test_without_sources(self, generator: Generator) -> None:
        output = list(generator.stream(answer_messages(QuestionPart(QUESTION), []), OPTIONS))
        assert all(isinstance(text, str) for text in output)
        if self.empty_without_sources:
            assert output == []
