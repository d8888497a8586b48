r"""Filter language of `--where`: parser, syntax tree and evaluation.

    year >= 2020 and (speaker = 'Ada' or title like '%call%') and not modality = 'text'
    lang in ('en', 'de') and reviewed = true and page is not null

Built-in keys are `id` (of the document), `source`, `title`, `modality`, `section`, `page`, `start`
and `end` (seconds). `speaker`, `channel` and `track` are those of the passage, if known. All other
keys refer to the metadata. Keys with characters other than letters,
digits and `_ . -`, and keys equal to a keyword, need double quotes. Strings need single quotes,
with '' for a quote inside; other values are numbers, `true` and `false`. `not` binds tightest, then
`and`, then `or`. Keywords are case-insensitive; keys and strings are case-sensitive.

The semantics are two-valued, and the same in every store:

- A value is a string, a number or a boolean; integers and decimals are the same type.
- `=`, `<`, `<=`, `>`, `>=`, `in` and `like` are false if the key is missing, and if the types
  differ: `year = '2020'` is false if the year is the number 2020.
- Numbers compare by value, strings by code point, and false is less than true.
- `like` matches the complete string: `%` matches any characters, `_` a single one, and a backslash
  escapes the next character.
- `source` stands for all paths of a document: `=`, `in` and `like` are true if one of them matches.
  They and `id` compare file names in Unicode's composed form (NFC), whatever the form on disk.
- `is null` is true if the key is missing.
- `not` inverts its operand. `a != b`, `a not in (...)`, `a not like p` and `a is not null` are
  short forms of `not`, so `lang != 'en'` is true if `lang` is missing.
"""

from __future__ import annotations

import math
import operator
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeVar, cast

from wavrag.errors import FilterError
from wavrag.types import Passage, Scalar

BUILT_IN_KEYS = ("id", "source", "title", "modality", "section", "page", "start", "end")
"""Keys of the passage itself; they take precedence over metadata of the same name."""

OPTIONAL_KEYS = ("speaker", "channel", "track")
"""Keys of the passage where it has a value, of the metadata otherwise."""

MAX_DEPTH = 50
"""Maximum nesting of parentheses and `not`; the parser is recursive."""

MAX_PATTERN = 1000
"""Maximum length of a `like` pattern; LanceDB refuses longer expressions."""

T = TypeVar("T")
EXAMPLE = "year >= 2020 and (speaker = 'Ada' or title like '%call%')"

Operator: TypeAlias = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare:
    """Compare the value of a key with a constant."""

    key: str
    operator: Operator
    value: Scalar


@dataclass(frozen=True, slots=True)
class In:
    """The value of the key is one of `values`."""

    key: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The string value of the key matches a pattern."""

    key: str
    pattern: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """The key is missing."""

    key: str


@dataclass(frozen=True, slots=True)
class Not:
    """The term is false."""

    term: Node


@dataclass(frozen=True, slots=True)
class And:
    """All terms are true; at least two terms."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one term is true; at least two terms."""

    terms: tuple[Node, ...]


Node: TypeAlias = Compare | In | Like | IsNull | Not | And | Or


def parse(expression: str) -> Node:
    """Parse a filter expression.

    Raises:
        FilterError: a syntax error; the message shows its position and the expected token.

    Example:
        >>> parse("year >= 2020")
        Compare(key='year', operator='>=', value=2020)
    """
    return _Parser(expression).parse()


def matches(node: Node, passage: Passage) -> bool:
    """Evaluate a filter on a passage. This is the reference for the filters of all stores."""
    match node:
        case And(terms):
            return all(matches(term, passage) for term in terms)
        case Or(terms):
            return any(matches(term, passage) for term in terms)
        case Not(term):
            return not matches(term, passage)
        case IsNull(key):
            return _look_up(key, passage) is None
        case Like("source", pattern):
            regex = _like_regex(compose(pattern))
            return any(regex.fullmatch(path) for path in path_forms(passage))
        case Like(key, pattern):
            text = _look_up(key, passage)
            return isinstance(text, str) and _like_regex(pattern).fullmatch(text) is not None
        case In(key, values):
            return any(matches(Compare(key, "=", value), passage) for value in values)
        case Compare("source", "=", str(value)):
            return compose(value) in path_forms(passage)
        case Compare("id", "=", str(value)):
            return passage.document_id in (value, compose(value))
        case Compare(key, sign, value):
            return _compare(_look_up(key, passage), sign, value)


