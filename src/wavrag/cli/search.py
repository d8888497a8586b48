"""`wavrag search`: retrieves passages for a typed or spoken query."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import FUSION, JSON, KB, RERANK, Option
from wavrag.cli.output import note, print_hits, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wavrag.kb import KnowledgeBase
    from wavrag.types import Query


def query_options(noun: str) -> tuple[Option, ...]:
    """The options that `read_query` reads; the noun is `query` or `question`."""
    return (
        Option("text", "TEXT", f"the {noun} as text", nargs="*"),
        Option("--audio", "FILE", f"the {noun} as a recording, with or without TEXT; - reads"
            " standard input"),
        Option("--where", "EXPR", "use only passages that match a filter, such as \"year >= 2020"
            " and speaker = 'Ada'\""),
        Option("--no-spelling", help="do not search for words that resemble misspelled ones"),
    )  # fmt: skip


def search(arguments: argparse.Namespace) -> int:
    """Print the hits; an empty result is not a failure."""
    from wavrag.kb import KnowledgeBase

    query = read_query(arguments)
    with KnowledgeBase.open(
        arguments.kb, create=False, fusion=arguments.fusion, reranker=arguments.rerank
    ) as kb:
        result = kb.retrieve(query, arguments.k)
        speakers = mentioned_speakers(kb, query, result.words)
    if arguments.json:
        from wavrag.shapes import SearchShape

        print_json({"audio": arguments.audio, **SearchShape.dump(result)})
        return 0
    if arguments.audio and result.words:
        note(f"recognised: {result.words}")
    note_suggestion(result.suggestion)
    note_speakers(speakers)
    if not result.hits:
        note("no hits")
    print_hits(result.hits)
    return 0


def note_suggestion(suggestion: str | None) -> None:
    """Print the query with corrected spelling, if there is one."""
    if suggestion:
        note(f"did you mean: {suggestion} (--no-spelling searches for your words alone)")


def mentioned_speakers(kb: KnowledgeBase, query: Query, words: str | None) -> list[str]:
    """Speakers whom a query without a filter names."""
    if query.where is not None or not words or not kb.finds_speakers:
        return []
    return kb.mentioned_speakers(words)


def note_speakers(speakers: Iterable[str]) -> None:
    """Print the filter for each speaker."""
    for name in speakers:
        note(f"{name} is a speaker: --where \"speaker = '{name}'\" finds only what {name} says")


def read_query(arguments: argparse.Namespace) -> Query:
    """Build the query from text, a recording, or both.

    Raises:
        UsageError: neither is given.
        AudioError: the recording cannot be read.
    """
    from wavrag import audio
    from wavrag.types import Query

    # A question without quotes arrives as several words.
    text, clip = " ".join(arguments.text).strip() or None, None
    if arguments.audio is not None:
        clip = audio.load(sys.stdin.buffer if arguments.audio == "-" else arguments.audio)
    elif text is None:
        raise UsageError("there is no question: give TEXT, --audio FILE, or both")
    return Query(text, clip, arguments.where, spelling=not arguments.no_spelling)


COMMAND = Command(
    "search",
    "find passages for a typed or spoken query",
    search,
    (
        *query_options("query"),
        Option("-k", "N", "maximum number of hits", default=5, minimum=1),
        FUSION,
        RERANK,
        KB,
        JSON,
    ),
    (
        'wavrag search "where are dogs allowed on the ferry"',
        "wavrag search --audio question.wav -k 10",
        "wavrag search budget --where \"year >= 2020 and speaker = 'Ada'\" --json",
    ),
)  # fmt: skip
