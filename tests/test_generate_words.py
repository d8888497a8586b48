from __future__ import annotations

import pytest

from wavrag.generate.words import content_words, stem


@pytest.mark.parametrize(
    "words",
    [
        "bridge bridges bridged bridging",
        "stop stops stopped stopping",
        "carry carries carried",
        "quick quickly",
        "church churches",
        "harbour harbour's harbour\u2019s harbours",
        "create created creates creating",
    ],
)
def test_forms_of_one_word_share_a_stem(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 1


@pytest.mark.parametrize("pair", ["bus bush", "sing sin", "was wash", "bed bee"])
def test_other_words_do_not(pair: str) -> None:
    assert len({stem(word) for word in pair.split()}) == 2


def test_content_words_leave_out_function_words_and_punctuation() -> None:
    assert content_words("When does the FERRY (no. 12) leave?") == ["ferri", "12", "leav"]


def test_a_text_of_function_words_keeps_them() -> None:
    assert content_words("Who are you?") == ["who", "are", "you"]


def test_other_languages_keep_whole_words() -> None:
    assert content_words("Brücken über Flüsse") == ["brücken", "über", "flüsse"]


@pytest.mark.parametrize("text", ["", " \n", "... -- ?"])
def test_no_words(text: str) -> None:
    assert content_words(text) == []
