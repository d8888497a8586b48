"""Word errors and cost, by hand."""

import pytest

from wavrag.errors import InputError
from wavrag.evaluate.cost import Cost
from wavrag.evaluate.wer import count_word_errors, spoken_words
from wavrag.text import edit_distance


def test_edits_are_counted() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("a b c".split(), "a c".split()) == 1
    assert edit_distance("", "abc") == 3


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert spoken_words("It\u2019s late: \u201cGo home!\u201d") == ["it's", "late", "go", "home"]
    assert spoken_words("well-known, in 1969\u2026") == ["well", "known", "in", "1969"]
    assert spoken_words(" ?! ") == []


def test_errors_by_hand() -> None:
    # the cat sat / a cat sat down: one substituted, one added: 2 of 3.
    # go home / (nothing): two left out: 2 of 2. Together 4 of 5, not the mean of 2/3 and 1.
    found = count_word_errors(["The cat sat.", "Go home"], ["a cat sat down", ""])
    assert (found.errors, found.words, found.recordings) == (4, 5, 2)
    assert found.rate == 0.8
    # Resampled, both are drawn once, or one of them twice.
    assert found.ci95 == pytest.approx((2 / 3, 1.0))


def test_more_words_than_were_said_can_be_wrong() -> None:
    assert count_word_errors(["yes"], ["oh yes it is"]).rate == 3.0


def test_without_words_there_is_no_rate() -> None:
    with pytest.raises(InputError, match="nothing to get wrong"):
        count_word_errors(["..."], ["noise"])
    with pytest.raises(InputError, match="nothing to get wrong"):
        count_word_errors([], [])


def test_cost_by_hand() -> None:
    # 3 CPU seconds for half a minute: 360 an hour, a tenth of a CPU hour, at .05 each .005.
    cost = Cost(seconds=2.0, cpu_seconds=3.0, audio_seconds=30.0)
    assert cost.cpu_seconds_per_hour == 360
    assert cost.price_per_hour(0.05) == pytest.approx(0.005)
    assert Cost(cpu_seconds=3.0).cpu_seconds_per_hour is None
    assert Cost(cpu_seconds=3.0).price_per_hour(1.0) is None


def test_work_is_added_up_even_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, cpu = iter([10.0, 12.0, 20.0, 25.0]), iter([1.0, 4.0, 6.0, 7.0])
    monkeypatch.setattr("wavrag.evaluate.cost.perf_counter", lambda: next(wall))
    monkeypatch.setattr("wavrag.evaluate.cost.process_time", lambda: next(cpu))
    cost = Cost()
    with cost.measure():
        pass
    with pytest.raises(KeyError), cost.measure():
        raise KeyError
    assert (cost.seconds, cost.cpu_seconds) == (2 + 5, 3 + 1)
