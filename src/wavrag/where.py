r"""The filter language of `--where`: an expression to a small tree, and what the tree means.

    year >= 2020 and (speaker = 'Ada' or title like '%call%') and not modality = 'text'
    lang in ('en', 'de') and reviewed = true and page is not null

Keys are the passage's own `id` (its document's), `source`, `title`, `modality`, `section`, `page`,
`start` and `end` (seconds); any other key is looked up in the metadata. A key of other characters
than letters, digits and `_ . -`, or one that is a keyword, stands in double quotes. Texts stand in
single quotes, where '' is one quote; other values are numbers, `true` and `false`. `not` binds
closest, then `and`, then `or`. Keywords may be written in any case; keys and texts are compared as
they are.

What an expression means, in two-valued logic, for every store alike:

- A value has one of three types: text, number or truth; whole and decimal numbers are one type.
- `=`, `<`, `<=`, `>`, `>=`, `in` and `like` are false when the key is missing and when the two
  values differ in type: `year = '2020'` is false where the year is the number 2020.
- Numbers compare by value, texts by code point, and false is less than true.
- `like` has to match the whole of a text: `%` stands for any characters, `_` for one, and a
  backslash takes the character after it literally.
- `is null` is true when the key is missing.
- `not` is true when what follows it is false. `a != b`, `a not in (...)`, `a not like p` and
  `a is not null` are other spellings of it, so `lang != 'en'` is true where there is no `lang`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, cast

from wavrag.errors import FilterError
from wavrag.types import Passage, Scalar

BUILT_IN_KEYS = ("id", "source", "title", "modality", "section", "page", "start", "end")
"""Keys of the passage itself; metadata of the same name is hidden by them."""

MAX_DEPTH = 50
"""How deep parentheses and `not` may be nested."""

EXAMPLE = "year >= 2020 and (speaker = 'Ada' or title like '%call%')"

Operator: TypeAlias = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare:
    """The key's value compared with another."""

    key: str
    operator: Operator
    value: Scalar


@dataclass(frozen=True, slots=True)
class In:
    """The key's value equals one of these."""

    key: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The key's text matches a pattern."""

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
    """Every term is true; there are two or more."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one term is true; there are two or more."""

    terms: tuple[Node, ...]


Node: TypeAlias = Compare | In | Like | IsNull | Not | And | Or


def parse(expression: str) -> Node:
    """Read a filter expression.

    Raises:
        FilterError: it cannot be understood; the message points at the place and says what is
            expected there.
    """
    return _Parser(expression).parse()


def matches(node: Node, passage: Passage) -> bool:
    """Whether a passage passes a filter. Stores of every kind agree with this."""
    match node:
        case And(terms):
            return all(matches(term, passage) for term in terms)
        case Or(terms):
            return any(matches(term, passage) for term in terms)
        case Not(term):
            return not matches(term, passage)
        case IsNull(key):
            return _look_up(key, passage) is None
        case Like(key, pattern):
            found = _look_up(key, passage)
            return isinstance(found, str) and _like_regex(pattern).fullmatch(found) is not None
        case In(key, values):
            found = _look_up(key, passage)
            return any(_compare(found, "=", value) for value in values)
        case Compare(key, operator, value):
            return _compare(_look_up(key, passage), operator, value)


@lru_cache(maxsize=256)
def _like_regex(pattern: str) -> re.Pattern[str]:
    """A `like` pattern as a regular expression.

    What stands between two `%` is taken where it first occurs and not looked for again (the group
    is atomic), so that many `%` do not multiply the time.
    """
    stretches = [""]
    for escaped, run, one, plain in LIKE_PARTS.findall(pattern):
        if run:
            stretches.append("")
        else:
            stretches[-1] += "." if one else re.escape(escaped or plain)
    first, *rest = stretches
    if not rest:
        return re.compile(first, re.DOTALL)
    *inner, last = rest
    found = "".join(f"(?>.*?{stretch})" for stretch in inner if stretch)
    return re.compile(f"{first}{found}.*{last}", re.DOTALL)


def _look_up(key: str, passage: Passage) -> Scalar | None:
    if key == "id":
        return passage.document_id
    if key in BUILT_IN_KEYS:
        return cast("Scalar | None", getattr(passage, key))
    return passage.metadata.get(key)


def _compare(found: Scalar | None, operator: Operator, value: Scalar) -> bool:
    if found is None or _type(found) is not _type(value):
        return False
    left, right = cast("float", found), cast("float", value)  # of one type, whichever it is
    match operator:
        case "=":
            return left == right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right


def _type(value: Scalar) -> type:
    return type(value) if isinstance(value, str | bool) else float


