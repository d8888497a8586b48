"""Values as filters read them: text order is value order, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.store.lance_filter import encode_value

whole = st.integers(-(2**63), 2**63 - 1)
numbers = st.one_of(
    whole,
    st.floats(allow_nan=False),
    st.integers(),
    whole.map(float),
    st.integers(-(2**63), 2**63 - 2).map(lambda value: int(float(value)) + 1),
)
texts = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("\x1c\x1d\x1e\x1f 123")))


@given(numbers, numbers)
def test_numbers_sort_as_their_codes(left, right):
    codes = encode_value(left), encode_value(right)
    assert (left < right, left == right) == (codes[0] < codes[1], codes[0] == codes[1])


@given(texts, texts)
def test_texts_sort_as_their_codes(left, right):
    codes = encode_value(left), encode_value(right)
    assert (left < right, left == right) == (codes[0] < codes[1], codes[0] == codes[1])
    assert not {"\x1e", "\x1f"} & set(codes[0])


@pytest.mark.parametrize(
    ("value", "code"),
    [
        # The bits of 1.0 are 3ff0..., with the sign turned bff0...; nothing is left over: 1000.
        (1, "nbff00000000000001000"),
        (1.0, "nbff00000000000001000"),
        # 2**53 + 1 rounds to 2**53, whose exponent is 1023 + 53 = 0x434; 1 is left over.
        (2**53 + 1, "nc3400000000000001001"),
        # The bits of -2.0 are c000..., all turned 3fff...
        (-2, "n3fffffffffffffff1000"),
        (-0.0, encode_value(0)),
        (True, "b1"),
        ("1", "s1"),
        ("\x1d\x1e\x1f", "s\x1d1\x1d2\x1d3"),
    ],
)
def test_codes_by_hand(value, code):
    assert encode_value(value) == code
