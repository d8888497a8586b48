"""Transcripts corrected with the words of a knowledge base."""

import numpy as np
import pytest

from letter_posteriors import posteriors
from wavrag.corrections import apply_corrections
from wavrag.embed.hearing import MIN_WEIGHT, SpeechCorrector, inflections, spell_word
from wavrag.types import Vocabulary


def corrector(
    counts: dict[str, int], pairs: dict[tuple[str, str], int] | None = None
) -> SpeechCorrector:
    words = tuple(counts)
    places = {word: place for place, word in enumerate(words)}
    rows = [[places[first], places[second]] for first, second in pairs or {}]
    vocabulary = Vocabulary(
        words,
        np.array(list(counts.values()), np.int64),
        np.array(rows, np.int64).reshape(-1, 2),
        np.array(list((pairs or {}).values()), np.int64),
    )
    return SpeechCorrector(vocabulary)


def correct(base: SpeechCorrector, transcript: str, frames: str, **options: float) -> str:
    corrections = base.correct(transcript, posteriors(frames, 0.6), **options)
    return apply_corrections(transcript, corrections)


COUNTS = {"who": 9, "is": 9, "the": 9, "kublai": 2, "cuba": 5, "khan": 4, "tesla": 9, "met": 3}


def test_an_unknown_word_becomes_the_word_of_the_base_that_sounds_so() -> None:
    base = corrector(COUNTS)
    (correction,) = base.correct("Who met Kablai?", posteriors("w_h_o m_e_t k_u_b_l_a_i", 0.6))
    assert correction.word == "Kablai"
    assert correction.alternatives[0].text == "kublai"
    weights = [alternative.weight for alternative in correction.alternatives]
    assert weights == sorted(weights, reverse=True)
    assert all(weight >= MIN_WEIGHT for weight in weights)
    assert sum(weights) <= 1.001
    assert apply_corrections("Who met Kablai?", [correction]) == "Who met Kublai?"


def test_words_that_the_base_contains_stay_if_they_fit() -> None:
    base = corrector({**COUNTS, "invention": 1})
    assert base.correct("who met tesla", posteriors("w_h_o m_e_t t_e_s_l_a")) == []
    # In another inflection.
    assert base.correct("inventions", posteriors("i_n_v_e_n_t_i_o_n_s")) == []


def test_a_known_word_gives_way_to_one_that_fits_far_better() -> None:
    base = corrector(COUNTS)
    assert correct(base, "who met cuba", "w_h_o m_e_t k_u_b_l_a_i") == "who met kublai"
    assert correct(base, "who met cuba", "w_h_o m_e_t k_u_b_l_a_i", trust=99.0) == "who met cuba"


def test_several_words_become_one() -> None:
    base = corrector({"what": 9, "is": 9, "an": 9, "apicoplast": 1, "last": 8})
    frames = "w_h_a_t i_s a_n a_p_i_c_o_p_ l_a_s_t"
    assert correct(base, "what is an appicop last?", frames) == "what is an apicoplast?"


def test_neighbours_decide_between_similar_words() -> None:
    counts = {"the": 9, "rhine": 3, "rhone": 3, "river": 9}
    frames = "t_h_e r_h_e_n_e r_i_v_e_r"
    for name in ("rhine", "rhone"):
        base = corrector(counts, {(name, "river"): 50})
        assert correct(base, "the rhene river", frames) == f"the {name} river"


@pytest.mark.parametrize(
    "transcript", ["", "?!", "in 1969", "日本語", "a transcript that is much too long for it"]
)
def test_transcripts_without_corrections(transcript: str) -> None:
    assert corrector(COUNTS).correct(transcript, posteriors("i_n 1_9_6_9")) == []


def test_an_empty_base_corrects_nothing() -> None:
    assert corrector({}).correct("who met cuba", posteriors("w_h_o m_e_t k_u_b_l_a_i")) == []


def test_spelling_in_the_letters_of_the_model() -> None:
    assert spell_word("Fianc\u00e9e\u2019s") == "fiancee's"
    assert spell_word("\u6f22") == ""


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("inventions", "invention"), ("invention", "inventions"), ("stopped", "stop"),
        ("making", "make"), ("make", "making"), ("cities", "city"), ("city", "cities"),
        ("quickly", "quick"), ("khan's", "khan"), ("tried", "try"),
    ],
)  # fmt: skip
def test_inflections(word: str, form: str) -> None:
    assert form in inflections(word)


def test_inflections_of_other_words() -> None:
    assert "red" not in inflections("bus")
    assert "cuba" not in inflections("cubic")
