"""`wavrag search`: retrieves passages for a typed or spoken query."""

from __future__ import annotations

import argparse
import io
import sys
from typing import TYPE_CHECKING

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import add_json, add_kb, whole_number
from wavrag.cli.output import note, print_hits, print_json

if TYPE_CHECKING:
    from wavrag.types import Query


def add_query_arguments(parser: argparse.ArgumentParser, noun: str) -> None:
    """Declare the options that make a query: text, a recording, a filter."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help=f"the {noun} as text")
    parser.add_argument(
        "--audio",
        metavar="FILE",
        help=f"the {noun} as a recording, alone or beside TEXT; - reads standard input",
    )
    parser.add_argument(
        "--where",
        metavar="EXPR",
        help="use only passages that match a filter, such as \"year >= 2020 and speaker = 'Ada'\"",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag search`."""
    add_query_arguments(parser, "query")
    parser.add_argument(
        "-k",
        type=whole_number(1),
        default=5,
        metavar="N",
        help="maximum number of hits (default: %(default)s)",
    )
    add_kb(parser)
    add_json(parser)


def search(arguments: argparse.Namespace) -> int:
    """Print the hits; an empty result is not a failure."""
    from wavrag.kb import KnowledgeBase

    query = read_query(arguments)
    with KnowledgeBase.open(arguments.kb, create=False) as kb:
        result = kb.retrieve(query, arguments.k)
    if arguments.json:
        from wavrag.shapes import SearchShape

        print_json({"audio": arguments.audio, **SearchShape.dump(result)})
        return 0
    if arguments.audio and result.words:
        note(f"recognised: {result.words}")
    if not result.hits:
        note("no hits")
    print_hits(result.hits)
    return 0


def read_query(arguments: argparse.Namespace) -> Query:
    """Build the query from text, a recording, or both.

    Raises:
        UsageError: neither is given.
        AudioError: the recording cannot be read.
    """
    from wavrag import audio
    from wavrag.types import Query

    text = " ".join(arguments.text).strip() or None
    if arguments.audio is None:
        if text is None:
            raise UsageError("there is no question: give TEXT, --audio FILE, or both")
        return Query(text=text, where=arguments.where)
    if arguments.audio == "-":
        clip = audio.load(io.BytesIO(sys.stdin.buffer.read()))
    else:
        clip = audio.load(arguments.audio)
    return Query(text=text, clip=clip, where=arguments.where)


COMMAND = Command(
    "search",
    "find passages for a typed or spoken query",
    search,
    add_arguments,
    (
        'wavrag search "when does the last ferry leave"',
        "wavrag search --audio question.wav -k 10",
        "wavrag search budget --where \"year >= 2020 and speaker = 'Ada'\" --json",
    ),
)
