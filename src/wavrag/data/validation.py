"""JSON to dataclasses, with errors that name the key, its value and the values allowed.

Pydantic checks the values: about three times as fast as `json.loads` and checks in Python. A
dataclass asks for strict checks with `__pydantic_config__ = STRICT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from wavrag.errors import InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

STRICT = {"extra": "forbid", "strict": True}
"""Unknown keys are errors, and no value is converted to another type."""

_TYPES = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "an object",
    "dataclass_type": "an object",
}
_BOUNDS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "literal_error": "one of {expected}",
}


def parse_json(kind: type[T], text: str | bytes) -> T:
    """Parse a JSON object to a dataclass.

    Raises:
        InputError: the text is not JSON, a key is unknown or missing, or a value is wrong.
    """
    from pydantic import ValidationError

    try:
        value: T = _adapter(kind).validate_json(text)  # type: ignore[arg-type]  # it is hashable
    except ValidationError as error:
        # The text of a pydantic error has several lines; messages here have one.
        raise InputError(_describe(kind, error.errors(include_url=False))) from None
    return value


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _describe(kind: Any, errors: Sequence[Any]) -> str:
    """Describe the first error on one line."""
    error = errors[0]
    error_type, path = error["type"], tuple(error["loc"])
    context = error.get("ctx", {})
    key = _format_key(path)
    if error_type == "json_invalid":
        return f"not JSON: {context['error']}"
    if error_type == "unexpected_keyword_argument":
        names = [_format_key((*path[:-1], name)) for name in _field_names(kind, path[:-1])]
        return f"unknown key `{key}`: use {', '.join(names)}"
    if error_type == "too_long" or (error_type == "missing" and isinstance(path[-1], int)):
        length = context.get("max_length") or errors[-1]["loc"][-1] + 1
        parent = key if error_type == "too_long" else _format_key(path[:-1])
        return f"`{parent}` has another length, and must be a list of {length} values"
    if error_type == "missing":
        return f"`{key}` is missing"
    allowed = _TYPES.get(error_type)
    if error_type in _BOUNDS:
        allowed = _BOUNDS[error_type].format(**context)
    value = f"is {error['input']!r}"
    return f"`{key}` {value}, and must be {allowed}" if allowed else f"`{key}`: {error['msg']}"


def _format_key(path: Sequence[str | int]) -> str:
    """Format a path into nested values: `("data", 0, "path")` is `data[0].path`."""
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return key.removesuffix(".[key]").removeprefix(".")


def _field_names(kind: Any, path: Sequence[str | int]) -> list[str]:
    """List the fields of the dataclass at a path."""
    for step in path:
        if isinstance(step, str):
            kind = get_type_hints(kind)[step]
            kind = next(filter(is_dataclass, get_args(kind)), kind)
    return [field.name for field in fields(kind)]
