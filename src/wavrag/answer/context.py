"""Selection of the context: a few hits, without duplicates, with neighbours joined.

Pure functions on hits. `wavrag.search.remove_overlaps` runs first and removes hits inside the span
of a better hit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from wavrag.answer.numerals import find_numbers, has_negation
from wavrag.audio import mean_level
from wavrag.errors import InputError
from wavrag.search import word_triples
from wavrag.text import sentences
from wavrag.types import Hit, Passage

Triples: TypeAlias = set[tuple[str, ...]]

# Jaccard similarity of word triples: in a passage of 70 words, two changed words leave it above
# this threshold, and four do not.
DUPLICATE_SIMILARITY = 0.8
# A joined source leaves room for another document in the budget of 2,400 characters.
MAX_JOINED_CHARS = 1_400
MAX_JOINED_SECONDS = 48.0
MAX_JOINED_GAP_SECONDS = 2.0  # a longer silence separates two windows


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """Limits of the context. `benchmarks/grounding.py` measures the defaults.

    Attributes:
        max_passages: maximum number of sources after joining.
        max_chars: maximum number of characters of all sources, without their labels.
        max_gap: maximum cosine difference to the best hit, for hits of one leg.
        max_gap_agreed: maximum cosine difference to the best hit, for hits of both legs.
        min_score: minimum fused score, as a share of the best score.
        join: join neighbouring passages of a document to one source.
    """

    max_passages: int = 3
    max_chars: int = 2_400
    max_gap: float = 0.075
    max_gap_agreed: float = 0.15
    min_score: float = 0.4
    join: bool = True

    def __post_init__(self) -> None:
        if min(self.max_passages, self.max_chars) < 1:
            raise InputError(f"{self}: give every budget at least 1")


# A generator that quotes ranks sentences itself, and weights a word by the number of sentences
# that contain it: it needs weak hits for comparison, and passages as they are indexed.
EXTRACTIVE_CONTEXT = ContextOptions(
    max_passages=5, max_chars=8_000, max_gap=2.0, max_gap_agreed=2.0, min_score=0.0, join=False
)


@dataclass(frozen=True, slots=True)
class ContextSelection:
    """The selected hits, and counts of the others.

    Attributes:
        hits: best first, with ranks from 1; a joined hit has the scores of its best passage.
        merged: duplicates of a better hit.
        joined: hits joined to another source.
        weak: hits too far behind the best.
        over_budget: hits beyond the limits.
        shortened: True if the best hit alone exceeded the limits and was truncated.
    """

    hits: tuple[Hit, ...]
    merged: int = 0
    joined: int = 0
    weak: int = 0
    over_budget: int = 0
    shortened: bool = False


def build_context(hits: Sequence[Hit], options: ContextOptions | None = None) -> ContextSelection:
    """Select the context from hits: drop weak hits and duplicates, join neighbours.

    Args:
        hits: in any order; the best has the highest score, ties by passage id.
        options: limits.
    """
    options = options or ContextOptions()
    ranking = sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))
    if not ranking:
        return ContextSelection(())
    strong = select_strong(ranking, options)
    distinct = drop_duplicates(strong)
    best = _truncate_to_fit(distinct[0], options)
    shortened = best is not distinct[0]
    sources = [_Source(best, best.passage.ordinal)]
    joined = over_budget = 0
    for hit in distinct[1:]:
        candidate = _Source(hit, hit.passage.ordinal)
        extended = _join_neighbours(sources, candidate) if options.join and not shortened else None
        if extended is not None and _fits(extended, options):
            joined += 1 + len(sources) - len(extended)
            sources = extended
        elif _fits([*sources, candidate], options):
            sources.append(candidate)
        else:
            over_budget += 1
    return ContextSelection(
        hits=tuple(replace(source.hit, rank=rank) for rank, source in enumerate(sources, start=1)),
        merged=len(strong) - len(distinct),
        joined=joined,
        weak=len(ranking) - len(strong),
        over_budget=over_budget,
        shortened=shortened,
    )


def select_strong(hits: Sequence[Hit], options: ContextOptions) -> list[Hit]:
    """Drop hits too far behind the best (adaptive top-k).

    A hit needs a fair share of the best fused score and a cosine close to the best cosine. Hits of
    both legs may be further away. Hits of the lexical leg alone have no cosine; their fused score
    decides.

    Args:
        hits: best first; the first always stays.
        options: limits.
    """
    best = hits[0]
    top_cosine = max((hit.legs["dense"] for hit in hits if "dense" in hit.legs), default=0.0)

    def is_near(hit: Hit) -> bool:
        if hit.score < options.min_score * best.score:
            return False
        if "dense" not in hit.legs:
            return True
        max_gap = options.max_gap_agreed if len(hit.legs) > 1 else options.max_gap
        return top_cosine - hit.legs["dense"] <= max_gap

    return [best, *(hit for hit in hits[1:] if is_near(hit))]


def drop_duplicates(hits: Sequence[Hit], threshold: float = DUPLICATE_SIMILARITY) -> list[Hit]:
    """Drop hits with the text of a better hit.

    Passages with different numbers or negations are never duplicates: "opens at nine" and "opens
    at ten" differ in one word of many.

    Args:
        hits: best first.
        threshold: minimum Jaccard similarity of the word triples of duplicates (Broder 1997, "On
            the resemblance and containment of documents").
    """
    distinct: list[Hit] = []
    texts: list[tuple[str, Triples]] = []  # of the distinct hits
    for hit in hits:
        text = hit.passage.text or ""
        triples = word_triples(text)
        if not any(
            resemblance(triples, better_triples) >= threshold and _has_same_facts(text, better)
            for better, better_triples in texts
        ):
            distinct.append(hit)
            texts.append((text, triples))
    return distinct


def resemblance(a: Triples, b: Triples) -> float:
    """Jaccard similarity of the word triples of two texts, from 0 to 1."""
    return len(a & b) / max(len(a | b), 1)


def join(first: Passage, second: Passage) -> Passage:
    """Join two neighbouring passages; overlapping text occurs once.

    Args:
        first: the earlier passage; the result has its id.
        second: the next passage of the same document.
    """
    before, after = first.text or "", second.text or ""
    overlap = 0
    if first.char_end is not None and second.char_start is not None:
        overlap = max(0, first.char_end - second.char_start)
    elif first.end is not None and second.start is not None and second.start < first.end:
        # Windows of a recording overlap in time: the same words were recognised twice.
        overlap = _word_overlap(before, after)
    if overlap and before.endswith(after[:overlap]):
        text = before + after[overlap:]
    else:
        text = " ".join(filter(None, (before, after)))
    return replace(
        first,
        text=text or None,
        end=second.end,
        char_end=second.char_end,
        speech=_joined_speech(first.speech, second.speech),
        level=_joined_level(first, second),
    )


def _joined_speech(first: bool | None, second: bool | None) -> bool | None:
    # False prevents transcription, so it takes two passages without speech.
    if first or second:
        return True
    return None if first is None or second is None else False


def _joined_level(first: Passage, second: Passage) -> float | None:
    """Level of two neighbouring passages in dBFS; None if either was not measured."""
    if first.level is None or second.level is None:
        return None
    seconds = [(passage.end or 0.0) - (passage.start or 0.0) for passage in (first, second)]
    return mean_level(first.level, seconds[0], second.level, seconds[1])


@dataclass(frozen=True, slots=True)
class _Source:
    """A hit; a joined one spans the ordinals from its passage's to `last`."""

    hit: Hit
    last: int


def _join_neighbours(sources: Sequence[_Source], candidate: _Source) -> list[_Source] | None:
    """Join a source to its neighbours; None if it has none.

    A passage between two sources joins all three, at the position of the better one.
    """
    merged, separate, position = candidate, [], None
    for source in sources:
        # Sources come best first: the first neighbour is better than the candidate, and the
        # merged source better than every later one.
        better, worse = (source, merged) if position is None else (merged, source)
        union = _join_pair(better, worse)
        if union is None:
            separate.append(source)
            continue
        merged = union
        position = len(separate) if position is None else position
    if position is None:
        return None
    return [*separate[:position], merged, *separate[position:]]


def _join_pair(better: _Source, worse: _Source) -> _Source | None:
    """Join two sources, with the scores of the better; None if they are not neighbours."""
    first, second = sorted((better, worse), key=lambda source: source.hit.passage.ordinal)
    before, after = first.hit.passage, second.hit.passage
    if first.last + 1 != after.ordinal or (_join_key(before) != _join_key(after)):
        return None
    union = join(before, after)
    if len(union.text or "") > MAX_JOINED_CHARS:
        return None
    if before.end is not None and after.start is not None:
        if after.start - before.end > MAX_JOINED_GAP_SECONDS:
            return None
        if (union.end or 0.0) - (union.start or 0.0) > MAX_JOINED_SECONDS:
            return None
    return _Source(replace(better.hit, passage=union), second.last)


def _join_key(passage: Passage) -> tuple[object, ...]:
    names = ("document_id", "section", "modality", "speaker", "track", "channel")
    return tuple(getattr(passage, name) for name in names)


def _word_overlap(before: str, after: str) -> int:
    """Length in characters of the longest head of `after`, in whole words, that ends `before`."""
    words = after.split(" ")
    for count in range(len(words), 0, -1):
        head = " ".join(words[:count])
        if before == head or before.endswith(f" {head}"):
            return len(head)
    return 0


def _fits(sources: Sequence[_Source], options: ContextOptions) -> bool:
    chars = sum(len(source.hit.passage.text or "") for source in sources)
    return len(sources) <= options.max_passages and chars <= options.max_chars


def _truncate_to_fit(hit: Hit, options: ContextOptions) -> Hit:
    """Truncate a hit after a sentence, or else after a word, if it exceeds the limits."""
    passage, limit = hit.passage, options.max_chars
    text = passage.text or ""
    if len(text) <= limit:
        return hit
    sentence_ends = [end for _, end in sentences(text) if end <= limit]
    word_ends = [match.end() for match in re.finditer(r"\S+", text) if match.end() <= limit]
    end = max(sentence_ends or word_ends or [limit])
    char_end = None if passage.char_start is None else passage.char_start + end
    return replace(hit, passage=replace(passage, text=text[:end], char_end=char_end))


def _has_same_facts(a: str, b: str) -> bool:
    return find_numbers(a) == find_numbers(b) and has_negation(a) == has_negation(b)
