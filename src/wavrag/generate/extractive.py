"""Answers made of quotes: the best sentences of the best passages, or an honest nothing.

No model writes here, so nothing can be made up. A sentence is quoted if the evidence that it
answers reaches a threshold; a recording without words is named with its span.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wavrag.generate.base import GenerateOptions, Generator, GeneratorSpec, Message, SourcePart
from wavrag.generate.prompts import location_of, question_of, sources_of, title_of, without_marks
from wavrag.generate.words import content_words
from wavrag.text import sentences
from wavrag.types import Hit


@dataclass(frozen=True, slots=True)
class ExtractiveOptions:
    """What is quoted, and when.

    Attributes:
        sources: best passages that are read.
        max_sentences: longest answer.
        dense_weight: of the passage's cosine with the question, in the evidence.
        overlap_weight: of the question's words that the sentence and its passage share.
        threshold: least evidence of a sentence that is quoted, from 0 to 1.
        min_dense: least cosine where nothing but the cosine speaks: for a recording without
            words, or for a question without.
        keep: least evidence of a further sentence, as a share of the best one's.
        max_repeated: a further sentence is left out if it shares more than this part of its words,
            or of an earlier sentence's, whichever has fewer.
    """

    sources: int = 5
    max_sentences: int = 3
    dense_weight: float = 0.7
    overlap_weight: float = 0.3
    threshold: float = 0.42
    min_dense: float = 0.3
    keep: float = 0.92
    max_repeated: float = 0.75


@dataclass(frozen=True, slots=True)
class Signals:
    """What speaks for a sentence.

    Attributes:
        dense: cosine of its passage with the question.
        overlap: share of the question's words that it has, from 0 to 1; None without words.
    """

    dense: float
    overlap: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that could be quoted, or a span that could be named.

    Attributes:
        source: where it stands.
        position: of the sentence in its passage, from 0.
        text: the sentence as quoted, or the description of the span.
        signals: what speaks for it.
        evidence: the signals as one number.
    """

    source: SourcePart
    position: int
    text: str
    signals: Signals
    evidence: float


def evidence(signals: Signals, options: ExtractiveOptions) -> float:
    """Mean of the signals that there are, weighted by the options."""
    weighted = [
        (options.dense_weight, max(signals.dense, 0.0)),
        (options.overlap_weight, signals.overlap),
    ]
    present = [(weight, value) for weight, value in weighted if value is not None and weight > 0]
    total = sum(weight for weight, _ in present)
    return sum(weight * value for weight, value in present) / total if total else 0.0


def suffices(candidate: Candidate, options: ExtractiveOptions) -> bool:
    """Whether the evidence for a candidate reaches its threshold."""
    by_words = candidate.signals.overlap is not None
    return candidate.evidence >= (options.threshold if by_words else options.min_dense)


class ExtractiveGenerator(Generator):
    """Quotes the best sentences; an empty stream says that none is good enough.

    Quotes are whole: `GenerateOptions` does not bear on them.

    Args:
        options: what is quoted, and when.
    """

    spec = GeneratorSpec("extractive", follows_instructions=False, quotes=True)

    def __init__(self, options: ExtractiveOptions | None = None) -> None:
        self._options = options or ExtractiveOptions()

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """The quotes one by one, each followed by its mark."""
        question = question_of(messages).text
        found = self.candidates(question, sources_of(messages))
        for index, chosen in enumerate(choose(found, self._options)):
            yield f"{' ' if index else ''}{chosen.text} [{chosen.source.number}]"

    def candidates(self, question: str | None, sources: Sequence[SourcePart]) -> list[Candidate]:
        """All that could be quoted, with its evidence, best first."""
        read = sources[: self._options.sources]
        quotes = [(source, quotable(source.hit.passage.text or "")) for source in read]
        asked = content_words(question or "")
        weights = _idf(asked, [words for _, found in quotes for words in map(content_words, found)])
        dense = _dense([source.hit for source in read])
        made = []
        for (source, found), cosine in zip(quotes, dense, strict=True):
            about = _words_about(source.hit)
            for position, text in enumerate(found):
                overlap = _overlap(weights, set(content_words(text)), about) if asked else None
                signals = Signals(cosine, overlap)
                made.append((source, position, text, signals))
            if not found and source.hit.passage.modality == "audio":
                made.append((source, 0, describe(source.hit), Signals(cosine)))
        scored = [Candidate(*fields, evidence(fields[3], self._options)) for fields in made]
        return sorted(scored, key=lambda one: (-one.evidence, one.source.number, one.position))


