"""Numbers and negations in English text, as data for comparing two texts."""

from __future__ import annotations

import re

TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
THOUSANDS_SEPARATOR = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# "one" is a pronoun as often as a number, so it counts as a word: its slot holds a dot.
_UNITS = (
    "zero . two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {word: value for value, word in enumerate(_UNITS) if word != "."} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
NUMBER_WORDS = frozenset(_VALUES) | frozenset(_SCALES)
_NEGATIONS = frozenset("no not never none nobody nothing neither nor without cannot".split())


def find_numbers(text: str) -> frozenset[str]:
    """Extract the numbers of a text as digits: `9`, `nine`, `1,000` and `a thousand` count.

    Ordinals in letters and the word "one" do not count.
    """
    text = THOUSANDS_SEPARATOR.sub("", text.casefold())
    numbers: set[str] = set()
    total: int | None = None  # value of the number in words that is being read
    position = 0
    for match in TOKEN.finditer(text):
        token, gap = match[0], text[position : match.start()]
        position = match.end()
        value, scale = _VALUES.get(token), _SCALES.get(token)
        extends_number = total is not None and not gap.strip(" -") and (
            scale is not None
            or (value is not None and _can_follow(total, value))
            or (token == "and" and total >= 100)
        )  # fmt: skip
        if total is not None and not extends_number:
            numbers.add(str(total))
            total = None
        if scale is not None:
            total = (total or 1) * scale
        elif value is not None:
            total = (total or 0) + value
        elif token[0].isdigit():
            numbers.add(token.lstrip("0") or "0")
    return frozenset(numbers if total is None else {*numbers, str(total)})


def has_negation(text: str) -> bool:
    """True if a text contains a word of negation."""
    words = (match[0].replace("\u2019", "'") for match in TOKEN.finditer(text.casefold()))
    return any(word in _NEGATIONS or word.endswith("n't") for word in words)


def _can_follow(total: int, value: int) -> bool:
    """True if a number word extends the number: "three" after 20, "fifty" after 200."""
    if value < 10 and total % 100 in range(20, 100, 10):
        return True
    return total >= 100 and total % 100 == 0
