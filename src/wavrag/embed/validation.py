"""Validation of specs and options with pydantic, reported as a single sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def describe_problem(error: ValidationError) -> str:
    """Return the first problem as `FIELD: MESSAGE, not VALUE`."""
    # pydantic collects all problems; a command line needs one at a time.
    problem = error.errors()[0]
    field = ".".join(str(key) for key in problem["loc"])
    return f"{field}: {problem['msg']}, not {problem['input']!r}"
