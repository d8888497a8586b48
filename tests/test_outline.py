"""Chapters and summaries: borders, titles, quotes, generators, formats, command line."""

import io
import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import webvtt

from benchmarks.chapters import p_k, window_diff
from wavrag import Document, KnowledgeBase, WavRAG
from wavrag.cli import main
from wavrag.demo import DATA
from wavrag.errors import InputError
from wavrag.generate import (
    ExtractiveGenerator,
    FakeGenerator,
    GenerateOptions,
    Generator,
    GeneratorSpec,
    Message,
    StopSignal,
    list_sources,
    render,
)
from wavrag.kb import Segment, Transcript
from wavrag.outline import (
    Chapter,
    Summariser,
    Summary,
    SummarySentence,
    extract_summary,
    format_chapters,
    format_summary,
    read_chapters,
)
from wavrag.outline import borders as borders_module
from wavrag.outline.borders import find_borders
from wavrag.types import Float32

BEES = """Honeybees tell each other where flowers are by dancing on the comb.
A bee that has found nectar runs in a straight line and waggles her body.
The angle of the waggle dance to the vertical is the angle to the sun.
The longer the bee waggles, the farther away the flowers are.
Other bees in the hive follow the dancer and smell the nectar on her."""
TRAMS = """The city opened its first tram line in the year after the war.
Every tram had a driver and a conductor who sold paper tickets.
The rails ran from the harbour over the bridge to the railway station.
In winter the conductor threw sand on the rails so that the tram could brake.
The last tram went into the depot when the buses came."""
COFFEE = """An espresso machine has to be descaled every two months.
Fill the water tank of the machine with vinegar and water, half and half.
Let the espresso machine pump the mixture through the brewing group.
Limescale blocks the pump and makes the coffee bitter.
Rinse the tank twice before you brew coffee again."""


def speak(*paragraphs: str, seconds: float = 8.0, **fields: object) -> Transcript:
    """A transcript with a sentence every `seconds`."""
    lines = [line for paragraph in paragraphs for line in paragraph.splitlines()]
    segments = tuple(
        Segment(line, seconds * i, seconds * i + seconds - 0.5) for i, line in enumerate(lines)
    )
    return Transcript("/talks/mix.mp3", "A mixed talk", segments, **fields)  # type: ignore[arg-type]


def topics(*lengths: int) -> Float32:
    """Unit vectors of one direction for each topic."""
    return np.repeat(np.eye(len(lengths), dtype=np.float32), lengths, axis=0)


def times(count: int, seconds: float = 10.0) -> tuple[list[float], list[float]]:
    starts = [seconds * index for index in range(count)]
    return starts, [start + seconds for start in starts]


# Borders


def test_borders_are_where_the_topic_changes() -> None:
    assert find_borders(topics(6, 9, 7), *times(22)) == [6, 15]
    assert find_borders(topics(8), *times(8)) == []
    assert find_borders(np.zeros((0, 4), np.float32), [], []) == []
    # Two sentences are no chapter: the border is in their middle, or at one of their ends.
    assert len(find_borders(topics(8, 2, 8), *times(18))) == 1


def test_a_change_of_the_speaker_or_a_pause_decides_between_equal_borders() -> None:
    between = np.array([[np.sqrt(0.5), np.sqrt(0.5)]], np.float32)
    vectors = np.concatenate([topics(6, 0), between, topics(0, 6)])
    starts, ends = times(13)
    for at in (6, 7):
        speakers = ["Ada" if index < at else "Ben" for index in range(13)]
        assert find_borders(vectors, starts, ends, speakers) == [at]
        later = [start + 5 * (index >= at) for index, start in enumerate(starts)]
        assert find_borders(vectors, later, [start + 10 for start in later]) == [at]


def test_a_long_recording_about_one_thing_is_divided() -> None:
    borders = find_borders(topics(150), *times(150))
    assert borders
    assert max(np.diff([0, *borders, 150])) <= 60, "10 minutes"


