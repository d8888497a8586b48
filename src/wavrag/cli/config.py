"""`wavrag config`: the settings, and where each comes from."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from wavrag import config
from wavrag.cli.command import Command, CommandParser
from wavrag.cli.option_settings import find_option_settings
from wavrag.cli.options import JSON
from wavrag.cli.output import print_json


def show_settings(arguments: argparse.Namespace, build_parser: Callable[[], CommandParser]) -> int:
    """Print the settings that apply here, and the options of commands that are set."""
    settings: list[dict[str, Any]] = []
    for setting in config.SETTINGS:
        value = config.find_setting(setting.name)
        settings.append(
            {
                "name": setting.name,
                "value": config.redact_url(value.text) if value else None,
                "origin": value.origin if value else None,
                "default": setting.default or None,
                "variable": setting.variable,
                "help": setting.help,
            }
        )
    options = _list_options(build_parser())
    files = [str(path) for path in config.read_settings()]
    if arguments.json:
        print_json({"files": files, "settings": settings, "options": options})
        return 0
    table = [
        (
            row["name"],
            row["value"] or row["default"] or "-",
            row["origin"] or f"default; set {row['variable']}",
        )
        for row in settings
    ]
    table += [(f"{row['command']} {row['option']}", row["value"], row["origin"]) for row in options]
    widths = [max(len(row[column]) for row in table) for column in (0, 1)]
    for name, text, origin in table:
        print(f"{name:{widths[0]}}  {text:{widths[1]}}  {origin}")
    if not files:
        print(f"No settings file: write {config.user_settings_path()}, or {config.SETTINGS_FILE}.")
    return 0


def _list_options(root: CommandParser) -> list[dict[str, Any]]:
    """The options of all commands that are set."""
    rows = []
    parsers = root.subparsers()
    while parsers:
        parser = parsers.pop(0)
        parsers[:0] = parser.subparsers()
        options = parser.command.all_options()
        for option, value, origin in find_option_settings(parser.prog, options).values():
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            text = config.redact_url(text)
            rows.append(
                {"command": parser.prog, "option": option.name, "value": text, "origin": origin}
            )
    return rows


def create_command(build_parser: Callable[[], CommandParser]) -> Command:
    """The command, with the builder of the program's parser, which has all options."""
    return Command(
        "config",
        "print the settings and where each comes from",
        partial(show_settings, build_parser=build_parser),
        (JSON,),
        ("wavrag config", "wavrag config --json"),
        details="Options of the command line precede the environment, the environment precedes"
        " wavrag.toml in the working directory (kb and threads only), and that precedes wavrag.toml"
        " in ~/.config/wavrag (or the file $WAVRAG_SETTINGS). There a table such as [serve] sets"
        " options of a command; in the environment WAVRAG_SERVE_PORT does.",
    )
