"""Filters of OpenAI's vector stores as expressions of `wavrag.where`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from wavrag.server.errors import RequestError
from wavrag.server.limits import MAX_FILTER_CHARS
from wavrag.server.requests import MetadataValue, StrictBody
from wavrag.where import format_key, format_value

_OPERATORS = {
    "eq": "=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "in": "in",
    "nin": "not in",
}  # fmt: skip
MAX_NODES = 1_000  # comparisons, values and groups; each takes two characters of an expression


class ComparisonFilter(StrictBody):
    """Compares an attribute with a value, or with a list of them (`in`, `nin`)."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str = Field(max_length=256, description="as in `where`, such as `speaker` or `start`")
    value: MetadataValue | Annotated[list[MetadataValue], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_value(self) -> ComparisonFilter:
        if isinstance(self.value, list) != (self.type in ("in", "nin")):
            raise ValueError("`in` and `nin` need a list of values, the others a single one")
        return self


class CompoundFilter(StrictBody):
    """Several filters, of which all or at least one must match."""

    type: Literal["and", "or"]
    filters: list[AttributeFilter] = Field(min_length=1)


AttributeFilter: TypeAlias = Annotated[
    ComparisonFilter | CompoundFilter, Field(discriminator="type")
]
CompoundFilter.model_rebuild()


def _check_size(data: Any) -> Any:
    """Refuse a large filter before its models are built, which takes the event loop seconds."""
    nodes = [data]
    for node in nodes:  # grows
        children = node
        if isinstance(node, dict):
            children = node.get("filters") or node.get("value")
        if isinstance(children, list):
            nodes += children[:MAX_NODES]
        if len(nodes) > MAX_NODES:
            raise ValueError(f"the filter has more than {MAX_NODES} parts: simplify it")
    return data


SizedFilter: TypeAlias = Annotated[AttributeFilter, BeforeValidator(_check_size)]


def to_where(filter: ComparisonFilter | CompoundFilter | None) -> str | None:
    """The expression of `wavrag.where` for a filter; None without one.

    Raises:
        RequestError: the filter is too long.

    Example:
        >>> to_where(ComparisonFilter(type="gte", key="year", value=2020))
        '"year" >= 2020'
    """
    if filter is None:
        return None
    where = _render(filter)
    if len(where) > MAX_FILTER_CHARS:
        raise RequestError(
            413, f"the filter is longer than {MAX_FILTER_CHARS} characters: shorten it"
        )
    return where


def _render(filter: ComparisonFilter | CompoundFilter) -> str:
    if isinstance(filter, CompoundFilter):
        return f" {filter.type} ".join(f"({_render(term)})" for term in filter.filters)
    value = filter.value
    if isinstance(value, list):
        literal = f"({', '.join(map(format_value, value))})"
    else:
        literal = format_value(value)
    return f"{format_key(filter.key)} {_OPERATORS[filter.type]} {literal}"
