"""Chapters and summaries by a generator: one summary for each chapter, then one of these.

Every sentence cites the part of the recording that it rests on, and is checked like a sentence of
an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from wavrag.answer import check_citations
from wavrag.errors import InputError
from wavrag.generate import (
    GenerateOptions,
    Generator,
    Message,
    QuestionPart,
    SourcePart,
    StopSignal,
    Stream,
    TextPart,
    attribute,
    content_words,
    is_refusal,
    parse_citations,
)
from wavrag.kb import Segment, Transcript
from wavrag.outline.extract import CHAPTER_SENTENCES, SENTENCES, ChapterContent, read_chapters
from wavrag.outline.model import Chapter, Summary, SummarySentence
from wavrag.text import count_words
from wavrag.types import Hit, Passage

SYSTEM = "You summarise recordings."
PART_QUESTION = QuestionPart("What does the speaker say?")
TITLE_QUESTION = QuestionPart("What is a good title for this part of the recording?")
TITLE_INSTRUCTION = "Write a title of two to six words for the sources above, and nothing else."
MAX_TITLE_WORDS = 10  # a longer line is no title
SOURCE_SENTENCES = 4  # of a source in a prompt: its number gives the time of a sentence
# Words of the sources in one prompt. They leave room for the answer in a context of 4,096 tokens.
PROMPT_WORDS = 1_200


@dataclass(frozen=True, slots=True, eq=False)
class _PromptSource:
    """Text for a prompt, and the sentences of the recording that it stands for."""

    text: str
    segments: tuple[Segment, ...]


class Summariser:
    """Summarises a transcript with a generator that follows instructions.

    Args:
        generator: the generator.
        options: decoding options of each call.
        stop: stops the current call and prevents the next.

    Raises:
        InputError: the generator does not follow instructions.
    """

    def __init__(
        self,
        generator: Generator,
        options: GenerateOptions | None = None,
        stop: StopSignal | None = None,
    ) -> None:
        if not generator.spec.follows_instructions:
            raise InputError(
                f"the generator {generator.spec.name} writes no summaries: use local,"
                " local:FILE.gguf or openai:MODEL, or none for quoted sentences"
            )
        self._generator = generator
        self._options = options or GenerateOptions()
        self._stop = stop or StopSignal()

    def chapters(self, transcript: Transcript) -> list[ChapterContent]:
        """Divide a transcript where its topic changes, and write titles and summaries.

        Raises:
            GenerationError: the generator failed.
        """
        return [self._write_chapter(content) for content in read_chapters(transcript)]

    def summary(self, transcript: Transcript, sentences: int = SENTENCES) -> Summary:
        """Summarise each chapter, then the recording.

        Raises:
            GenerationError: the generator failed.
        """
        contents = self.chapters(transcript)
        summaries = [
            _PromptSource(" ".join(s.text for s in content.chapter.sentences), content.segments)
            for content in contents
            if content.chapter.sentences
        ]
        chapters = tuple(content.chapter for content in contents)
        if len(summaries) > 1:
            total = self._summarise(self._shorten(summaries, sentences), sentences)
        else:
            total = tuple(sentence for chapter in chapters for sentence in chapter.sentences)
        return Summary(
            transcript.source, transcript.title, total, chapters, self._generator.spec.name,
            transcript.document_id,
        )  # fmt: skip

    def _shorten(self, sources: list[_PromptSource], sentences: int) -> list[_PromptSource]:
        """Summarise groups of sources until all fit in one prompt."""
        groups = list(_batches(sources))
        # A prompt for each source would not shorten them.
        while 1 < len(groups) < len(sources):
            sources = [
                _PromptSource(
                    " ".join(s.text for s in summary),
                    tuple(segment for source in group for segment in source.segments),
                )
                for group in groups
                if (summary := self._summarise(group, sentences))
            ]
            groups = list(_batches(sources))
        return sources

    def _write_chapter(self, content: ChapterContent) -> ChapterContent:
        chapter, segments = content.chapter, content.segments
        sources = [
            _PromptSource(" ".join(s.text for s in group), group)
            for group in (
                segments[at : at + SOURCE_SENTENCES]
                for at in range(0, len(segments), SOURCE_SENTENCES)
            )
        ]
        if not sources:
            return content
        first = next(_batches(sources))
        title = _read_title(self._run(first, TITLE_INSTRUCTION, TITLE_QUESTION)) or chapter.title
        sentences = self._summarise(sources, CHAPTER_SENTENCES)
        return replace(content, chapter=Chapter(title, chapter.start, chapter.end, sentences))

    def _summarise(
        self, sources: Sequence[_PromptSource], sentences: int
    ) -> tuple[SummarySentence, ...]:
        """Summarise sources in as many calls as the length of a prompt needs."""
        output: list[SummarySentence] = []
        for batch in _batches(sources):
            text = self._run(batch, _instruction(sentences), PART_QUESTION)
            output += _read_sentences(text, batch)
        return tuple(output)

    def _run(
        self, sources: Sequence[_PromptSource], instruction: str, question: QuestionPart
    ) -> str:
        if self._stop.is_set:
            return ""
        source_parts = _number_sources(sources, [source.text for source in sources])
        prompt = Message("user", (*source_parts, TextPart(instruction), question))
        messages = [Message("system", (TextPart(SYSTEM),)), prompt]
        stream = Stream.of(self._generator.stream(messages, self._options))
        with self._stop.notify(stream.close), closing(stream):
            return "".join(stream).strip()


def _instruction(sentences: int) -> str:
    # After the sources and without an example of a mark, as for answers: small models repeat the
    # words of an order to summarise.
    return (
        f"Answer in at most {sentences} short sentences, only from the sources above, and end each"
        " with the number of its source in brackets."
    )


def _batches(sources: Sequence[_PromptSource]) -> Iterator[list[_PromptSource]]:
    batch: list[_PromptSource] = []
    words = 0
    for source in sources:
        count = count_words(source.text)
        if batch and words + count > PROMPT_WORDS:
            yield batch
            batch, words = [], 0
        batch.append(source)
        words += count
    if batch:
        yield batch


def _number_sources(sources: Sequence[_PromptSource], texts: Sequence[str]) -> list[SourcePart]:
    """Sources of a prompt with their numbers and the span of the recording."""
    output = []
    for number, (source, text) in enumerate(zip(sources, texts, strict=True), start=1):
        first, last = source.segments[0], source.segments[-1]
        passage = Passage("talk", number, text, first.start, last.end, speaker=first.speaker)
        output.append(SourcePart(number, Hit(passage, number, 1.0, {})))
    return output


def _read_title(output: str) -> str:
    line = next(filter(None, map(str.strip, output.splitlines())), "")
    line = re.sub(r"\s*\[[\d\s,;-]+\]", "", line)
    title = re.sub(r"^(?:title:\s*)?[\"'*#\s]+|[\"'*.\s]+$", "", line, flags=re.IGNORECASE)
    title = re.sub(r"^title:\s*", "", title, flags=re.IGNORECASE)
    is_title = len(title.split()) <= MAX_TITLE_WORDS and not is_refusal(title)
    return title if is_title else ""


def _read_sentences(output: str, sources: Sequence[_PromptSource]) -> Iterator[SummarySentence]:
    """The sentences of a summary with their times, checked against the recording."""
    if is_refusal(output):
        return
    # Against the words of the recording, not against summaries of them.
    words_of = [" ".join(segment.text for segment in source.segments) for source in sources]
    evidence = _number_sources(sources, words_of)
    text = parse_citations(output, evidence).text
    text = parse_citations(attribute(text, evidence), evidence).text
    for support in check_citations(text, evidence):
        citations = [sources[number - 1] for number in support.cited if number <= len(sources)]
        segments = [segment for source in citations or sources for segment in source.segments]
        words = set(content_words(support.text))
        # The sentence of the recording that has most of the words.
        best = max(segments, key=lambda s: (len(words & set(content_words(s.text))), -s.start))
        yield SummarySentence(support.text, best.start, best.end, support.supported)
