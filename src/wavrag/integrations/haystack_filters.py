"""Filters of Haystack as filters of WavRAG."""

from __future__ import annotations

import math
from typing import Any

from haystack.errors import FilterError

# Haystack orders numbers and dates only, and `where` needs values of one type on both sides.
_OPERATORS = {"==": "=", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


def to_where(filters: dict[str, Any]) -> str:
    """Translate a filter of Haystack to one of WavRAG.

    Raises:
        FilterError: the filter is not valid.

    Example:
        >>> to_where({"field": "meta.year", "operator": ">=", "value": 2020})
        '"year" >= 2020'
    """
    try:
        operator = filters["operator"]
        if "field" not in filters:
            conditions = [f"({to_where(condition)})" for condition in filters["conditions"]]
            if operator in ("AND", "OR") and conditions:
                return f" {operator.lower()} ".join(conditions)
            if operator == "NOT" and conditions:
                return f"not ({' and '.join(conditions)})"
            raise FilterError(f"{operator!r} with {len(conditions)} conditions is no filter")
        key, value = filters["field"].removeprefix("meta."), filters["value"]
    except (KeyError, TypeError, AttributeError) as error:
        raise FilterError(f"the filter {filters!r} lacks {error}") from error
    key = '"{}"'.format(key.replace('"', '""'))
    if value is None and operator in ("==", "!="):
        return f"{key} is {'not ' if operator == '!=' else ''}null"
    if operator in ("in", "not in") and isinstance(value, list):
        # `where` has no empty list; every passage has an id.
        constant = '"id" is null' if operator == "in" else '"id" is not null'
        return f"{key} {operator} ({', '.join(map(_constant, value))})" if value else constant
    if operator in _OPERATORS and not isinstance(value, list):
        return f"{key} {_OPERATORS[operator]} {_constant(value)}"
    raise FilterError(f"{operator!r} does not apply to {value!r}")


def _constant(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'{}'".format(value.replace("'", "''"))
    if isinstance(value, int | float) and math.isfinite(value):
        return repr(value)
    raise FilterError(f"{value!r} is no string, number or boolean")