_KEYWORDS = frozenset({"and", "or", "not", "in", "like", "is", "null", "true", "false"})
LIKE_PARTS = re.compile(r"\\(.)|(%)|(_)|([^\\%_]+)", re.DOTALL)
_SYNONYMS = {"==": "=", "<>": "!="}
_TOKEN = re.compile(
    r"""
      (?P<text> ' (?: [^'] | '' )* ' )
    | (?P<quoted> " (?: [^"] | "" )* " )
    | (?P<number> [+-]? (?: [0-9]+ (?: \.[0-9]* )? | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? (?![\w.]) )
    | (?P<word> [^\W\d] [\w.-]* )
    | (?P<sign> <= | >= | == | != | <> | [=<>(),] )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["text", "key", "number", "keyword", "sign", "end"]
    value: str
    start: int


class _Parser:
    """Recursive descent over the tokens of one expression."""

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
        terms = [self._and()]
        while self._take("or"):
            terms.append(self._and())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _and(self) -> Node:
        terms = [self._not()]
        while self._take("and"):
            terms.append(self._not())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _not(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep: write it flatter")
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
            raise self._error("expected a key; a key stands on the left, its value on the right")
        if self._token.kind != "key":
            raise self._error("expected a key")
        key = self._next().value
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            return _negate(IsNull(key), negated)
        for sign in ("=", "<", "<=", ">", ">=", "!="):
            if self._take(sign):
                negated = sign == "!="
                operator = cast("Operator", "=" if negated else sign)
                return _negate(Compare(key, operator, self._value()), negated)
        negated = self._take("not")
        if self._take("in"):
            return _negate(In(key, self._values()), negated)
        if self._take("like"):
            return _negate(Like(key, self._pattern()), negated)
        expected = "'in' or 'like'" if negated else "one of = != < <= > >= in like is"
        raise self._error(f"expected {expected} after the key {key!r}")

    def _values(self) -> tuple[Scalar, ...]:
        self._expect("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._expect(")")
        return tuple(values)

    def _value(self) -> Scalar:
        token = self._token
        if token.kind == "text":
            return self._next().value
        if token.kind == "number":
            number = float(token.value) if set(".eE") & set(token.value) else _int(token.value)
            if number is None or number in (math.inf, -math.inf):
                raise self._error("this number is too large")
            self._next()
            return number
        if token.kind == "keyword" and token.value in {"true", "false"}:
            return self._next().value == "true"
        if token.kind == "key":
            raise self._error(f"expected a value; a text stands in single quotes: '{token.value}'")
        raise self._error("expected a value: a text in single quotes, a number, true or false")

    def _pattern(self) -> str:
        if self._token.kind != "text":
            raise self._error("expected a pattern in single quotes, such as '%call%'")
        pattern = self._token.value
        if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
            raise self._error("the pattern ends in a single backslash; write \\\\ for one itself")
        return self._next().value

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._token
        self._at += 1
        return token

    def _take(self, wanted: str) -> bool:
        token = self._token
        if token.kind not in {"keyword", "sign"} or token.value != wanted:
            return False
        self._at += 1
        return True

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            raise self._error(f"expected {wanted!r}")

    def _tokenise(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while True:
            while self._expression[at : at + 1].isspace():
                at += 1
            if at == len(self._expression):
                return [*tokens, _Token("end", "", at)]
            found = _TOKEN.match(self._expression, at)
            if found is None:
                quote = self._expression[at]
                problem = "this quote is not closed" if quote in "'\"" else "not understood"
                raise self._error(problem, at)
            tokens.append(_token(found))
            at = found.end()

    def _error(self, problem: str, at: int | None = None) -> FilterError:
        """Shows the place within 60 characters to both sides, on one line."""
        at = self._token.start if at is None else at
        first = max(0, at - 60)
        shown = "".join(
            char if char.isprintable() else " " for char in self._expression[first : at + 60]
        )
        return FilterError(
            f"filter not understood at character {at + 1}: {problem}\n"
            f"  {shown}\n  {' ' * (at - first)}^\nan example of a filter: {EXAMPLE}"
        )


def _token(found: re.Match[str]) -> _Token:
    value, start = found[0], found.start()
    match found.lastgroup:
        case "text":
            return _Token("text", value[1:-1].replace("''", "'"), start)
        case "quoted":
            return _Token("key", value[1:-1].replace('""', '"'), start)
        case "number":
            return _Token("number", value, start)
        case "word" if value.lower() in _KEYWORDS:
            return _Token("keyword", value.lower(), start)
        case "word":
            return _Token("key", value, start)
        case _:
            return _Token("sign", _SYNONYMS.get(value, value), start)


def _int(digits: str) -> int | None:
    """A whole number; None if it has more digits than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return None


def _negate(node: Node, negated: bool) -> Node:
    return Not(node) if negated else node
