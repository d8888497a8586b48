"""What a generator is given to read: few passages, none twice, and each with its name.

Pure functions on hits. Hits whose spans lie within a better one's are left out before, by
`wavrag.search.drop_overlapping`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from wavrag.answer.grounding import is_negated, numbers_of
from wavrag.audio import mean_level
from wavrag.errors import InputError
from wavrag.text import sentences
from wavrag.types import Hit, Passage

CountTokens: TypeAlias = Callable[[str], int]
SHINGLE = 3  # words


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """What is taken from the hits, and how much of it.

    Attributes:
        max_passages: most sources, after joining.
        max_chars: most characters of all sources together, without their labels.
        max_tokens: the same in tokens, of the counter that is passed in; None for no such limit.
        max_gap: how far the cosine of a hit that one leg found may lie below the best one's.
        max_gap_agreed: the same for a hit that both legs found.
        min_score: least fused score, as a share of the best one's.
        duplicate: Jaccard similarity of word triples from which two passages are the same.
        join: whether neighbours of one document become one source.
        join_chars: longest source that is joined, in characters.
        join_seconds: longest source that is joined, in seconds.
        join_gap_seconds: longest silence between two windows that are joined.
    """

    max_passages: int = 3
    max_chars: int = 2_400
    max_tokens: int | None = None
    max_gap: float = 0.075
    max_gap_agreed: float = 0.15
    min_score: float = 0.4
    duplicate: float = 0.8
    join: bool = True
    join_chars: int = 1_400
    join_seconds: float = 48.0
    join_gap_seconds: float = 2.0

    def __post_init__(self) -> None:
        tokens = 1 if self.max_tokens is None else self.max_tokens
        if min(self.max_passages, self.max_chars, tokens) < 1:
            raise InputError(f"{self}: give every budget at least 1")


QUOTED = ContextOptions(
    max_passages=5, max_chars=8_000, max_gap=2.0, max_gap_agreed=2.0, min_score=0.0, join=False
)
"""For a generator that ranks sentences itself, and weighs a word by how many of them have it."""


@dataclass(frozen=True, slots=True)
class Context:
    """What was taken.

    Attributes:
        hits: best first, ranked anew from 1; a joined one has the scores of its best part.
        merged: hits that said the same as a better one.
        joined: hits that became part of another's source.
        weak: hits left out because they lie too far behind the best.
        over_budget: hits left out because they did not fit.
        shortened: whether the best hit alone was longer than the budget, and was cut to it.
    """

    hits: tuple[Hit, ...]
    merged: int = 0
    joined: int = 0
    weak: int = 0
    over_budget: int = 0
    shortened: bool = False


def build_context(
    hits: Sequence[Hit],
    options: ContextOptions | None = None,
    count_tokens: CountTokens | None = None,
) -> Context:
    """Choose, merge and join hits within the budget.

    Args:
        hits: in any order; the best has the highest score, ties by passage id.
        options: how much, and of what.
        count_tokens: of a text; needed where `options.max_tokens` is set.

    Raises:
        InputError: there is a budget of tokens and nothing that counts them.
    """
    options = options or ContextOptions()
    if options.max_tokens is not None and count_tokens is None:
        raise InputError("max_tokens needs count_tokens: pass the generator's tokenizer")
    ranked = sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))
    if not ranked:
        return Context(())
    strong = within_reach(ranked, options)
    distinct = drop_duplicates(strong, options.duplicate)
    best = _cut_to_fit(distinct[0], options, count_tokens)
    shortened = best is not distinct[0]
    taken = [_Source(best, best.passage.ordinal)]
    joined = over = 0
    for hit in distinct[1:]:
        new = _Source(hit, hit.passage.ordinal)
        bigger = _absorb(taken, new, options) if options.join and not shortened else None
        if bigger is not None and _fits(bigger, options, count_tokens):
            joined += 1 + len(taken) - len(bigger)
            taken = bigger
        elif _fits([*taken, new], options, count_tokens):
            taken.append(new)
        else:
            over += 1
    return Context(
        hits=tuple(replace(one.hit, rank=rank) for rank, one in enumerate(taken, start=1)),
        merged=len(strong) - len(distinct),
        joined=joined,
        weak=len(ranked) - len(strong),
        over_budget=over,
        shortened=shortened,
    )


def within_reach(hits: Sequence[Hit], options: ContextOptions) -> list[Hit]:
    """The hits that do not lie too far behind the best: adaptive top-k.

    A hit stays if its fused score is a fair share of the best one's, and its cosine lies little
    below the best cosine; a hit that both legs found may lie further below. One that the lexical
    leg alone found has no cosine, and its fused score decides.

    Args:
        hits: best first; the first always stays.
        options: what is far.
    """
    best = hits[0]
    top = max((hit.legs["dense"] for hit in hits if "dense" in hit.legs), default=0.0)

    def near(hit: Hit) -> bool:
        if hit.score < options.min_score * best.score:
            return False
        if "dense" not in hit.legs:
            return True
        allowed = options.max_gap_agreed if len(hit.legs) > 1 else options.max_gap
        return top - hit.legs["dense"] <= allowed

    return [best, *(hit for hit in hits[1:] if near(hit))]


def drop_duplicates(hits: Sequence[Hit], threshold: float) -> list[Hit]:
    """Leave out hits with the words of a better one.

    Passages with different numbers, or of which one is negated, are never the same.

    Args:
        hits: best first.
        threshold: Jaccard similarity of their word triples (Broder 1997, "On the resemblance and
            containment of documents"), from which two are the same.
    """
    kept: list[Hit] = []
    for hit in hits:
        if not any(_same(hit.passage.text, better.passage.text, threshold) for better in kept):
            kept.append(hit)
    return kept


def resemblance(one: str, other: str) -> float:
    """Jaccard similarity of the sets of word triples of two texts, from 0 to 1."""
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / max(len(first | second), 1)


def join(first: Passage, second: Passage) -> Passage:
    """Two neighbours as one passage; what both have stands in it once.

    Args:
        first: the earlier of the two, whose id the whole keeps.
        second: the next of the same document.
    """
    before, after = first.text or "", second.text or ""
    shared = 0
    if first.char_end is not None and second.char_start is not None:
        shared = max(0, first.char_end - second.char_start)
    elif first.end is not None and second.start is not None and second.start < first.end:
        shared = _shared_words(before, after)
    if shared and before.endswith(after[:shared]):
        text = before + after[shared:]
    else:
        text = " ".join(filter(None, (before, after)))
    return replace(
        first,
        text=text or None,
        end=second.end,
        char_end=second.char_end,
        speech=first.speech or second.speech,
        level=_joined_level(first, second),
    )


def _joined_level(first: Passage, second: Passage) -> float | None:
    """Level of two neighbouring passages together; None if either was not measured."""
    if first.level is None or second.level is None:
        return None
    seconds = [(one.end or 0.0) - (one.start or 0.0) for one in (first, second)]
    return mean_level(first.level, seconds[0], second.level, seconds[1])


@dataclass(frozen=True, slots=True)
class _Source:
    """A hit, of which a joined one reaches from the ordinal of its passage to `last`."""

    hit: Hit
    last: int


def _absorb(
    taken: Sequence[_Source], new: _Source, options: ContextOptions
) -> list[_Source] | None:
    """The sources with the new one joined to its neighbours; None if it may join none.

    A passage between two sources joins both, in the place of the better one.
    """
    whole, others, place = new, [], None
    for source in taken:
        better, other = (source, whole) if place is None else (whole, source)
        bigger = _joined(better, other, options)
        if bigger is None:
            others.append(source)
            continue
        whole = bigger
        place = len(others) if place is None else place
    return None if place is None else [*others[:place], whole, *others[place:]]


def _joined(better: _Source, other: _Source, options: ContextOptions) -> _Source | None:
    """Two sources as one with the scores of the better; None if they are no neighbours."""
    first, second = sorted((better, other), key=lambda one: one.hit.passage.ordinal)
    one, next_one = first.hit.passage, second.hit.passage
    if first.last + 1 != next_one.ordinal or any(
        getattr(one, name) != getattr(next_one, name)
        for name in ("document_id", "section", "modality")
    ):
        return None
    whole = join(one, next_one)
    if len(whole.text or "") > options.join_chars:
        return None
    if one.end is not None and next_one.start is not None:
        if next_one.start - one.end > options.join_gap_seconds:
            return None
        if (whole.end or 0.0) - (whole.start or 0.0) > options.join_seconds:
            return None
    return _Source(replace(better.hit, passage=whole), second.last)


def _shared_words(before: str, after: str) -> int:
    """Characters at the head of one text that the other ends with, in whole words."""
    words = after.split(" ")
    for count in range(len(words), 0, -1):
        head = " ".join(words[:count])
        if before == head or before.endswith(f" {head}"):
            return len(head)
    return 0


def _fits(sources: Sequence[_Source], options: ContextOptions, count: CountTokens | None) -> bool:
    texts = [one.hit.passage.text or "" for one in sources]
    if len(texts) > options.max_passages or sum(map(len, texts)) > options.max_chars:
        return False
    return (
        options.max_tokens is None or count is None or sum(map(count, texts)) <= options.max_tokens
    )


def _cut_to_fit(hit: Hit, options: ContextOptions, count: CountTokens | None) -> Hit:
    """The hit itself, or with the head of its words that fits: whole sentences, or else words."""
    passage = hit.passage
    text = passage.text or ""
    for end in _ends(text):
        head = replace(
            passage,
            text=text[:end] or None,
            char_end=None if passage.char_start is None else passage.char_start + end,
        )
        if _fits([_Source(replace(hit, passage=head), 0)], options, count):
            return hit if end == len(text) else replace(hit, passage=head)
    return replace(hit, passage=replace(passage, text=None))


def _ends(text: str) -> Iterator[int]:
    """Where a text may end: as it does, after a sentence, after a word, anywhere."""
    yield len(text)
    yield from (end for _, end in reversed(sentences(text)))
    yield from (match.end() for match in reversed(list(re.finditer(r"\S+", text))))
    yield from range(len(text) - 1, -1, -1)


def _same(one: str | None, other: str | None, threshold: float) -> bool:
    if not one or not other or resemblance(one, other) < threshold:
        return False
    return numbers_of(one) == numbers_of(other) and is_negated(one) == is_negated(other)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    count = max(len(words) - SHINGLE + 1, min(len(words), 1))
    return {tuple(words[at : at + SHINGLE]) for at in range(count)}
