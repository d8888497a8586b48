"""Front matter: metadata in YAML or TOML at the head of a Markdown file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

# YAML starts with `key:` or a comment; other text between two rules is content.
_YAML = re.compile(
    r"\A---[^\S\n]*\n(?=[\w-]+[^\S\n]*:|\#|---)(.*?)^(?:---|\.\.\.)[^\S\n]*$",
    re.DOTALL | re.MULTILINE,
)
_TOML = re.compile(r"\A\+\+\+[^\S\n]*\n(.*?)^\+\+\+[^\S\n]*$", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^([\w-]+)[^\S\n]*[:=](.+)$", re.MULTILINE)
MAX_CHARS = 50_000  # PyYAML reads about 100,000 characters per second


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Split a text with line feeds into its front matter and the remaining text.

    Front matter that is neither valid YAML nor TOML is read line by line: an unquoted colon in a
    title is a common mistake.
    """
    for pattern, parse in ((_YAML, _parse_yaml), (_TOML, tomllib.loads)):
        if match := pattern.match(text):
            values: Any = None
            if len(match[1]) <= MAX_CHARS:
                try:
                    values = parse(match[1])
                except (ValueError, RecursionError):
                    values = None
            if not isinstance(values, Mapping):
                values = {
                    key: value.strip().strip("\"'") for key, value in _FIELD.findall(match[1])
                }
            return {str(key).lower(): value for key, value in values.items()}, text[match.end() :]
    return {}, text


def _parse_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
