from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.answer.context import (
    EXTRACTIVE_CONTEXT,
    ContextOptions,
    build_context,
    drop_duplicates,
    join,
    resemblance,
    select_strong,
)
from wavrag.errors import InputError
from wavrag.search import word_triples
from wavrag.types import Hit, Leg, Passage

LOOSE = ContextOptions(max_passages=9, max_gap=2, max_gap_agreed=2, min_score=0, join=False)


def hit(
    name: str,
    score: float = 1.0,
    text: str | None = None,
    dense: float | None = 0.5,
    **fields: object,
) -> Hit:
    document, _, ordinal = name.partition("#")
    passage = Passage(document, int(ordinal or 0), text or f"words of {name}", **fields)  # type: ignore[arg-type]
    return Hit(passage, 1, score, {} if dense is None else {"dense": dense})


def ids(hits: tuple[Hit, ...] | list[Hit]) -> list[str]:
    return [one.passage.id for one in hits]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((False, -20.0), (True, -20.0), (True, -20.0)),
        ((True, -20.0), (None, None), (True, None)),
        ((False, -20.0), (None, -20.0), (None, -20.0)),
        # 1 s at 0.01 and 3 s at 0.0001 have a mean power of 0.002575, which is -25.89 dB.
        ((False, -20.0), (False, -40.0), (False, -25.89)),
    ],
)
def test_joined_recordings_have_the_speech_and_level_of_both(
    first: tuple[bool | None, float | None],
    second: tuple[bool | None, float | None],
    expected: tuple[bool | None, float | None],
) -> None:
    passages = [
        Passage("a.wav", 0, start=0.0, end=1.0, speech=first[0], level=first[1]),
        Passage("a.wav", 1, start=1.0, end=4.0, speech=second[0], level=second[1]),
    ]
    joined = join(*passages)
    assert joined.speech is expected[0]
    assert joined.level == pytest.approx(expected[1], abs=0.01)


def test_a_gap_in_cosine_ends_the_context_and_agreement_widens_it() -> None:
    far = hit("far", 0.9, dense=0.30)
    agreed = replace(hit("agreed", 0.9, dense=0.30), legs={"dense": 0.30, "lexical": 4.0})
    weak = hit("weak", 0.1, dense=0.50)
    lexical = replace(hit("lexical", 0.9, dense=None), legs={"lexical": 4.0})
    options = ContextOptions(max_gap=0.15, max_gap_agreed=0.3, min_score=0.4)
    # far: .50 - .30 = .20 > .15; agreed: .20 <= .30; weak: .1 < .4 of the best score.
    found = select_strong([hit("best", dense=0.50), far, agreed, weak, lexical], options)
    assert [one.passage.document_id for one in found] == ["best", "agreed", "lexical"]


def test_what_is_left_out_is_counted() -> None:
    hits = [
        hit("a", 1.0, "the ferry leaves the old harbour at nine every day", dense=0.6),
        hit("b", 0.9, "The ferry leaves the old harbour at nine every day!", dense=0.6),
        hit("c", 0.8, "dogs", dense=0.1),
        hit("d", 0.7, "cats", dense=0.6),
        hit("e", 0.6, "gulls", dense=0.6),
    ]
    context = build_context(hits, ContextOptions(max_passages=2))
    assert ids(context.hits) == ["a#0", "d#0"]
    assert [one.rank for one in context.hits] == [1, 2]
    assert (context.merged, context.weak, context.over_budget, context.joined) == (1, 1, 1, 0)


def test_resemblance_by_hand() -> None:
    # Triples abc bcd against abc bce: one of three.
    assert resemblance(*map(word_triples, ("a b c d", "A, b c e"))) == pytest.approx(1 / 3)
    assert resemblance(*map(word_triples, ("a", "a"))) == 1
    assert resemblance(*map(word_triples, ("a", ""))) == 0


@pytest.mark.parametrize(
    "other",
    [
        "the ferry to the long island leaves the old harbour every day of the year at ten",
        "the ferry to the long island never leaves the old harbour every day of the year at nine",
    ],
)
def test_another_number_or_a_negation_is_no_duplicate(other: str) -> None:
    text = "the ferry to the long island leaves the old harbour every day of the year at nine"
    assert resemblance(word_triples(text), word_triples(other)) > 0.5
    assert len(drop_duplicates([hit("a", text=text), hit("b", text=other)], 0.5)) == 2
    assert len(drop_duplicates([hit("a", text=text), hit("b", text=text.upper())], 1.0)) == 1


def test_neighbours_of_a_text_are_joined_without_what_both_have() -> None:
    text = "One is here. Two is here. Three is here."
    first = Passage("d", 4, text[:25], char_start=0, char_end=25)
    second = Passage("d", 5, text[13:], char_start=13, char_end=40)
    whole = join(first, second)
    assert (whole.text, whole.char_start, whole.char_end, whole.ordinal) == (text, 0, 40, 4)
    options = replace(LOOSE, join=True)
    context = build_context([Hit(second, 1, 0.9, {}), Hit(first, 2, 0.5, {})], options)
    (joined,) = context.hits
    assert (joined.passage, joined.score, context.joined) == (whole, 0.9, 1)


def window(ordinal: int, start: float, end: float, words: str | None = None) -> Hit:
    passage = Passage("r.wav", ordinal, words, start=start, end=end)
    return Hit(passage, 1, 1.0 - ordinal / 10, {"dense": 0.5})


