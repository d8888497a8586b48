"""Detect the encoding of text that is not UTF-8.

Detectors that compare statistics of bytes need some hundred letters: charset-normalizer reads 68 %
of the short texts of the tests as their authors wrote them. The letters that a language spells
with tell encodings apart within a line: a French word has no `ŕ`, and a Russian one no capital in
the middle. charset-normalizer decides about text that no language here explains.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import cache
from typing import IO, NamedTuple

# Letters outside ASCII of each language, most frequent first.
_SPELLING = {
    "de": "üäößÄÖÜ",
    "fr": "éèàêçôîûâùïœëÉÈÀÊÇÔÎÂŒ",
    "es": "óíáéñúüÁÉÓÑÍÚ",
    "pt": "ãçáéíóêõâúàôÁÉÓÇÀÍÊÃÚ",
    "it": "èàùòìéÈÀÙÒ",
    "sv": "äåöéÅÄÖ",
    "da": "øåæéØÅÆ",
    "ca": "àèéíòóúçïüÀÉÍÒÓÚÇ",
    "nl": "ëéïèöüóÉ",
    "is": "áíðóéúýæöþÍÓÁÞÉÚÖÆÝ",
    "pl": "łóąężśćńźŁÓŚŻĆŹ",
    "cs": "íáéřěýžčšůúňťďóČŠŽŘÚÍÁŮŇŤĎÝÉ",
    "sk": "áíéýčžšúľťôňäďóŕĺČŠŽÚĽÁÍÝŤĎ",
    "hu": "áéöóíőüúűÁÉÖÓÍŐÜÚŰ",
    "ro": "ăâîşţÎŞŢĂÂ",
    "hr": "čšžćđČŠŽĆĐ",
    "tr": "ıüşğçöİÜŞÇÖâ",
    "ru": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "uk": "оанивітерслкудмпзяьбгйчхцїжєшющфґ",
    "bg": "аиоетнрсвлкдпмзубъгяцчжщхшйюфь",
    "el": "αοιετνσρκηπςυμλίόάδγέήθχφώβύωξζψϊϋΐΰ",
    "he": "יוהלארתבשמנדעםחקפכטגןזסצךףץ",
    "ar": "اليمونرتبةعدسفهكقحجذشصطخزضغثىءظأإئؤآ",
    "fa": "ایرندمهوتبسشکزگلخقفچپعجحغصضطظثذژ",
    "th": "านรอกเงมยวลดทตสะคปบพหัี่้ไขชแใจิ็ืุูโำถซศภณฐธ",
}
_CAPITALS = {"ru", "uk", "bg", "el"}  # capitals are those of the small letters
_OTHER_SCRIPTS = _CAPITALS | {"he", "ar", "fa", "th"}
_FINALS = {"ς": "Σ", "ΐ": "Ϊ", "ΰ": "Ϋ"}
# Encodings with the languages written in them, by how common they are.
_SINGLE_BYTE = {
    "cp1252": "de fr es pt it sv da ca nl is",
    "cp1251": "ru uk bg",
    "koi8_r": "ru",
    "koi8_u": "uk",
    "cp1250": "pl cs sk hu ro hr",
    "iso8859_2": "pl cs sk hu ro hr",
    "cp1253": "el",
    "iso8859_7": "el",
    "cp1254": "tr",
    "cp1255": "he",
    "cp1256": "ar fa",
    "cp874": "th",
    "cp866": "ru",
    "iso8859_5": "ru bg",
    "mac_roman": "de fr es pt it sv da",
    "cp850": "de fr es pt it sv da",
}
_MULTI_BYTE = ("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "cp949")
_LATIN = {"cp1252", "cp1250", "iso8859_2", "cp1254", "mac_roman", "cp850"}
_SYMBOLS = frozenset("–—‘’“”„‚…•«»‹›€£§©®™°±·×№¿¡ºª²³¼½¾µ\xa0")
_PLAIN = frozenset("、。「」『』・ー，：；！？（）《》〈〉【】“”‘’…—·")
_PENALTY = -1.5  # of a character that no text of the language contains
_WIDE = ("utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be", "utf_7")
MIN_SCORE = 0.35  # lower ones explain the text badly
MARGIN = 0.05  # between the best two encodings of a clear case
# Another script than Latin is unlikely in lines with fewer bytes outside ASCII than this.
OTHER_SCRIPT_SHARE = 0.25
OTHER_SCRIPT_PENALTY = 0.3
SAMPLE_BYTES = 20_000  # of lines with bytes outside ASCII
UTF16_LETTERS = 0.7  # least share of letters, digits and white space
_LINE = re.compile(rb"[^\r\n]{1,%d}" % SAMPLE_BYTES)
# ISO-2022-JP and its relatives are ASCII with escapes.
_ISO_2022 = (
    (re.compile(rb"\x1b\$[@B]|\x1b\(J"), "iso2022_jp"),
    (re.compile(rb"\x1b\$\)C"), "iso2022_kr"),
)


class Guess(NamedTuple):
    """An encoding, and whether another one would explain the text nearly as well."""

    encoding: str
    is_clear: bool


def guess_encoding(file: IO[bytes]) -> Guess | None:
    """Guess the encoding of text that is not UTF-8; None if nothing explains it."""
    head = file.read(SAMPLE_BYTES)
    file.seek(0)
    sample = _sample(file)
    share = sum(byte > 0x7F for byte in sample) / max(len(sample), 1)
    penalty = OTHER_SCRIPT_PENALTY if share < OTHER_SCRIPT_SHARE else 0.0
    scores = sorted(
        ((score - penalty * (name not in _LATIN), name) for score, name in _scores(sample)),
        reverse=True,
    )
    if scores and scores[0][0] >= MIN_SCORE:
        score, encoding = scores[0]
        # Another encoding with the same characters is no rival.
        text = sample.decode(encoding, "replace")
        rivals = (s for s, name in scores[1:] if sample.decode(name, "replace") != text)
        return Guess(encoding, score - next(rivals, 0.0) >= MARGIN)
    from charset_normalizer import from_bytes

    match = from_bytes(head, cp_exclusion=list(_WIDE)).best()
    return Guess(match.encoding, False) if match is not None else None


def escape_encoding(data: bytes) -> str | None:
    """Return the encoding of text in ASCII with escapes; None for others."""
    return next((name for pattern, name in _ISO_2022 if pattern.search(data, 0, 1 << 16)), None)


def utf16_encoding(data: bytes) -> str | None:
    """Return the byte order of UTF-16 without a byte order mark; None for other data."""
    head = data[:SAMPLE_BYTES]
    if len(data) % 2 or len(head) < 4:
        return None
    even, odd = head[::2], head[1::2]
    for encoding, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        # Spaces, line ends and digits have a high byte of zero in every script.
        if low.count(0) >= high.count(0):
            continue
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        if sum(c.isalnum() or c.isspace() for c in text) > UTF16_LETTERS * len(text):
            return encoding
    return None


def _sample(file: IO[bytes]) -> bytes:
    """The first lines with bytes outside ASCII."""
    lines: list[bytes] = []
    length = 0
    for block in _line_blocks(file):
        for match in _LINE.finditer(block):
            line = match[0]
            if line.isascii():
                continue
            if len(line) > SAMPLE_BYTES:  # cut at a space, because it is never half a character
                line = line[:SAMPLE_BYTES].rpartition(b" ")[0] or line[:SAMPLE_BYTES]
            lines.append(line)
            length += len(line)
            if length >= SAMPLE_BYTES:
                return b"\n".join(lines)
    return b"\n".join(lines)


def _line_blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file in blocks of whole lines, unless they are very long."""
    remainder = b""
    while block := file.read(1 << 20):
        lines, line_end, remainder = (remainder + block).rpartition(b"\n")
        yield lines + line_end
        if len(remainder) > 1 << 20:
            yield remainder
            remainder = b""
    yield remainder