def format_key(key: str) -> str:
    """A key as an expression has it, whatever its characters."""
    return '"{}"'.format(key.replace('"', '""'))


def format_value(value: Scalar) -> str:
    """A value as an expression has it.

    Example:
        >>> format_value("the captain's log"), format_value(True), format_value(7.5)
        ("'the captain''s log'", 'true', '7.5')
    """
    match value:
        case bool():
            return str(value).lower()
        case str():
            return "'{}'".format(value.replace("'", "''"))
    return repr(value)


def compose(text: str) -> str:
    """A text in Unicode's composed form (NFC); macOS and some programs decompose file names."""
    return unicodedata.normalize("NFC", text)


def path_forms(passage: Passage) -> set[str]:
    """The source as stored, and all paths of the document in composed form."""
    return {passage.source, *map(compose, (passage.source, *passage.copies))}


@lru_cache(maxsize=256)
def _like_regex(pattern: str) -> re.Pattern[str]:
    """Compile a `like` pattern to a regular expression.

    Text between two `%` is an atomic group, matched at its first occurrence without backtracking.
    A pattern with many `%` would otherwise backtrack for a very long time.
    """
    segments = [""]
    for literal, percent, underscore, plain in LIKE_TOKENS.findall(pattern):
        if percent:
            segments.append("")
        else:
            segments[-1] += "." if underscore else re.escape(literal or plain)
    first, *following = segments
    if not following:
        return re.compile(first, re.DOTALL)
    *inner, last = following
    middle = "".join(f"(?>.*?{segment})" for segment in inner if segment)
    return re.compile(f"{first}{middle}.*{last}", re.DOTALL)


def _look_up(key: str, passage: Passage) -> Scalar | None:
    if key == "id":
        return passage.document_id
    if key in BUILT_IN_KEYS:
        return cast("Scalar | None", getattr(passage, key))
    if key in OPTIONAL_KEYS and (value := getattr(passage, key)) is not None:
        return cast("Scalar", value)
    return passage.metadata.get(key)


def _compare(stored: Scalar | None, sign: Operator, value: Scalar) -> bool:
    if stored is None or _type(stored) is not _type(value):
        return False
    return _COMPARISONS[sign](stored, value)


def _type(value: Scalar) -> type:
    # `bool` is a subclass of `int`, but true must not equal 1.
    return type(value) if isinstance(value, str | bool) else float


