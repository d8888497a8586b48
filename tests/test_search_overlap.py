"""Overlapping hits are thinned."""

from __future__ import annotations

from wavrag.search import remove_overlaps
from wavrag.types import Hit, Passage

TEXT = "The zebra crossed the road. It met an okapi there. Both were surprised by the quagga."


def spoken(rank, ordinal, start, end, text=None, document="talk.wav", **legs):
    passage = Passage(document, ordinal, text, start, end)
    return Hit(passage, rank, 1 / rank, legs or {"dense": 1 / rank})


def written(rank, ordinal, start, end, document="a.md", **place):
    passage = Passage(document, ordinal, TEXT[start:end], char_start=start, char_end=end, **place)
    return Hit(passage, rank, 1 / rank, {"dense": 1 / rank})


def spans(hits):
    return [(h.rank, h.passage.id, h.passage.start, h.passage.end) for h in hits]


def test_passages_that_do_not_say_where_they_are_stay_apart():
    hits = [Hit(Passage("a", i, "text"), i + 1, 1.0, {}) for i in range(2)]
    assert remove_overlaps(hits) == hits


def test_nothing():
    assert remove_overlaps([]) == []


def test_a_hit_within_a_better_one_goes():
    hits = [
        spoken(1, 1, 10.0, 20.0),
        spoken(2, 2, 14.0, 24.0),  # 6 of 10 s within the first
        spoken(3, 3, 16.0, 26.0),  # 4 of 10 s
        spoken(4, 1, 10.0, 20.0, document="other.wav"),
    ]
    assert [h[:2] for h in spans(remove_overlaps(hits))] == [
        (1, "talk.wav#1"),
        (2, "talk.wav#3"),
        (3, "other.wav#1"),
    ]
