"""Translate filters of `wavrag.where` into SQL for PostgreSQL, with values as parameters.

A passage has a column `facets`, an array with a text `key US type value` for each key. Values are
encoded so that text order equals value order. `encode_text` makes every text storable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from wavrag.store.lance_filter import TEXT_COLUMNS, encode_value, escape_regex, like_regex
from wavrag.types import Passage, Scalar
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
    Or,
    compose,
    path_forms,
)

# A condition with a %s for each parameter.
Condition: TypeAlias = tuple[str, list[Any]]

# Longest facet with postings, in characters: a key of an index has at most 2,700 bytes.
MAX_INDEXED = 200

SEPARATOR = "\x1f"  # between the key and the value of a facet
_TRUE: Condition = ("true", [])
_FALSE: Condition = ("false", [])
# One character of an encoded text, in a regular expression.
_ANY_CHAR = "(?:\x01.|[^\x01])"


def encode_text(text: str) -> str:
    """A text without NUL, which PostgreSQL cannot store; encoded texts have the same order."""
    if "\x00" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return text


def decode_text(text: str) -> str:
    """Invert `encode_text`."""
    if "\x01" in text:
        return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    return text


def passage_facets(passage: Passage) -> list[str]:
    """Facets of a passage: all keys of the filter language except those with a text column."""
    fields = {key: getattr(passage, key) for key in ("modality", "page", "start", "end")}
    facets = [_facet(key, value) for key, value in fields.items() if value is not None]
    facets += [_facet(key, value) for key, value in _free_keys(passage).items()]
    # The other paths of a source; most documents have none.
    facets += [_facet("source", path) for path in path_forms(passage) - {passage.source}]
    return facets


def indexed_facets(passage: Passage) -> list[str]:
    """The facets of a passage that have postings: those of metadata, unless they are long."""
    facets = (_facet(key, value) for key, value in _free_keys(passage).items())
    return [facet for facet in facets if len(facet) <= MAX_INDEXED]


def _free_keys(passage: Passage) -> dict[str, Scalar]:
    """Values of the keys that are not built in: speaker, channel and track, and the metadata."""
    fields = {key: getattr(passage, key) for key in OPTIONAL_KEYS}
    values = {key: value for key, value in fields.items() if value is not None}
    hidden = {*BUILT_IN_KEYS, *values}
    return values | {key: value for key, value in passage.metadata.items() if key not in hidden}


def required_facets(node: Node | None) -> list[list[str]]:
    """Lists of indexed facets; a passage that matches a filter has one of each list."""
    match node:
        case And(terms):
            return [facets for term in terms for facets in required_facets(term)]
        case Compare(key, "=", value) if key not in BUILT_IN_KEYS:
            lists = [[_facet(key, value)]]
        case In(key, values) if key not in BUILT_IN_KEYS:
            lists = [[_facet(key, value) for value in values]]
        case _:
            return []
    return [facets for facets in lists if all(len(facet) <= MAX_INDEXED for facet in facets)]


def required_ids(node: Node | None) -> list[str] | None:
    """The encoded document ids that a filter allows, if it names them."""
    match node:
        case And(terms):
            return next((ids for ids in map(required_ids, terms) if ids is not None), None)
        case Compare("id", "=", str(value)):
            return _ids([value])[1][0]  # type: ignore[no-any-return]
        case In("id", values):
            parameters = _ids([value for value in values if isinstance(value, str)])[1]
            return parameters[0] if parameters else []
        case _:
            return None


def filter_sql(node: Node | None) -> Condition:
    """SQL equivalent to `wavrag.where.matches`; it is never null."""
    match node:
        case None:
            return _TRUE
        case Not(term):
            sql, values = filter_sql(term)
            return f"NOT {sql}", values
        case And(terms):
            return _join(" AND ", [filter_sql(term) for term in terms])
        case Or(terms):
            return _join(" OR ", [filter_sql(term) for term in terms])
        case In("id", values):
            return _ids([value for value in values if isinstance(value, str)])
        case In(key, values) if key in TEXT_COLUMNS:
            return _join(" OR ", [_compare(key, "=", value) for value in values])
        case In(key, values):
            return "facets && %s::text[]", [[_facet(key, value) for value in values]]
        case IsNull(key):
            return _FALSE if key in TEXT_COLUMNS else _any_facet("true", key, "", negated=True)
        case Like(key, pattern):
            return _like(key, pattern)
        case Compare(key, operator, value):
            return _compare(key, operator, value)


def _compare(key: str, operator: str, value: Scalar) -> Condition:
    if key in TEXT_COLUMNS:
        if not isinstance(value, str):
            return _FALSE
        if key == "id" and operator == "=":
            return _ids([value])
        if key == "source" and operator == "=":
            path = compose(value)
            facet = _facet("source", path)
            return "(source = %s OR facets @> ARRAY[%s])", [encode_text(path), facet]
        return f"{TEXT_COLUMNS[key]} {operator} %s", [encode_text(value)]
    facet = _facet(key, value)
    if operator == "=":
        return "facets @> ARRAY[%s]", [facet]
    return _any_facet(f"f {operator} %s", key, encode_value(value)[0], facet)


def _like(key: str, pattern: str) -> Condition:
    if key not in TEXT_COLUMNS:
        return _like_facet(key, pattern)
    pattern = compose(pattern) if key == "source" else pattern
    sql, value = _like_sql(pattern, "")
    column = (f"{TEXT_COLUMNS[key]} {sql}", [value])
    return _join(" OR ", [column, _like_facet(key, pattern)]) if key == "source" else column


def _like_facet(key: str, pattern: str) -> Condition:
    sql, value = _like_sql(pattern, _prefix(key, "s"))
    return _any_facet(f"f {sql}", key, "s", value)


def _like_sql(pattern: str, prefix: str) -> tuple[str, str]:
    """Operator and operand that match a pattern after a prefix.

    An encoded NUL has two characters, so LIKE serves for patterns without `_` and NUL only.
    """
    has_letters = any(char for _, _, char, _ in LIKE_TOKENS.findall(pattern))
    if not has_letters and encode_text(pattern) == pattern:
        return "LIKE %s", re.sub(r"([\\%_])", r"\\\1", prefix) + pattern
    regex = like_regex(pattern, letter=_ANY_CHAR, escape=encode_text)
    return "~ %s", f"^{escape_regex(prefix)}{regex}$"


def _any_facet(
    condition: str, key: str, kind: str, *values: str, negated: bool = False
) -> Condition:
    """SQL for a facet of a key and type with a condition on it, `f`."""
    sql = f"EXISTS (SELECT FROM unnest(facets) f WHERE starts_with(f, %s) AND {condition})"
    return f"NOT {sql}" if negated else sql, [_prefix(key, kind), *values]


def _ids(ids: Sequence[str]) -> Condition:
    values = {*ids, *map(compose, ids)}
    return ("document_id = ANY(%s)", [sorted(map(encode_text, values))]) if values else _FALSE


def _join(word: str, conditions: Sequence[Condition]) -> Condition:
    sql = word.join(condition for condition, _ in conditions)
    return f"({sql})", [value for _, values in conditions for value in values]


def _facet(key: str, value: Scalar) -> str:
    code = encode_value(value)
    # Texts as they are: `encode_value` escapes separators, which a facet does not end with here.
    return _prefix(key, code[0]) + (encode_text(value) if isinstance(value, str) else code[1:])


def _prefix(key: str, kind: str) -> str:
    return encode_text(key.replace("\x1e", "\x1e1").replace(SEPARATOR, "\x1e2")) + SEPARATOR + kind