_COMPARISONS: dict[Operator, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KEYWORDS = frozenset({"and", "or", "not", "in", "like", "is", "null", "true", "false"})
LIKE_TOKENS = re.compile(r"\\(.)|(%)|(_)|([^\\%_]+)", re.DOTALL)
_SYNONYMS = {"==": "=", "<>": "!="}
_TOKEN = re.compile(
    r"""
      (?P<text> ' (?: [^'] | '' )* ' )
    | (?P<quoted_key> " (?: [^"] | "" )* " )
    | (?P<number> [+-]? (?: [0-9]+ (?: \.[0-9]* )? | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? (?![\w.]) )
    | (?P<word> [^\W\d] [\w.-]* )
    | (?P<sign> <= | >= | == | != | <> | [=<>(),] )
    | (?P<space> \s+ )
    | (?P<other> . )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["text", "key", "number", "keyword", "sign", "end"]
    value: str
    start: int


class _Parser:
    """Recursive descent parser of an expression."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = self._tokenise()
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._or()
        if self._token.kind != "end":
            raise self._error("expected 'and', 'or' or the end")
        return node

    def _or(self) -> Node:
        terms = self._list("or", self._and)
        return terms[0] if len(terms) == 1 else Or(terms)

    def _and(self) -> Node:
        terms = self._list("and", self._not)
        return terms[0] if len(terms) == 1 else And(terms)

    def _list(self, separator: str, parse_element: Callable[[], T]) -> tuple[T, ...]:
        elements = [parse_element()]
        while self._take(separator):
            elements.append(parse_element())
        return tuple(elements)

    def _not(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} levels deep: simplify it")
        node: Node
        if self._take("not"):
            node = Not(self._not())
        elif self._take("("):
            node = self._or()
            self._expect(")")
        else:
            node = self._test()
        self._depth -= 1
        return node

    def _test(self) -> Node:
        if self._token.kind in {"text", "number"}:
            raise self._error("expected a key; keys are on the left, values on the right")
        if self._token.kind != "key":
            raise self._error("expected a key")
        key = self._next().value
        if self._take("is"):
            is_negated = self._take("not")
            self._expect("null")
            return _negate(IsNull(key), is_negated)
        for sign in ("=", "<", "<=", ">", ">=", "!="):
            if self._take(sign):
                is_negated = sign == "!="
                comparison = cast("Operator", "=" if is_negated else sign)
                return _negate(Compare(key, comparison, self._value()), is_negated)
        is_negated = self._take("not")
        if self._take("in"):
            self._expect("(")
            values = self._list(",", self._value)
            self._expect(")")
            return _negate(In(key, values), is_negated)
        if self._take("like"):
            return _negate(Like(key, self._pattern()), is_negated)
        expected = "'in' or 'like'" if is_negated else "one of = != < <= > >= in like is"
        raise self._error(f"expected {expected} after the key {key!r}")

    def _value(self) -> Scalar:
        token = self._token
        if token.kind == "text":
            return self._next().value
        if token.kind == "number":
            try:
                number = float(token.value) if set(".eE") & set(token.value) else int(token.value)
            except ValueError:  # Python converts 4,300 digits at most, unless told otherwise
                number = math.inf
            if number in (math.inf, -math.inf):
                raise self._error("this number is too large")
            self._next()
            return number
        if token.kind == "keyword" and token.value in {"true", "false"}:
            return self._next().value == "true"
        if token.kind == "key":
            raise self._error(f"expected a value; strings need single quotes: '{token.value}'")
        raise self._error("expected a value: a string in single quotes, a number, true or false")

    def _pattern(self) -> str:
        if self._token.kind != "text":
            raise self._error("expected a pattern in single quotes, such as '%call%'")
        pattern = self._token.value
        if len(pattern) > MAX_PATTERN:
            raise self._error(f"the pattern is longer than {MAX_PATTERN} characters: shorten it")
        if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
            raise self._error(
                "the pattern ends in a single backslash; write \\\\ for a literal one"
            )
        return self._next().value

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._token
        self._at += 1
        return token

    def _take(self, value: str) -> bool:
        token = self._token
        if token.kind not in {"keyword", "sign"} or token.value != value:
            return False
        self._at += 1
        return True

    def _expect(self, value: str) -> None:
        if not self._take(value):
            raise self._error(f"expected {value!r}")

    def _tokenise(self) -> list[_Token]:
        tokens: list[_Token] = []
        for match in _TOKEN.finditer(self._expression):
            if match.lastgroup == "other":
                problem = "unclosed quote" if match[0] in "'\"" else "unexpected character"
                raise self._error(problem, match.start())
            if match.lastgroup != "space":
                tokens.append(_token(match))
        return [*tokens, _Token("end", "", len(self._expression))]

    def _error(self, problem: str, at: int | None = None) -> FilterError:
        """Return an error with an excerpt of 60 characters on both sides, on one line."""
        at = self._token.start if at is None else at
        first = max(0, at - 60)
        excerpt = "".join(
            char if char.isprintable() else " " for char in self._expression[first : at + 60]
        )
        return FilterError(
            f"syntax error in the filter at character {at + 1}: {problem}\n"
            f"  {excerpt}\n  {' ' * (at - first)}^\nexample of a filter: {EXAMPLE}"
        )


def _token(match: re.Match[str]) -> _Token:
    value, start = match[0], match.start()
    match match.lastgroup:
        case "text":
            return _Token("text", value[1:-1].replace("''", "'"), start)
        case "quoted_key":
            return _Token("key", value[1:-1].replace('""', '"'), start)
        case "number":
            return _Token("number", value, start)
        case "word" if value.lower() in _KEYWORDS:
            return _Token("keyword", value.lower(), start)
        case "word":
            return _Token("key", value, start)
        case _:
            return _Token("sign", _SYNONYMS.get(value, value), start)


def _negate(node: Node, is_negated: bool) -> Node:
    return Not(node) if is_negated else node