def _scores(sample: bytes) -> Iterator[tuple[float, str]]:
    for rank, (encoding, languages) in enumerate(_SINGLE_BYTE.items()):
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            if encoding != "cp1252":
                continue
            # Five byte values are undefined, and occur in damaged text.
            text = sample.decode(encoding, "replace")
        score = max(_spelling_score(text, language) for language in languages.split())
        yield score - 0.01 * rank, encoding
    for encoding in _MULTI_BYTE:
        try:
            # Incremental: the sample of a long line may end within a character.
            text = codecs.getincrementaldecoder(encoding)().decode(sample)
        except UnicodeDecodeError:
            continue
        yield _ideograph_score(text, encoding), encoding


@cache
def _weights(language: str) -> dict[str, float]:
    letters = _SPELLING[language]
    weights = {c: 1.0 - 0.8 * rank / len(letters) for rank, c in enumerate(letters)}
    if language in _CAPITALS:
        weights |= {_FINALS.get(c, c.upper()): weight for c, weight in weights.items()}
    return weights


def _spelling_score(text: str, language: str) -> float:
    """Mean weight of the characters outside ASCII."""
    weights = _weights(language)
    total, count = 0.0, 0
    other_script = language in _OTHER_SCRIPTS
    before = " "
    for c, after in zip(text, text[1:] + " ", strict=True):
        if c > "\x7f":
            count += 1
            in_word = before.isalpha() and after.isalpha()
            if c in weights and not (c.isupper() and before.islower()):
                # Text all in capitals is rarer than another script in another encoding.
                total += weights[c] * (0.8 if c.isupper() and before.isupper() else 1.0)
            elif c in _SYMBOLS and (not in_word or c == "’"):
                total += 0.8
            else:
                total += _PENALTY
        if other_script and before.isalpha() and c.isalpha() and (before > "\x7f") != (c > "\x7f"):
            total += _PENALTY  # a word of two scripts
        before = c
    return total / max(count, 1)


def _ideograph_score(text: str, encoding: str) -> float:
    total, count = 0.0, 0
    for c, after in zip(text, text[1:] + " ", strict=True):
        if c > "\x7f":
            count += 1
            # An ideograph within a word of ASCII is a Latin letter and its neighbour.
            is_mixed = after.isascii() and after.islower()
            total += _PENALTY if is_mixed else _ideograph_weight(c, encoding)
    return total / max(count, 1)


@cache
def _ideograph_weight(c: str, encoding: str) -> float:
    if c in _PLAIN:
        return 0.7
    data = c.encode(encoding)
    lead = data[0]
    match encoding:
        case "shift_jis" | "euc_jp":
            if "\u3041" <= c <= "\u30fe":
                return 1.5
            # JIS level 1 holds the common ideographs.
            level = c.encode("euc_jp", "ignore")[:1]
            return 0.7 if b"\xb0" <= level <= b"\xcf" else -0.5
        case "gb18030":
            # GB 2312 level 1, ordered by sound, holds the common ideographs.
            return 0.9 if 0xB0 <= lead <= 0xD7 and len(data) == 2 and data[1] >= 0xA1 else -0.5
        case "big5":
            return 0.85 if 0xA4 <= lead <= 0xC6 else -0.5
    return 0.95 if "\uac00" <= c <= "\ud7a3" and len(data) == 2 and data[1] >= 0xA1 else -0.5
