"""Options that several commands share, and types of option values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from wavrag.config import DEFAULT_EMBEDDER

GENERATOR_HELP = (
    "model that writes the answer: extractive (default), local, local:FILE.gguf, openai:MODEL,"
    " openai:MODEL+audio, or qwen2-audio:FOLDER; the prefix map-reduce: asks about each passage"
    " alone and combines the answers"
)

EMBEDDER_HELP = f"embedder of a new knowledge base (default: {DEFAULT_EMBEDDER})"
VOICE_HELP = "speech engine, such as flite (default: the best one installed)"


def add_kb(parser: argparse.ArgumentParser) -> None:
    """Add `--kb`."""
    parser.add_argument(
        "--kb", metavar="DIR", help="knowledge base folder (default: $WAVRAG_KB, or .wavrag)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json` as a flag."""
    parser.add_argument(
        "--json", action="store_true", help="print a single JSON document and nothing else"
    )


def add_json_file(parser: argparse.ArgumentParser) -> None:
    """Add `--json FILE`."""
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the figures to FILE as a single JSON document; - prints it and nothing else",
    )


def add_generator(parser: argparse.ArgumentParser) -> None:
    """Add `--generator`."""
    parser.add_argument("--generator", metavar="SPEC", help=GENERATOR_HELP)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add `--seed`."""
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)"
    )


def add_list(parser: argparse.ArgumentParser, option: str, metavar: str, help: str) -> None:
    """Add an option that may be repeated; its values are a list."""
    parser.add_argument(option, action="append", default=[], metavar=metavar, help=help)


def whole_number(least: int) -> Callable[[str], int]:
    """Type of an option that takes a whole number of at least `least`."""
    return _number_type(int, "a whole number", least)


def number(least: float) -> Callable[[str], float]:
    """Type of an option that takes a number of at least `least`."""
    return _number_type(float, "a number", least)


def _number_type(convert: Callable[[str], Any], noun: str, least: float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = None
        # NaN fails every comparison, so it is refused too.
        if value is None or not value >= least:
            raise argparse.ArgumentTypeError(f"{text} is not {noun} of at least {least:g}")
        return value

    return parse
