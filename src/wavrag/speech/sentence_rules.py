"""Rules from a written to a spoken sentence: no citation marks, markup, digits, abbreviations."""

from __future__ import annotations

import html
import re
import unicodedata

from wavrag.speech.quantities import read_quantities

_Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> _Rules:
    return tuple((re.compile(pattern, re.MULTILINE), change) for pattern, change in pairs)


_MARKUP = _rules(
    (r"^[ \t]*(?:```|~~~).*$", ""),  # fences; the code between them is read out
    (r"<!--.*?-->", " "),
    (r"<(https?://[^>\s]+)>", r"\1"),
    (r"</?[a-zA-Z][^<>]*>", " "),
    (r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)", r"\1"),  # links and pictures
    (r"^[ \t]*(?:[-=*_][ \t]*){3,}$", ""),  # rules
    (r"^[ \t]*#{1,6}[ \t]+", ""),
    (r"^[ \t]*(?:>[ \t]?)+", ""),
    (r"^[ \t]*(?:[-*+\u2022]|\d+[.)])[ \t]+", ""),  # items of lists
    (r"^[ \t]*\|?[ \t:|-]*-{3,}[ \t:|-]*\|?[ \t]*$", ""),  # under the head of a table
    (r"^[ \t]*\|(.*?)\|?[ \t]*$", r"\1"),
    (r": \u2014(?=[ \t]*(?:\||\[|$))", ": none"),  # an empty cell of a table
    (r"[ \t]*\|[ \t]*", ", "),
    (r"`+([^`\n]+)`+", r"\1"),
    (r"(\*\*|__|~~)(?=\S)(.+?)(?<=\S)\1", r"\2"),
    (r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])", r"\1"),
    (r"(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])", r"\1"),
)
_MARK = re.compile(
    r"\s*\[\s*(?:sources?\s+)?\d+(?:\s*(?:,|;|-|\u2013|and)\s*\d+)*\s*\]", re.IGNORECASE
)
_SIGNS = _rules(
    ("[\u2018\u2019\u02bc]", "'"), ("[\u201c\u201d\u201e\u00ab\u00bb]", '"'), ("\u2026", "..."),
    (r"(?<=\d)\s*\u2013\s*(?=\d)", " to "),
    (r"(?:\s+-+\s+|\s*[\u2013\u2014]\s*)", ", "), ("\u2212", "-"),
    (r"\s*(?:\u2192|->|=>)\s*", " to "), (r"(?<!\w)[~\u2248]\s*(?=\d)", "about "),
    (r"\s*&\s*", " and "), ("\u00a0|\u202f|\u2009", " "),
)  # fmt: skip
_ABBREVIATIONS = _rules(
    (r"\b[eE]\.\s?g\.,?", "for example,"), (r"\b[iI]\.\s?e\.,?", "that is,"),
    (r"\betc\.(?=\s+[A-Z]|\s*$)", "et cetera."), (r"\betc\b\.?", "et cetera"),
    (r"\bapprox\.", "approximately"), (r"\b(?:vs|cf)\.", "compared with"), (r"\bDr\.", "Doctor"),
    (r"\bProf\.", "Professor"), (r"\bMrs\.", "Missus"), (r"\bMr\.", "Mister"),
    (r"\b[Nn]o\.(?=\s*\d)", "number"), (r"\b[Pp]p?\.(?=\s*\d)", "page"),
    (r"\b[Ff]ig\.(?=\s*\d)", "figure"), (r"\bSt\.(?=\s+[A-Z])", "Saint"),
)  # fmt: skip
_ADDRESS = re.compile(
    r"(?:https?://|www\.)(?P<host>[\w.-]*\w)(?::\d+)?(?:[/?#][^\s<>\"')\]]*)?", re.IGNORECASE
)
# Symbols such as emoji, and invisible characters.
_SILENT_CATEGORIES = frozenset({"So", "Sk", "Cf", "Co", "Cs"})
_MAIL = re.compile(r"\b([\w.+-]+)@([\w-]+(?:\.[\w-]+)+)\b")


def spoken_sentence(text: str) -> str:
    """Convert a written sentence to spoken text, on one line; it may be empty.

    Citation marks and the markup of Markdown and HTML are removed. A web address becomes its host;
    numbers with their units and signs, and common abbreviations become English words. A line
    without a final stop, such as a heading, gets one, so that it is spoken as a sentence.
    """
    text = _apply_rules(text, _MARKUP)
    text = html.unescape(_MARK.sub("", text))
    text = _ADDRESS.sub(_host, text)
    text = _MAIL.sub(lambda match: f"{match[1]} at {_spell_dots(match[2])}", text)
    text = _apply_rules(text, _SIGNS)
    text = _apply_rules(text, _ABBREVIATIONS)
    text = re.sub(r"^(?:[.,;:]+(?!\d)|\s)+", "", text)
    text = _read_numbers(re.sub(r"\s+", " ", text).strip())
    text = "".join(char for char in text if unicodedata.category(char) not in _SILENT_CATEGORIES)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([.,;:!?])", r"\1", text).lstrip(" .,;:").rstrip(" ,;")
    if not any(letter.isalnum() for letter in text):
        return ""
    return text if text[-1] in ".!?\"')\u3002\uff01\uff1f" else f"{text.rstrip(':')}."


def _apply_rules(text: str, rules: _Rules) -> str:
    for pattern, change in rules:
        text = pattern.sub(change, text)
    return text


def _read_numbers(text: str) -> str:
    words = read_quantities(text)
    # A sentence that began with a digit begins with a capital.
    return words if text[:1].isalpha() else words[:1].upper() + words[1:]


def _host(match: re.Match[str]) -> str:
    # A final stop or comma belongs to the sentence, not to the address.
    stop = re.search(r"[.,;:!?]*$", match[0])
    return _spell_dots(match["host"].removeprefix("www.")) + (stop[0] if stop else "")


def _spell_dots(host: str) -> str:
    return host.replace(".", " dot ")