def test_windows_are_joined_over_what_was_cut_twice_and_not_over_silence() -> None:
    options = replace(LOOSE, join=True)
    touching = [window(0, 0.0, 20.0, "the tide comes"), window(1, 19.0, 39.0, "tide comes in")]
    (joined,) = build_context(touching, options).hits
    assert joined.passage.text == "the tide comes in"
    assert joined.passage.location == "0:00.0-0:39.0"
    for apart in (
        [window(0, 0, 20), window(1, 23, 39)],  # three seconds of silence between
        [window(0, 0, 25), window(1, 25, 49)],  # 49 seconds together
        [window(0, 0, 10), window(2, 10, 20)],  # what lies between was not found
    ):
        assert len(build_context(apart, options).hits) == 2


def test_what_lies_between_two_sources_joins_both() -> None:
    hits = [hit("d#0", 0.9), hit("d#2", 0.8), hit("e", 0.75), hit("d#1", 0.7)]
    context = build_context(hits, replace(LOOSE, join=True))
    assert ids(context.hits) == ["d#0", "e#0"]
    assert context.hits[0].passage.text == "words of d#0 words of d#1 words of d#2"
    assert context.joined == 2


@pytest.mark.parametrize("field", ["section", "document_id"])
def test_other_sections_and_documents_are_not_joined(field: str) -> None:
    one, two = hit("d#0", 0.9), hit("d#1", 0.8)
    other = replace(two, passage=replace(two.passage, **{field: "other"}))
    options = replace(LOOSE, join=True)
    assert len(build_context([one, two], options).hits) == 1
    assert len(build_context([one, other], options).hits) == 2
    assert len(build_context([one, two], replace(options, join=False)).hits) == 2


def test_the_best_hit_is_cut_to_a_budget_that_it_exceeds() -> None:
    text = "It is nine. It is ten. It is late."
    best = Hit(Passage("d", 0, text, char_start=100, char_end=134), 1, 1.0, {})
    context = build_context([best], ContextOptions(max_chars=25))
    assert context.shortened
    assert context.hits[0].passage.text == "It is nine. It is ten."
    assert context.hits[0].passage.char_end == 122
    assert build_context([best], ContextOptions(max_chars=8)).hits[0].passage.text == "It is"
    assert build_context([best], ContextOptions(max_chars=1)).hits[0].passage.text == "I"


@pytest.mark.parametrize("field", ["max_passages", "max_chars"])
def test_a_budget_of_nothing_is_an_error(field: str) -> None:
    with pytest.raises(InputError, match="at least 1"):
        ContextOptions(**{field: 0})


def test_quoting_takes_the_best_as_they_are() -> None:
    hits = [hit(f"d#{n}", 1 / (n + 1), dense=0.5 / (n + 1)) for n in range(7)]
    assert ids(build_context(hits, EXTRACTIVE_CONTEXT).hits) == ids(hits[:5])


def test_no_hits_no_context() -> None:
    assert build_context([]).hits == ()


@st.composite
def hit_lists(draw: st.DrawFn) -> list[Hit]:
    words = st.lists(st.sampled_from("a b c d nine 9 not. x.".split()), max_size=12).map(" ".join)
    names = draw(st.lists(st.tuples(st.sampled_from("de"), st.integers(0, 4)), unique=True))
    made = []
    for document, ordinal in names:
        text = draw(words) or None
        span: dict[str, float] = {}
        if document == "e":
            span = {"start": 10.0 * ordinal, "end": 10.0 * ordinal + draw(st.sampled_from([9, 11]))}
        passage = Passage(document, ordinal, text, **span)  # type: ignore[arg-type]
        legs: dict[Leg, float] = draw(
            st.dictionaries(st.sampled_from(["dense", "lexical"]), st.sampled_from([0.1, 0.3, 0.5]))
        )
        made.append(Hit(passage, 1, draw(st.sampled_from([0.1, 0.2, 0.3])), legs))
    return made


option_sets = st.builds(
    ContextOptions,
    max_passages=st.integers(1, 4),
    max_chars=st.integers(1, 60),
    max_gap=st.sampled_from([0.0, 0.2, 1.0]),
    join=st.booleans(),
)


@given(hit_lists(), option_sets, st.randoms(use_true_random=False))
def test_any_context(hits: list[Hit], options: ContextOptions, order: random.Random) -> None:
    context = build_context(hits, options)
    if not hits:
        assert context.hits == ()
        return
    # The best stays, first; it may be the later part of a joined source.
    best = min(hits, key=lambda one: (-one.score, one.passage.id))
    first = context.hits[0]
    assert first.score == best.score
    assert first.passage.document_id == best.passage.document_id
    if context.shortened:
        assert (best.passage.text or "").startswith(first.passage.text or "")
    else:
        assert (best.passage.text or "") in (first.passage.text or "")
    # Within the budget.
    texts = [one.passage.text or "" for one in context.hits]
    assert len(texts) <= options.max_passages
    assert sum(map(len, texts)) <= options.max_chars
    # Nothing invented: ids and words are of the hits, and each hit went one way.
    assert set(ids(context.hits)) <= set(ids(hits))
    for one in context.hits:
        of_it = [h.passage for h in hits if h.passage.document_id == one.passage.document_id]
        known = {word for passage in of_it for word in (passage.text or "").split()}
        written = (one.passage.text or "").split()
        assert set(written[:-1] if context.shortened else written) <= known
    left_out = context.merged + context.joined + context.weak + context.over_budget
    assert len(context.hits) + left_out == len(hits)
    # Deterministic, whatever the order in which hits come.
    mixed = list(hits)
    order.shuffle(mixed)
    assert build_context(mixed, options) == context
