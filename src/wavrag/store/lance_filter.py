"""Filters of `wavrag.where` as SQL over a LanceDB table.

Metadata has any keys, each with values of any type, so it cannot be columns; Lance's own JSON
functions convert between types ("2020" equals 2020) and fail on rows of another type. Instead a row
has a text of facets, each `RS key US type value RS`, and a filter looks for a facet with `contains`
or picks its value with `split_part`. Values are written so that text order is value order.

Nothing in a key or value can end its facet or its SQL literal: RS, US and their escape are escaped,
quotes doubled.
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
    LIKE_PARTS,
    And,
    Compare,
    In,
    IsNull,
    Like,
    Node,
    Not,
    Operator,
    Or,
)

TEXT_COLUMNS = {"id": "document_id", "source": "source", "title": "title", "section": "section"}
"""Own keys of passages that are columns of text; the others are facets."""

MAX_NESTED = 16
"""LanceDB's SQL parser gives up a little deeper than this."""

RS, US, _ESCAPE = "\x1e", "\x1f", "\x1d"
_ESCAPES = {0x1D: "\x1d1", 0x1E: "\x1d2", 0x1F: "\x1d3"}  # keeps the order of texts
_OPPOSITE: dict[Operator, str] = {"=": "!=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_TRUE, _FALSE = "(1 = 1)", "(1 = 0)"
_SYNTAX = re.compile(r"[\\.+*?()|\[\]{}^$]")
_LARGEST = int(sys.float_info.max)
_REST = 1 << 12  # more than the distance of a 64-bit integer to its nearest float


def encode_metadata(metadata: Metadata) -> str:
    """The facets of a document's metadata, without keys that the passage's own ones hide."""
    return "".join(
        _facet(key, value) for key, value in metadata.items() if key not in BUILT_IN_KEYS
    )


def encode_own(passage: Passage) -> str:
    """The facets that a passage has of its own."""
    own = {
        "modality": passage.modality,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
    }
    return "".join(_facet(key, value) for key, value in own.items() if value is not None)


def encode_value(value: Scalar) -> str:
    """A letter for the type and a text that sorts as the values of that type do."""
    if isinstance(value, bool):
        return f"b{value:d}"
    if isinstance(value, str):
        return f"s{_escape(value)}"
    return f"n{_sortable(value)}"


def filter_sql(node: Node) -> str:
    """SQL that is true where `wavrag.where.matches` is, and never null.

    Raises:
        FilterError: `and` and `or` alternate more often than LanceDB's parser can follow.
    """
    return _sql(node, negated=False, depth=0)


def in_sql(column: str, values: Iterable[str]) -> str:
    """SQL that is true where the column is one of the values."""
    literals = ", ".join(_literal(value) for value in sorted(values))
    return f"{column} IN ({literals})"


def _sql(node: Node, *, negated: bool, depth: int) -> str:
    """SQL of a node or its opposite.

    `NOT` stands before functions only: the parser's time is exponential in nested `NOT (`.
    """
    if depth > MAX_NESTED:
        raise FilterError(
            f"the filter is nested too deeply: `and` and `or` alternate more than {MAX_NESTED}"
            " times; write it with fewer parentheses"
        )
    match node:
        case Not(term):
            return _sql(term, negated=not negated, depth=depth)
        case And(terms) | Or(terms):
            parts = [_sql(term, negated=negated, depth=depth + 1) for term in terms]
            return _joined(parts, all_of=isinstance(node, And) is not negated)
        case In(key, values):
            parts = [_compare(key, "=", value, negated) for value in values]
            return _joined(parts, all_of=negated)
        case IsNull(key) if key in TEXT_COLUMNS:
            return _TRUE if negated else _FALSE
        case IsNull(key):
            return _call(_has(key), not negated)
        case Like(key, pattern):
            return _like(key, pattern, negated)
        case Compare(key, operator, value):
            return _compare(key, operator, value, negated)


def _compare(key: str, operator: Operator, value: Scalar, negated: bool) -> str:
    sign = _OPPOSITE[operator] if negated else operator
    if key in TEXT_COLUMNS:
        if not isinstance(value, str):
            return _TRUE if negated else _FALSE
        return f"{TEXT_COLUMNS[key]} {sign} {_literal(value)}"
    if operator == "=":
        return _call(f"contains(facets, {_literal(RS + _facet(key, value))})", negated)
    kind, code = encode_value(value)[0], encode_value(value)[1:]
    order = f"{_value(key, kind)} {sign} {_literal(code)}"
    return _joined([_call(_has(key, kind), negated), order], all_of=not negated)


def _like(key: str, pattern: str, negated: bool) -> str:
    if key in TEXT_COLUMNS:
        regex = _regex(pattern, letter=".", escape=str)
        return _call(f"regexp_like({TEXT_COLUMNS[key]}, {_literal(regex)})", negated)
    regex = _regex(pattern, letter=f"(?:{_ESCAPE}.|[^{_ESCAPE}])", escape=_escape)
    like = f"regexp_like({_value(key, 's')}, {_literal(regex)})"
    parts = [_call(_has(key, "s"), negated), _call(like, negated)]
    return _joined(parts, all_of=not negated)


def _regex(pattern: str, *, letter: str, escape: Callable[[str], str]) -> str:
    """A `like` pattern in the syntax of Rust's regular expressions, for a whole text."""
    parts = (
        f"{letter}*" if run else letter if one else _SYNTAX.sub(r"\\\g<0>", escape(quoted or plain))
        for quoted, run, one, plain in LIKE_PARTS.findall(pattern)
    )
    return f"(?s)^(?:{''.join(parts)})$"


def _joined(parts: Sequence[str], *, all_of: bool) -> str:
    return f"({(' AND ' if all_of else ' OR ').join(parts)})"


def _call(function: str, negated: bool) -> str:
    return f"NOT {function}" if negated else function


def _has(key: str, kind: str = "") -> str:
    """SQL for: there is such a facet, of that type."""
    return f"contains(facets, {_literal(f'{RS}{_escape(key)}{US}{kind}')})"


def _value(key: str, kind: str) -> str:
    """SQL for the value of a facet; the empty text if there is none."""
    after = f"split_part(facets, {_literal(f'{RS}{_escape(key)}{US}{kind}')}, 2)"
    return f"split_part({after}, {_literal(RS)}, 1)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _facet(key: str, value: Scalar) -> str:
    return f"{_escape(key)}{US}{encode_value(value)}{RS}"


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _sortable(value: int | float) -> str:
    """20 hex digits that sort as numbers do, integers beyond 2**53 exactly.

    A float's bits sort as the float when its sign is flipped, and all bits for a negative one. The
    last digits are what an integer lies above or below the nearest float.
    """
    nearest, rest = _nearest(value)
    (bits,) = struct.unpack(">Q", struct.pack(">d", nearest + 0.0))
    bits = bits ^ ((1 << 64) - 1) if bits >> 63 else bits | 1 << 63
    return f"{bits:016x}{rest + _REST:04x}"


def _nearest(value: int | float) -> tuple[float, int]:
    """The nearest float, and what is left of an integer, cut to where it decides nothing more."""
    if isinstance(value, float):
        return value, 0
    nearest = float(max(-_LARGEST, min(_LARGEST, value)))
    return nearest, max(-_REST, min(_REST, value - int(nearest)))