def test_borders_have_the_lowest_cost_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borders_module, "PENALTY", 1.0)
    rng = np.random.default_rng(3)
    for _ in range(5):
        vectors = rng.normal(size=(11, 3)) + np.repeat(2 * rng.normal(size=(3, 3)), [4, 3, 4], 0)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        rows = borders_module._smooth(vectors)

        def scatter(block: Float32) -> float:
            return float(((block - block.mean(0)) ** 2).sum())

        penalty = (scatter(rows) / 11) ** 2
        costs = {
            cuts: sum(map(scatter, np.split(rows, cuts))) + penalty * (len(cuts) + 1)
            for size in range(4)
            for cuts in combinations(range(1, 11), size)
            if min(np.diff([0, *cuts, 11])) >= 3
        }
        assert find_borders(vectors, *times(11)) == list(min(costs, key=lambda cuts: costs[cuts]))


def test_figures_of_borders_by_hand() -> None:
    # Segments of 4 of 8 sentences: pairs 2 apart. Border at 4: pairs (2,4), (3,5) are divided.
    # Border at 5: pairs (3,5), (4,6). They disagree on (2,4) and (4,6), 2 of 6 pairs.
    assert p_k([4], [5], 8) == window_diff([4], [5], 8) == pytest.approx(2 / 6)
    # Borders at 4 and 5: pair (3,5) has two of them, which only WindowDiff counts.
    assert p_k([4], [4, 5], 8) == pytest.approx(1 / 6)
    assert window_diff([4], [4, 5], 8) == pytest.approx(2 / 6)
    assert p_k([4], [4], 8) == 0


# Quoted chapters and summaries


@pytest.fixture(scope="module")
def talk() -> Transcript:
    return speak(BEES, TRAMS, COFFEE)


def test_a_talk_has_a_chapter_with_a_title_for_each_subject(talk: Transcript) -> None:
    chapters = [content.chapter for content in read_chapters(talk)]
    assert [(chapter.start, chapter.end) for chapter in chapters] == [
        (0.0, 40.0), (40.0, 80.0), (80.0, 119.5)
    ]  # fmt: skip
    for chapter, word in zip(chapters, ("bee", "tram", "espresso"), strict=True):
        assert word in chapter.title.casefold()
        assert chapter.title[0].isupper()
        assert len(chapter.sentences) == 2
        assert all(chapter.start <= s.start < s.end <= chapter.end for s in chapter.sentences)


