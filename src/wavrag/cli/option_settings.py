"""Options of commands that the environment or `wavrag.toml` sets.

`--port` of `wavrag serve` is `WAVRAG_SERVE_PORT` in the environment, and `port` in the table
`[serve]` of the user's settings; `--prune` of `wavrag index` is `WAVRAG_INDEX_PRUNE`. Several
values of an option are a list, in the environment separated by white space.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

from wavrag import config
from wavrag.cli.options import Option
from wavrag.errors import InputError, suggest_name

FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def option_key(option: Option) -> str:
    """The attribute of an option in the parsed arguments, and its key in `wavrag.toml`."""
    return option.dest or option.name.lstrip("-").replace("-", "_")


def find_option_settings(
    prog: str, options: Sequence[Option]
) -> dict[str, tuple[Option, Any, str]]:
    """The options of a command that are set, each with its value and the origin of it.

    Args:
        prog: the command, such as `wavrag kb list`.
        options: its options.

    Raises:
        InputError: a value or an option is not known; the message names the variable or file.
    """
    words = prog.replace("-", "_").split()[1:]
    named = {option_key(option): option for option in options if option.name.startswith("-")}
    settings: dict[str, tuple[Option, Any, str]] = {}
    # The last one read has precedence.
    for path, contents in reversed(config.read_settings().items()):
        for key, value in _find_table(contents, words).items():
            if key not in named:
                if isinstance(value, dict):  # of a subcommand
                    continue
                hint = suggest_name(key, named) or f": see `{prog} --help`"
                raise InputError(f"{path}: {prog} has no option {key}{hint}")
            settings[key] = named[key], value, f"[{'.'.join(words)}] in {path}"
    for key, option in named.items():
        variable = "_".join(["WAVRAG", *words, key]).upper()
        if text := os.environ.get(variable):
            settings[key] = option, text.split() if _is_list(option) else text, variable
    return settings


def read_option_settings(prog: str, options: Sequence[Option]) -> dict[str, Any]:
    """The converted values of `find_option_settings`, by their key."""
    if not prog.startswith("wavrag "):  # the program of an experiment or a benchmark
        return {}
    return {
        key: _convert(option, value, f"{key}, {origin}")
        for key, (option, value, origin) in find_option_settings(prog, options).items()
    }


def _find_table(contents: Mapping[str, Any], words: Sequence[str]) -> Mapping[str, Any]:
    table: Any = contents
    for word in words:
        table = table.get(word, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}


def _is_list(option: Option) -> bool:
    return option.repeat or option.nargs not in (None, "?")


def _convert(option: Option, value: Any, origin: str) -> Any:
    """A value as argparse would return it."""
    if not option.metavar and not option.choices:
        flag = FLAGS.get(str(value).lower())
        if flag is None:
            raise InputError(f"{origin}: {value!r} is neither true nor false")
        return flag
    values = value if isinstance(value, list) else [value]
    if (isinstance(value, list) and not _is_list(option)) or not values:
        raise InputError(f"{origin}: {value!r} is not a single value")
    if any(isinstance(item, dict | list | bool) for item in values):
        raise InputError(f"{origin}: {value!r} is not a value of {option.name}")
    try:
        converted = [option.value_type()(str(item)) for item in values]
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise InputError(f"{origin}: {error}") from error
    for item in converted:
        if option.choices and item not in option.choices:
            raise InputError(f"{origin}: {item!r} is none of {', '.join(option.choices)}")
    return converted if _is_list(option) else converted[0]
