"""Translate filters of `wavrag.where` into SQL for a LanceDB table.

Metadata may have any key, with values of different types, so keys cannot be columns. Lance's JSON
functions convert between types ("2020" equals 2020) and fail on rows of another type. Therefore a
row has a text column of facets, each `RS key US type value RS`: a filter tests for a facet with
`contains`, or extracts its value with `split_part`. Values are encoded so that text order equals
value order. Whole facets are in a list as well, the labels, whose index answers `=` and `in`.

Keys and values cannot end their facet or their SQL literal: RS, US and the escape character are
escaped, and quotes doubled.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable, Iterable, Sequence

from wavrag.errors import FilterError
from wavrag.types import Metadata, Passage, Scalar
from wavrag.where import (
    BUILT_IN_KEYS,
    LIKE_TOKENS,
    OPTIONAL_KEYS,
    And,
    Compare,
    In,
    IsNull,
    Like,
    Node,
    Not,
    Operator,
    Or,
    compose,
    path_forms,
)

# Keys without labels: their values are of one passage each, and would make the index large.
UNLABELLED_KEYS = frozenset({"start", "end", "level"})

# Built-in keys with a text column; all other keys are facets.
TEXT_COLUMNS = {"id": "document_id", "source": "source", "title": "title", "section": "section"}

# LanceDB's SQL parser fails at a slightly greater depth.
MAX_NESTED = 16

# LanceDB plans a chain of conditions recursively: 20,000 overflow the stack and end the process.
MAX_CONDITIONS = 4_000

RS, US, _ESCAPE = "\x1e", "\x1f", "\x1d"
_ESCAPES = {0x1D: "\x1d1", 0x1E: "\x1d2", 0x1F: "\x1d3"}  # keeps the order of texts
_OPPOSITE: dict[Operator, str] = {"=": "!=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_TRUE, _FALSE = "(1 = 1)", "(1 = 0)"
_SYNTAX = re.compile(r"[\\.+*?()|\[\]{}^$]")
_LARGEST = int(sys.float_info.max)
_MAX_REMAINDER = 1 << 12  # exceeds the distance of a 64-bit integer to its nearest float


def encode_metadata(metadata: Metadata) -> str:
    """Facets of a document's metadata, without keys hidden by built-in ones."""
    return "".join(
        _facet(key, value) for key, value in metadata.items() if key not in BUILT_IN_KEYS
    )


def encode_built_in(passage: Passage) -> str:
    """Facets of a passage's built-in keys."""
    keys = ("modality", "page", "start", "end", *OPTIONAL_KEYS)
    fields = {key: getattr(passage, key) for key in keys}
    facets = [_facet(key, value) for key, value in fields.items() if value is not None]
    # The other paths of a source; rows of most documents have none.
    facets += [_facet("source", path) for path in path_forms(passage) - {passage.source}]
    return "".join(facets)


def encode_value(value: Scalar) -> str:
    """A letter for the type, and a text in the sort order of that type's values."""
    if isinstance(value, bool):
        return f"b{value:d}"
    if isinstance(value, str):
        return f"s{_escape(value)}"
    return f"n{_sortable(value)}"


def to_labels(facets: str) -> list[str]:
    """The facets that have a label."""
    labels = facets.strip(RS).split(RS)
    return [label for label in labels if label.partition(US)[0] not in UNLABELLED_KEYS]


def labels_sql() -> str:
    """SQL for the labels of a row, by its facets."""
    keys = "|".join(sorted(UNLABELLED_KEYS))
    labelled = f"regexp_replace(facets, '{RS}({keys}){US}[^{RS}]*', '', 'g')"
    return f"string_to_array({labelled}, '{RS}')"


