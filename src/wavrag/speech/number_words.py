"""Numbers in English words.

Own rules instead of a library: `num2words` is under the LGPL and requires a package without a
wheel, and importing `inflect` takes more than a second.
"""

from __future__ import annotations

import re

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
).split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = (
    (10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1_000, "thousand"),
    (100, "hundred"),
)  # fmt: skip
_IRREGULAR = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip
MAX_DIGITS = 15  # longer numbers are codes rather than counts


def cardinal(number: int) -> str:
    """A number of up to `MAX_DIGITS` digits in words.

    Example:
        >>> cardinal(1_205)
        'one thousand two hundred and five'
    """
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, remainder = divmod(number, 10)
        return _TENS[tens] + (f"-{_SMALL[remainder]}" if remainder else "")
    value, name = next(scale for scale in _SCALES if number >= scale[0])
    count, remainder = divmod(number, value)
    words = f"{cardinal(count)} {name}"
    if not remainder:
        return words
    return f"{words} {'and ' if remainder < 100 else ''}{cardinal(remainder)}"


def ordinal(number: int) -> str:
    """A rank in words: 21 becomes `twenty-first`."""
    start, last = re.fullmatch(r"(.*?)(\w+)", cardinal(number)).groups()  # type: ignore[union-attr]
    if last in _IRREGULAR:
        return f"{start}{_IRREGULAR[last]}"
    return f"{start}{last[:-1]}ieth" if last.endswith("y") else f"{start}{last}th"


def year(number: int) -> str:
    """A year in words: 1984 becomes `nineteen eighty-four`."""
    century, remainder = divmod(number, 100)
    if century == 10 or (century == 20 and remainder < 10) or not 1_000 <= number < 10_000:
        return cardinal(number)
    if not remainder:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if remainder < 10 else ''}{cardinal(remainder)}"


def digits(text: str) -> str:
    """The digits of a text one by one."""
    return " ".join(_SMALL[int(digit)] for digit in text if digit.isdecimal())


def number(text: str) -> str:
    """A number as written: `1,205`, `3.10` or `007`.

    Digits are read one by one after a decimal point, in long numbers, and after a leading zero.
    """
    integer, _, decimals = text.replace(",", "").partition(".")
    is_count = integer == "0" or (not integer.startswith("0") and len(integer) <= MAX_DIGITS)
    words = cardinal(int(integer)) if is_count else digits(integer)
    return f"{words} point {digits(decimals)}" if decimals else words
