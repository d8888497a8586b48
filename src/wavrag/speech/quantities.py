"""Read out numbers in a text: dates, times, amounts of money, units, fractions and counts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

from wavrag.speech.number_words import cardinal, digits, number, ordinal, year

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_MONTHS = (
    "January February March April May June July August September October November December"
).split()
_MONTH = "|".join(f"{name}|{name[:3]}\\.?" for name in _MONTHS) + r"|Sept\.?"
# Singular, and its plural if that has no final "s".
_UNITS = {
    "km": "kilometre", "m": "metre", "cm": "centimetre", "mm": "millimetre",
    "\u00b5m": "micrometre", "nm": "nanometre", "mi": "mile", "ft": "foot|feet", "yd": "yard",
    "km\u00b2": "square kilometre", "m\u00b2": "square metre", "cm\u00b2": "square centimetre",
    "m\u00b3": "cubic metre", "cm\u00b3": "cubic centimetre", "ha": "hectare", "kg": "kilogram",
    "g": "gram", "mg": "milligram", "\u00b5g": "microgram", "lb": "pound", "lbs": "pound",
    "oz": "ounce", "l": "litre", "L": "litre", "ml": "millilitre", "mL": "millilitre",
    "cl": "centilitre", "dl": "decilitre", "s": "second", "sec": "second", "ms": "millisecond",
    "min": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "Hz": "hertz|hertz",
    "kHz": "kilohertz|kilohertz", "MHz": "megahertz|megahertz", "GHz": "gigahertz|gigahertz",
    "dB": "decibel", "W": "watt", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt",
    "Wh": "watt-hour", "kWh": "kilowatt-hour", "MWh": "megawatt-hour", "V": "volt",
    "kV": "kilovolt", "mA": "milliamp", "mAh": "milliamp-hour", "kJ": "kilojoule",
    "kcal": "kilocalorie", "Pa": "pascal", "hPa": "hectopascal", "kPa": "kilopascal", "bar": "bar",
    "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "Mbit": "megabit", "Gbit": "gigabit", "\u00b0C": "degree Celsius|degrees Celsius",
    "\u00b0F": "degree Fahrenheit|degrees Fahrenheit", "\u00b0": "degree", "%": "percent|percent",
    "\u2030": "per mille|per mille", "mph": "mile per hour|miles per hour", "px": "pixel",
}  # fmt: skip
_UNIT_NAMES = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_CURRENCIES = {
    "$": ("dollar", "cent"), "US$": ("dollar", "cent"), "USD": ("dollar", "cent"),
    "\u00a3": ("pound", "penny|pence"), "GBP": ("pound", "penny|pence"),
    "\u20ac": ("euro", "cent"), "EUR": ("euro", "cent"), "\u00a5": ("yen|yen", ""),
    "JPY": ("yen|yen", ""), "CHF": ("franc", "centime"), "\u20b9": ("rupee", "paisa|paise"),
}  # fmt: skip
_CURRENCY = "|".join(map(re.escape, sorted(_CURRENCIES, key=len, reverse=True)))
_HALF_OF_DAY = r"([ap](?:m\b|\.m\.))"
_MULTIPLES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion"}
_MULTIPLE = r"(?:\s?(k|K|m|M|bn|thousand|million|billion|trillion)\b)?"
_REGNAL_NAMES = (
    "Alexander Benedict Catherine Charles Edward Elizabeth Frederick George Henry James John Leo"
    " Louis Mary Napoleon Nicholas Paul Peter Philip Pius Richard William"
).replace(" ", "|")
# A word in `s` after four digits is mostly what is counted; these are not.
_NOT_COUNTED = "was|is|as|has|its|this|his|does|towards|across|perhaps|always|besides|plus"

# A function of the match, or a template.
Reader: TypeAlias = Callable[[re.Match[str]], str] | str


def read_quantities(text: str) -> str:
    """Replace numbers with words, together with their units and signs.

    Digits within names and codes (`B12`) stay as they are.

    Example:
        >>> read_quantities("It took 3.5 h in 1984 and cost \u20ac2.50.")
        'It took three point five hours in nineteen eighty-four and cost two euros and fifty cents.'
    """
    for pattern, reader in _readers():
        text = pattern.sub(reader, text)
    return text


def _inflect(noun: str, amount: str) -> str:
    """The singular or the plural of a unit, after an amount."""
    singular, _, plural = noun.partition("|")
    return singular if amount == "1" else plural or f"{singular}s"


def _read_iso_date(match: re.Match[str]) -> str:
    return f"{int(match[3])} {_MONTHS[int(match[2]) - 1]} {match[1]}"


def _month(name: str) -> str:
    return next(month for month in _MONTHS if month.startswith(name[:3]))


def _read_day_first(match: re.Match[str]) -> str:
    years = f" {year(int(match[3]))}" if match[3] else ""
    return f"the {ordinal(int(match[1]))} of {_month(match[2])}{years}"


def _read_month_first(match: re.Match[str]) -> str:
    years = f", {year(int(match[3]))}" if match[3] else ""
    return f"{_month(match[1])} {ordinal(int(match[2]))}{years}"


def _read_clock(match: re.Match[str]) -> str:
    hour, minute, half = int(match[1]), int(match[2] or 0), (match[3] or "").replace(".", "")
    time = cardinal(hour)
    if minute:
        time += f" {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif not half:
        time += " o'clock" if 1 <= hour <= 12 else " hundred"
    # Two capitals, because a full stop could end the sentence.
    return f"{time} {half.upper()}" if half else time


def _read_duration(match: re.Match[str]) -> str:
    fields = zip((match[1], match[2], match[3]), ("hour", "minute", "second"), strict=True)
    values = [(re.sub(r"^0+(?=\d)", "", text or "0"), unit) for text, unit in fields]
    amounts = [f"{number(value)} {_inflect(unit, value)}" for value, unit in values if float(value)]
    return " ".join(amounts) or "zero seconds"


def _read_decade(match: re.Match[str]) -> str:
    words = year(int(match[1]))
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _read_money(amount: str, multiple: str | None, currency: str) -> str:
    major, minor = _CURRENCIES[currency]
    if multiple:
        return f"{number(amount)} {_MULTIPLES.get(multiple, multiple)} {_inflect(major, '2')}"
    integer, _, cents = amount.replace(",", "").partition(".")
    if len(cents) != 2 or not minor:
        return f"{number(amount)} {_inflect(major, amount)}"
    small = str(int(cents))
    amounts = [(integer, major)] if integer != "0" or small == "0" else []
    amounts += [(small, minor)] if small != "0" else []
    return " and ".join(f"{number(value)} {_inflect(noun, value)}" for value, noun in amounts)


def _read_unit(match: re.Match[str]) -> str:
    amount, hyphen, unit, divisor = match.groups()
    if hyphen == "-":  # "a 5-km walk"
        return f"{number(amount)}-{_inflect(_UNITS[unit], '1')}"
    name = _inflect(_UNITS[unit], amount)
    rate = f" per {_inflect(_UNITS[divisor], '1')}" if divisor else ""
    return f"{number(amount)} {name}{rate}"


def _read_fraction(match: re.Match[str]) -> str:
    upper, lower = int(match[2]), int(match[3])
    if not 0 < upper < lower <= 16:
        return match[0]
    name = {2: "half", 4: "quarter"}.get(lower) or ordinal(lower)
    plural = "halves" if name == "half" else f"{name}s"
    words = f"{cardinal(upper)} {name if upper == 1 else plural}"
    return f"{number(match[1])} and {words}" if match[1] else words


def _read_roman(match: re.Match[str]) -> str:
    if re.fullmatch(r"X{0,3}(?:IX|IV|V?I{0,3})", match[2]) is None:
        return match[0]
    value, values = 0, {"I": 1, "V": 5, "X": 10}
    for letter, following in zip(match[2], [*match[2][1:], "I"], strict=True):
        value += values[letter] * (-1 if values[letter] < values[following] else 1)
    is_name = re.fullmatch(_REGNAL_NAMES, match[1]) is not None
    return f"{match[1]} {f'the {ordinal(value)}' if is_name else cardinal(value)}"


def _spell_vulgar_fraction(match: re.Match[str]) -> str:
    fraction = unicodedata.normalize("NFKC", match[2]).replace("\u2044", "/")
    return f"{match[1]} {fraction}" if match[1] else fraction


@cache
def _readers() -> list[tuple[re.Pattern[str], Reader]]:
    """Compile the patterns, on first use: most commands speak no answer."""
    return [(re.compile(pattern), reader) for pattern, reader in _RULES]


# In this order: a reader leaves no digits behind, so that later ones do not read them again.
_RULES: tuple[tuple[str, Reader], ...] = (
    # Telephone numbers, digit by digit.
    (r"(?<![\w.])\+\d[\d ()-]{6,}\d|(?<![\w.,-])0\d{2,5}(?:[ -]\d{3,8}){1,3}(?![\w-])"
     r"|(?<![\w.,-])(?:\d{3}-){1,2}\d{4}(?![\w-])",
     lambda m: ", ".join(map(digits, re.findall(r"\d+", m[0])))),
    (r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b", _read_iso_date),
    # Ranges.
    (r"(?<![\w.-])(\d{1,3})-(\d{1,3})(?![\w-])", r"\1 to \2"),
    (r"(?<![\w.-])([12]\d{3})-([12]\d{3}|\d{2})(?![\w-])", r"\1 to \2"),
    (r"(?<=\d)-(?=\d+:\d|[$\u00a3\u20ac]\d)", " to "),
    (rf"(?:\b[Tt]he )?\b(\d{{1,2}}) (?:of )?({_MONTH})(?:,? (\d{{4}}))?(?!\w)", _read_day_first),
    (rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?(?![\w:]|\.\d)(?:,? (\d{{4}})\b)?",
     _read_month_first),
    (r"(?<![\w:])(\d{1,2}):(\d\d):(\d\d(?:\.\d+)?)(?![\w:])", _read_duration),
    (r"(?<![\w:])()(\d{1,3}):(\d\d\.\d+)(?![\w:])", _read_duration),
    (rf"(?<![\w:.])(1[0-2]|0?[1-9])(?:[:.]([0-5]\d))?\s?{_HALF_OF_DAY}(?![\w:])", _read_clock),
    (r"(?<![\w:.])([01]?\d|2[0-4]):([0-5]\d)()(?![\w:])", _read_clock),
    (rf"({_CURRENCY})(\d+)-(\d+){_MULTIPLE}",
     lambda m: f"{number(m[2])} to {_read_money(m[3], m[4], m[1])}"),
    (rf"({_CURRENCY})\s?({_NUMBER}){_MULTIPLE}",
     lambda m: _read_money(m[2], m[3], m[1])),
    (rf"(?<![\w.,])({_NUMBER}){_MULTIPLE}\s?({_CURRENCY})(?!\w)",
     lambda m: _read_money(m[1], m[2], m[3])),
    (rf"(?<![\w.,])({_NUMBER})\s?bn\b", lambda m: f"{number(m[1])} billion"),
    # Decades before seconds.
    (r"(?<!\w)'?([2-9]0|1[1-9]\d0|20\d0)s\b", _read_decade),
    ("(\\d*)([\u00bc-\u00be\u2150-\u215e])", _spell_vulgar_fraction),
    (r"(?<![\d/.\w])(?:(\d+) )?(\d{1,2})/(\d{1,2})(?![\d/])", _read_fraction),
    (r"(?<![^\s(])[-\u2212](?=\d)", "minus "), (r"(?<!\w)\+(?=\d)", "plus "),
    ("\\s*\u00b1\\s*", " plus or minus "), (r"\s*\u00d7\s*|(?<=\d)\s*\*\s*(?=\d)", " times "),
    (r"\s=\s", " equals "),
    (r"\s*[\u2265]\s*(?=\d)", " at least "), (r"\s*[\u2264]\s*(?=\d)", " at most "),
    (r"(?<!\w)#(?=\d)", "number "), (r"\u00a7\s?(?=\d)", "section "),
    (rf"(?<![\w.,])({_NUMBER})(\s?|-)({_UNIT_NAMES})(?:/({_UNIT_NAMES}))?(?![\w/\u00b2\u00b3])",
     _read_unit),
    (r"(?<![\w.,])(\d{1,6})(?:st|nd|rd|th)\b", lambda m: ordinal(int(m[1]))),
    (rf"\b({_REGNAL_NAMES}|War|Chapter|Part|Volume|Section|Act|Book|Phase|Type)"
     r" ([IVX]{2,6}|V|X)\b", _read_roman),
    (r"(?<![\w.])\d+(?:\.\d+){2,}(?![\w.]\d)",
     lambda m: " point ".join(map(number, m[0].split(".")))),
    (rf"(?<![\w.,])(1[1-9]\d\d|20\d\d)(?!\w|[.,]\d|\s(?!(?:{_NOT_COUNTED})\b)[a-z]+s\b)",
     lambda m: year(int(m[1]))),
    # After a digit and a comma, it is the end of a number with a decimal comma.
    (rf"(?<![\w.])(?<!\d,)({_NUMBER})(?!\w|[.,]\d)", lambda m: number(m[1])),
)  # fmt: skip