def filter_sql(node: Node, *, has_labels: bool = True) -> str:
    """SQL equivalent to `wavrag.where.matches`; it is never null.

    Args:
        node: the filter.
        has_labels: the table has a column of labels.

    Raises:
        FilterError: `and` and `or` alternate too often, or there are too many conditions, for
            LanceDB's parser.
    """
    return _sql(node, negated=False, depth=0, has_labels=has_labels)


def in_sql(column: str, values: Iterable[str]) -> str:
    """SQL for membership of a column in a set of values."""
    literals = ", ".join(_literal(value) for value in sorted(values))
    return f"{column} IN ({literals})"


def _sql(node: Node, *, negated: bool, depth: int, has_labels: bool) -> str:
    """SQL of a node or its negation.

    `NOT` precedes functions only, because the parser's time is exponential in nested `NOT (`.
    """
    if depth > MAX_NESTED:
        raise FilterError(
            f"the filter is nested too deeply: `and` and `or` alternate more than {MAX_NESTED}"
            " times; write it with fewer parentheses"
        )
    match node:
        case Not(term):
            return _sql(term, negated=not negated, depth=depth, has_labels=has_labels)
        case And(terms) | Or(terms):
            conditions = [
                _sql(term, negated=negated, depth=depth + 1, has_labels=has_labels)
                for term in terms
            ]
            return _join_conditions(conditions, all_of=isinstance(node, And) is not negated)
        case In("id", values):
            # A list, because thousands of conditions would exhaust the stack of LanceDB.
            texts = {value for value in values if isinstance(value, str)}
            if not texts:
                return _TRUE if negated else _FALSE
            column = "document_id NOT" if negated else "document_id"
            return in_sql(column, texts | set(map(compose, texts)))
        case In(key, values) if has_labels and values and _is_labelled(key):
            return _call(_has_label(key, values), negated)
        case In(key, values):
            conditions = [_compare(key, "=", value, negated) for value in values]
            return _join_conditions(conditions, all_of=negated)
        case IsNull(key) if key in TEXT_COLUMNS:
            return _TRUE if negated else _FALSE
        case IsNull(key):
            return _call(_has(key), not negated)
        case Like(key, pattern):
            return _like(key, pattern, negated)
        case Compare(key, "=", value) if has_labels and _is_labelled(key):
            return _call(_has_label(key, [value]), negated)
        case Compare(key, operator, value):
            return _compare(key, operator, value, negated)


def _is_labelled(key: str) -> bool:
    return key not in TEXT_COLUMNS and key not in UNLABELLED_KEYS


def _has_label(key: str, values: Iterable[Scalar]) -> str:
    """SQL for the existence of one of some facets."""
    labels = sorted({_literal(_facet(key, value).removesuffix(RS)) for value in values})
    return f"array_has_any(labels, [{', '.join(labels)}])"


def _compare(key: str, operator: Operator, value: Scalar, negated: bool) -> str:
    sign = _OPPOSITE[operator] if negated else operator
    if key in TEXT_COLUMNS:
        if not isinstance(value, str):
            return _TRUE if negated else _FALSE
        if key == "id" and operator == "=":
            values = {value, compose(value)}
            return in_sql("document_id NOT" if negated else "document_id", values)
        if key == "source" and operator == "=":
            value = compose(value)
            facet = f"contains(facets, {_literal(RS + _facet(key, value))})"
            conditions = [f"source {sign} {_literal(value)}", _call(facet, negated)]
            return _join_conditions(conditions, all_of=negated)
        return f"{TEXT_COLUMNS[key]} {sign} {_literal(value)}"
    if operator == "=":
        return _call(f"contains(facets, {_literal(RS + _facet(key, value))})", negated)
    kind, code = encode_value(value)[0], encode_value(value)[1:]
    order = f"{_value(key, kind)} {sign} {_literal(code)}"
    return _join_conditions([_call(_has(key, kind), negated), order], all_of=not negated)