def choose(candidates: Sequence[Candidate], options: ExtractiveOptions) -> list[Candidate]:
    """The candidates that make the answer.

    Args:
        candidates: best first.
        options: how many, and how good.

    Returns:
        Those of one source together and in its order, the source of the best one first.
    """
    chosen: list[Candidate] = []
    for candidate in candidates:
        if len(chosen) == options.max_sentences:
            break
        if not suffices(candidate, options):
            continue
        if chosen and candidate.evidence < options.keep * chosen[0].evidence:
            break
        if not any(_repeats(candidate, earlier, options.max_repeated) for earlier in chosen):
            chosen.append(candidate)
    order = list(dict.fromkeys(one.source.number for one in chosen))
    return sorted(chosen, key=lambda one: (order.index(one.source.number), one.position))


def quotable(text: str) -> list[str]:
    """Sentences of a passage, each on one line, without headings and questions.

    A passage of nothing else keeps them all.
    """
    found = [without_marks(" ".join(text[a:b].split())) for a, b in sentences(text)]
    found = [sentence for sentence in found if content_words(sentence)]
    told = [one for one in found if len(one.split()) > 2 and not one.endswith("?")]
    return told or found


def describe(hit: Hit) -> str:
    """A recording without words in words: `Recording "Harbour", 0:12.0-0:27.0`."""
    return f'Recording "{title_of(hit.passage)}", {location_of(hit.passage)}'


def _dense(hits: Sequence[Hit]) -> list[float]:
    """Cosines of hits; one that only the lexical leg found has at most the least of the others."""
    least = min((hit.legs["dense"] for hit in hits if "dense" in hit.legs), default=0.0)
    return [hit.legs.get("dense", least) for hit in hits]


def _idf(asked: Sequence[str], pool: Sequence[Sequence[str]]) -> dict[str, float]:
    """How much each word that is asked for tells sentences of the pool apart (as in BM25)."""
    sets = [set(words) for words in pool]
    counts = {word: sum(word in words for words in sets) for word in asked}
    return {
        word: math.log1p((len(sets) - count + 0.5) / (count + 0.5))
        for word, count in counts.items()
    }


def _overlap(weights: dict[str, float], in_sentence: set[str], about: set[str]) -> float:
    """Weighted share of the words: whole if the sentence has them, half if only its passage."""
    got = sum(
        weight * (1.0 if word in in_sentence else 0.5 if word in about else 0.0)
        for word, weight in weights.items()
    )
    return got / sum(weights.values())


def _words_about(hit: Hit) -> set[str]:
    passage = hit.passage
    return set(content_words(f"{passage.title} {passage.section} {passage.text or ''}"))


def _repeats(candidate: Candidate, earlier: Candidate, limit: float) -> bool:
    """Whether two candidates say the same, as overlapping windows do."""
    one, other = candidate.source.hit.passage, earlier.source.hit.passage
    if not one.text and one.start is not None and one.end is not None:
        same = one.document_id == other.document_id
        return same and (other.start or 0.0) < one.end and one.start < (other.end or 0.0)
    words, seen = set(content_words(candidate.text)), set(content_words(earlier.text))
    return len(words & seen) > limit * max(min(len(words), len(seen)), 1)
