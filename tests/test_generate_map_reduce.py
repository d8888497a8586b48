from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from wavrag.errors import GenerationError
from wavrag.generate import (
    ExtractiveGenerator,
    FakeGenerator,
    GenerateOptions,
    Message,
    QuestionPart,
    TextPart,
    answer_messages,
    list_sources,
    parse_citations,
)
from wavrag.generate.base import Stream
from wavrag.generate.map_reduce import MapReduceGenerator
from wavrag.testing.generator import GeneratorConformance
from wavrag.types import Hit, Passage, Usage

TEXTS = ("The ferry leaves at nine.", "The museum opens at ten.", "Gulls cry.")
HITS = [
    Hit(Passage(f"d{number}", 0, text), number, 1.0 / number, {"dense": 0.9})
    for number, text in enumerate(TEXTS, start=1)
]
MESSAGES = answer_messages(QuestionPart("When does the ferry leave?"), HITS)
OPTIONS = GenerateOptions(max_tokens=24)


class Scripted(FakeGenerator):
    """Says what is written for the numbers of the sources that it is given."""

    def __init__(self, script: Mapping[tuple[int, ...], str]) -> None:
        self.script = script
        self.asked: list[list[tuple[int, str | None]]] = []
        self.closed = False

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        assert options is OPTIONS
        seen = [(source.number, source.hit.passage.text) for source in list_sources(messages)]
        self.asked.append(seen)
        for word in self.script[tuple(number for number, _ in seen)].split(" "):
            yield f"{word} "

    def close(self) -> None:
        self.closed = True


def answer(script: Mapping[tuple[int, ...], str]) -> tuple[str, Scripted]:
    generator = Scripted(script)
    return "".join(MapReduceGenerator(generator).stream(MESSAGES, OPTIONS)), generator


class TestConformance(GeneratorConformance):
    @pytest.fixture
    def generator(self) -> MapReduceGenerator:
        return MapReduceGenerator(FakeGenerator())


class TestConformanceOfQuotes(GeneratorConformance):
    @pytest.fixture
    def generator(self) -> MapReduceGenerator:
        return MapReduceGenerator(ExtractiveGenerator())


def test_each_source_is_asked_alone_and_then_its_answer_with_the_others() -> None:
    text, generator = answer(
        {
            (1,): "It leaves at nine [1].",
            (2,): "The museum opens at ten.",
            (3,): "I don't know.",
            (1, 2): "The ferry leaves at nine [1], the museum opens at ten [2].",
        }
    )
    assert generator.asked == [
        [(1, TEXTS[0])],
        [(2, TEXTS[1])],
        [(3, TEXTS[2])],
        [(1, "It leaves at nine."), (2, "The museum opens at ten.")],
    ]
    assert text == "The ferry leaves at nine [1], the museum opens at ten [2]."


def test_a_mark_that_the_whole_forgets_comes_from_the_partial_answer() -> None:
    text, _ = answer(
        {(1,): "It sails at nine.", (2,): "No clue.", (3,): "", (1, 2): "It sails at nine."}
    )
    assert text == "It sails at nine. [1]"


def test_a_source_that_gave_no_answer_cannot_be_cited_by_the_whole() -> None:
    text, _ = answer({(1,): "At nine.", (2,): "At ten.", (3,): "", (1, 2): "At nine [3], [1]."})
    assert text == "At nine [1]."


def test_the_only_answer_stands_under_its_own_number() -> None:
    text, generator = answer({(1,): "", (2,): "It opens. At ten [1].", (3,): "I do not know."})
    assert text == "It opens. [2] At ten. [2]"
    assert len(generator.asked) == 3
    cited = parse_citations(text, list_sources(MESSAGES))
    assert [one.passage.document_id for one in cited.citations] == ["d2"]


def test_no_answer_from_any_source_is_an_empty_stream() -> None:
    generator = Scripted({(1,): "", (2,): "I don't know.", (3,): " "})
    assert list(MapReduceGenerator(generator).stream(MESSAGES, OPTIONS)) == []


def test_the_whole_may_decline() -> None:
    text, _ = answer({(1,): "At nine.", (2,): "At ten.", (3,): "", (1, 2): "I don't know."})
    assert text == "I don't know."


def test_everything_else_in_the_messages_stays() -> None:
    seen: list[list[object]] = []

    class Listening(FakeGenerator):
        def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
            seen.append([part for message in messages for part in message.parts])
            return super().stream(messages, options)

    list(MapReduceGenerator(Listening()).stream(MESSAGES, OPTIONS))
    assert len(seen) == 4
    for parts in seen:
        assert [p for p in parts if isinstance(p, TextPart | QuestionPart)] == [
            p for message in MESSAGES for p in message.parts if p not in list_sources(MESSAGES)
        ]


def test_name_modalities_close_and_a_missing_question() -> None:
    inner = Scripted({})
    generator = MapReduceGenerator(inner)
    assert generator.spec.name == "map-reduce:fake"
    assert generator.spec.modalities == inner.spec.modalities
    generator.close()
    assert inner.closed
    MapReduceGenerator(FakeGenerator()).close()
    with pytest.raises(GenerationError, match="no question"):
        list(generator.stream([], OPTIONS))


class Waiting(FakeGenerator):
    """Begins to write, and goes on only when its stream is closed."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.freed = threading.Event()
        self.calls = 0

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        self.calls += 1
        return Stream(self._wait(), self.freed.set)

    def _wait(self) -> Iterator[str]:
        yield "It leaves"
        self.begun.set()
        self.freed.wait(timeout=30)
        yield " at nine."


def test_closing_frees_the_call_that_is_under_way_and_makes_no_more() -> None:
    inner = Waiting()
    stream = MapReduceGenerator(inner).stream(MESSAGES, OPTIONS)
    written: list[str] = []
    reader = threading.Thread(target=lambda: written.extend(stream))
    reader.start()
    assert inner.begun.wait(timeout=30)
    stream.close()
    reader.join(timeout=30)
    assert not reader.is_alive()
    assert inner.freed.is_set()
    assert inner.calls == 1
    assert written == []


def test_the_tokens_are_those_of_all_calls() -> None:
    stream = MapReduceGenerator(FakeGenerator()).stream(MESSAGES, OPTIONS)
    assert list(stream)
    # The fake reads the words of its sources and writes the first sentence and a mark: 5 + 5 + 2
    # read for three sources, then what the three answers have, 12; 6 + 6 + 3 written, then 6.
    assert stream.usage == Usage(24, 21)