def test_a_summary_quotes_every_chapter_with_its_time(talk: Transcript) -> None:
    by_start = {segment.start: segment for segment in talk.segments}
    for count in (3, 5):
        summary = extract_summary(talk, count)
        assert len(summary.sentences) == count
        starts = [sentence.start for sentence in summary.sentences]
        assert starts == sorted(set(starts))
        assert {int(start // 40) for start in starts} == {0, 1, 2}
        assert all(by_start[s.start].text == s.text for s in summary.sentences)
    assert (summary.generator, summary.source, len(summary.chapters)) == (
        None, "/talks/mix.mp3", 3
    )  # fmt: skip


def test_sentences_without_spaces_are_quoted_too() -> None:
    lines = (
        "\u871c\u8702\u5728\u8702\u5de2\u4e0a\u8df3\u821e\u3002",
        "\u82b1\u5f88\u8fdc\u3002",  # too short
        "\u57ce\u5e02\u5f00\u901a\u4e86\u7535\u8f66\u5417\uff1f",
    )

    def embed(texts: Sequence[str]) -> Float32:
        return np.ones((len(texts), 1), np.float32)

    summary = extract_summary(speak("\n".join(lines)), embed=embed)
    assert [sentence.text for sentence in summary.sentences] == [lines[0]]


def test_chapters_of_the_file_come_first() -> None:
    talk = speak(BEES, TRAMS, chapters=((16.0, "The dance"), (200.0, "Silence")))
    first, dance, silence = (content.chapter for content in read_chapters(talk))
    assert (first.start, first.end) == (0.0, 16.0)
    assert first.title, "the words before the first chapter have one too"
    assert (dance.title, dance.start, dance.end) == ("The dance", 16.0, 200.0)
    assert (silence.title, silence.start, silence.sentences) == ("Silence", 200.0, ())
    only = read_chapters(Transcript("a.mp3", "a", (), chapters=((5.0, "Music"),)))
    assert [content.chapter for content in only] == [Chapter("Music", 0.0, 0.0)]
    assert read_chapters(Transcript("a.mp3", "a", ())) == []


# Written by a generator


class Writer(Generator):
    """Writes outputs in turn, and keeps its prompts."""

    spec = GeneratorSpec("writer")

    def __init__(self, *outputs: str) -> None:
        self.outputs = list(outputs)
        self.prompts: list[str] = []
        self.counts: list[int] = []

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        self.prompts.append(render(messages[-1].parts))
        self.counts.append(len(list_sources(messages)))
        yield self.outputs.pop(0)


def test_a_generator_writes_titles_and_cited_sentences() -> None:
    writer = Writer(
        'Title: "How bees dance" [1]', "A bee waggles her body [1]. Bees sleep on Mars [1]."
    )
    summary = Summariser(writer).summary(speak(BEES))
    (chapter,) = summary.chapters
    assert chapter.title == "How bees dance"
    assert summary.sentences == chapter.sentences == (
        SummarySentence("A bee waggles her body.", 8.0, 15.5, True),
        SummarySentence("Bees sleep on Mars.", 8.0, 15.5, False),
    )  # fmt: skip
    assert summary.generator == "writer"
    assert writer.counts == [2, 2], "four sentences in a source"
    assert "[2]" in writer.prompts[0]


def test_the_summary_is_made_of_those_of_the_chapters_and_checked_against_the_recording() -> None:
    writer = Writer(
        "Bees", "Honeybees dance on the comb [1].",
        "Trams", "The city opened a tram line [1].",
        "What is a good title for this text that has far too many words in it?", "I don't know.",
        "Honeybees dance on the comb [1]. The conductor sold paper tickets [2].",
    )  # fmt: skip
    summary = Summariser(writer).summary(speak(BEES, TRAMS, COFFEE))
    assert [chapter.title for chapter in summary.chapters[:2]] == ["Bees", "Trams"]
    assert "spresso" in summary.chapters[2].title, "too long, so that a phrase takes its place"
    assert summary.chapters[2].sentences == ()
    assert [(s.start, s.supported) for s in summary.sentences] == [(0.0, True), (48.0, True)]
    assert writer.counts[-1] == 2
    assert "opened a tram line" in writer.prompts[-1]
    assert "paper tickets" not in writer.prompts[-1]


def test_long_chapters_are_summarised_in_several_calls() -> None:
    line = "word " * 99 + "end."
    segments = tuple(Segment(line, 20.0 * i, 20.0 * i + 19) for i in range(29))
    transcript = Transcript("a.mp3", "a", segments, chapters=((0.0, "All"),))
    writer = Writer("All", *["Word [1]."] * 3)
    Summariser(writer).summary(transcript)
    assert writer.counts == [3, 3, 3, 2], "at most 1,200 words in a prompt"


def test_the_summaries_of_many_chapters_are_summarised_in_groups() -> None:
    segments = tuple(Segment("A word is said.", 60.0 * i, 60.0 * i + 50) for i in range(5))
    chapters = tuple((segment.start, f"Part {i}") for i, segment in enumerate(segments))
    long = "word " * 500 + "end [1]."
    outputs = [text for i in range(5) for text in (f"Part {i}", long)]
    writer = Writer(*outputs, "Two [1].", "Two more [2].", "Last [1].", "All words [3].")
    summary = Summariser(writer).summary(Transcript("a.mp3", "a", segments, chapters=chapters))
    assert writer.counts[10:] == [2, 2, 1, 3]
    assert [(s.text, s.start) for s in summary.sentences] == [("All words.", 240.0)]


def test_a_generator_that_only_quotes_is_refused_and_a_stopped_one_not_called() -> None:
    with pytest.raises(InputError, match="extractive writes no summaries: use local"):
        Summariser(ExtractiveGenerator())
    stop = StopSignal()
    stop.set()
    writer = Writer()
    assert Summariser(writer, stop=stop).summary(speak(BEES)).sentences == ()
    assert writer.prompts == []


# Formats


CHAPTERS = (
    Chapter("Tides & <moon>", 0.0, 65.4, (SummarySentence("It rises.", 3.2, 5.0),)),
    Chapter("A --> B", 65.4, 3_700.0, (SummarySentence("It falls.", 70.0, 72.0, False),)),
    Chapter("", 3_700.0, 3_700.0),
)


def test_formats_of_chapters() -> None:
    assert format_chapters(CHAPTERS, "txt") == (
        "0:00 Tides & <moon>\n1:05 A --> B\n1:01:40 Untitled\n"
    )
    assert format_chapters(CHAPTERS, "md").splitlines()[1] == "- **1:05** A --> B"
    rows = json.loads(format_chapters(CHAPTERS, "json"))["chapters"]
    assert rows[0] == {
        "title": "Tides & <moon>", "start": 0.0, "end": 65.4,
        "sentences": [{"text": "It rises.", "start": 3.2, "end": 5.0, "supported": True}],
    }  # fmt: skip
    captions = webvtt.from_buffer(io.StringIO(format_chapters(CHAPTERS, "vtt")))
    assert [(c.start, c.end) for c in captions] == [
        ("00:00:00.000", "00:01:05.400"), ("00:01:05.400", "01:01:40.000"),
        ("01:01:40.000", "01:01:40.001"),
    ]  # fmt: skip
    assert captions[1].raw_text == "A \u2192 B"
    assert captions[0].raw_text == "Tides &amp; &lt;moon>"


def test_formats_of_summaries() -> None:
    sentences = (CHAPTERS[0].sentences[0], CHAPTERS[1].sentences[0])
    summary = Summary("a.mp3", "The sea", sentences, CHAPTERS[:2], "writer", "a")
    assert format_summary(summary, "txt") == (
        "It rises. [0:03]\nIt falls. [1:10] [unsupported]\n\n0:00 Tides & <moon>\n"
        "  It rises. [0:03]\n\n1:05 A --> B\n  It falls. [1:10] [unsupported]\n"
    )
    assert format_summary(summary, "md").startswith("# The sea\n\n- It rises. [0:03]\n")
    data = json.loads(format_summary(summary, "json"))
    assert (data["document_id"], data["generator"]) == ("a", "writer")
    assert data["sentences"][1]["supported"] is False


# Knowledge base and command line


def test_documents_have_chapters_and_summaries(tmp_path: Path) -> None:
    cues = [
        f"{i + 1}\n00:{i // 6:02}:{i % 6}0,000 --> 00:{i // 6:02}:{i % 6}9,000\n{line}\n"
        for i, line in enumerate(f"{BEES}\n{TRAMS}".splitlines())
    ]
    path = tmp_path / "talk.srt"
    path.write_text("\n".join(cues))
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add([Document("talk", path=str(path))])
        quoted = WavRAG(kb, ExtractiveGenerator())
        bees, trams = quoted.chapters("talk")
        assert (bees.start, trams.start) == (0.0, 50.0)
        assert quoted.summary("talk", 2).document_id == "talk"
        written = WavRAG(kb, FakeGenerator())
        summary = written.summary("talk")
        assert summary.generator == "fake"
        assert summary.sentences[0].text.startswith("Honeybees tell each other")
        assert written.chapters("talk", quotes=True) == (bees, trams)
        with pytest.raises(InputError, match="not in the knowledge base"):
            quoted.chapters("other")


def test_the_command_line_prints_chapters_and_summaries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tram = str(DATA / "questions" / "old-tram.opus")
    out = tmp_path / "chapters.vtt"
    assert main(["chapters", tram, "--format", "vtt", "--out", str(out)]) == 0
    assert len(webvtt.read(out)) == 1
    assert main(["summary", tram, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["sentences"] == [], "a question is no summary"
    assert "tram" in data["chapters"][0]["title"]
    assert main(["summary", tram, "--generator", "extractive"]) == 1
    assert "writes no summaries" in capsys.readouterr().err