def _like(key: str, pattern: str, negated: bool) -> str:
    if key in TEXT_COLUMNS:
        pattern = compose(pattern) if key == "source" else pattern
        regex = _regex(pattern, letter=".", escape=str)
        like = _call(f"regexp_like({TEXT_COLUMNS[key]}, {_literal(regex)})", negated)
        if key != "source":
            return like
        path = like_regex(pattern, letter=f"(?:{_ESCAPE}.|[^{_ESCAPE}{RS}])", escape=_escape)
        facet = f"(?s){RS}{key}{US}s{path}{RS}"
        facet_condition = _call(f"regexp_like(facets, {_literal(facet)})", negated)
        return _join_conditions([like, facet_condition], all_of=negated)
    regex = _regex(pattern, letter=f"(?:{_ESCAPE}.|[^{_ESCAPE}])", escape=_escape)
    like = f"regexp_like({_value(key, 's')}, {_literal(regex)})"
    conditions = [_call(_has(key, "s"), negated), _call(like, negated)]
    return _join_conditions(conditions, all_of=not negated)


def _regex(pattern: str, *, letter: str, escape: Callable[[str], str]) -> str:
    """Translate a `like` pattern into a Rust regular expression for a whole text."""
    return f"(?s)^{like_regex(pattern, letter=letter, escape=escape)}$"


def like_regex(pattern: str, *, letter: str, escape: Callable[[str], str]) -> str:
    """Translate a `like` pattern into a regular expression for a part of a text.

    Args:
        pattern: the pattern.
        letter: expression for any character.
        escape: encodes a text as it is stored.
    """
    expressions = (
        f"{letter}*" if run else letter if char else escape_regex(escape(quoted or plain))
        for quoted, run, char, plain in LIKE_TOKENS.findall(pattern)
    )
    return f"(?:{''.join(expressions)})"


def escape_regex(text: str) -> str:
    """A regular expression for a text, in Rust and in PostgreSQL."""
    return _SYNTAX.sub(r"\\\g<0>", text)


def _join_conditions(conditions: Sequence[str], *, all_of: bool) -> str:
    if len(conditions) > MAX_CONDITIONS:
        raise FilterError(
            f"the filter has {len(conditions)} conditions or values in a row, and {MAX_CONDITIONS}"
            " are possible: search several times, or filter by `id`"
        )
    return f"({(' AND ' if all_of else ' OR ').join(conditions)})"


def _call(function: str, negated: bool) -> str:
    return f"NOT {function}" if negated else function


def _has(key: str, kind: str = "") -> str:
    """SQL for the existence of a facet, of a type if given."""
    return f"contains(facets, {_literal(f'{RS}{_escape(key)}{US}{kind}')})"


def _value(key: str, kind: str) -> str:
    """SQL for the value of a facet; the empty text if it is missing."""
    after = f"split_part(facets, {_literal(f'{RS}{_escape(key)}{US}{kind}')}, 2)"
    return f"split_part({after}, {_literal(RS)}, 1)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _facet(key: str, value: Scalar) -> str:
    return f"{_escape(key)}{US}{encode_value(value)}{RS}"


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _sortable(value: int | float) -> str:
    """20 hex digits in the order of numbers, exact for integers beyond 2**53.

    The bits of a float sort like the float after flipping the sign bit, or all bits of a negative
    float. The last four digits are the difference of an integer from its nearest float.
    """
    if isinstance(value, float):
        nearest, remainder = value, 0
    else:
        nearest = float(max(-_LARGEST, min(_LARGEST, value)))
        remainder = max(-_MAX_REMAINDER, min(_MAX_REMAINDER, value - int(nearest)))
    # Adding 0.0 turns -0.0 into 0.0, which equals it but has other bits.
    (bits,) = struct.unpack(">Q", struct.pack(">d", nearest + 0.0))
    bits = bits ^ ((1 << 64) - 1) if bits >> 63 else bits | 1 << 63
    return f"{bits:016x}{remainder + _MAX_REMAINDER:04x}"
