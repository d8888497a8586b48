"""`wavrag search` and `wavrag ask`."""

from __future__ import annotations

import argparse
import io
import sys

from wavrag.cli.output import UsageError, note, print_citations, print_hits, print_json
from wavrag.types import Query


def search(arguments: argparse.Namespace) -> int:
    """Find passages; an empty result is not a failure."""
    from wavrag.jsonable import hit_dict, milliseconds
    from wavrag.kb import KnowledgeBase

    if arguments.k < 1:
        raise UsageError(f"-k {arguments.k}: ask for at least 1 hit")
    query = read_query(arguments)
    with KnowledgeBase.open(arguments.kb, create=False) as kb:
        found = kb.retrieve(query, arguments.k)
    if arguments.json:
        print_json(
            {
                "query": found.words,
                "audio": arguments.audio,
                "hits": [hit_dict(hit) for hit in found.hits],
                "timings_ms": milliseconds(found.timings),
            }
        )
        return 0
    if arguments.audio and found.words:
        note(f"heard: {found.words}")
    if not found.hits:
        note("nothing found")
    print_hits(found.hits)
    return 0


def ask(arguments: argparse.Namespace) -> int:
    """Answer; 0 too when the honest answer is that nothing was found."""
    from wavrag.jsonable import answer_dict
    from wavrag.rag import WavRAG

    query = read_query(arguments)
    with WavRAG.open(arguments.kb, generator=arguments.generator, create=False) as rag:
        stream = rag.stream(query)
        if arguments.json:
            print_json(answer_dict(stream.answer))
            return 0
        written = ""
        for piece in stream:
            print(piece, end="", flush=True)
            written += piece
        print("\n")
        answer = stream.answer
    if answer.text != written.strip():
        # Marks were added, or dropped because they named no source.
        print(f"With citations: {answer.text}\n")
    if arguments.audio and answer.question:
        note(f"heard: {answer.question}")
    print_citations(answer.citations)
    return 0


def read_query(arguments: argparse.Namespace) -> Query:
    """The question that the options name: words, a recording, or both.

    Raises:
        UsageError: there is neither.
        AudioError: the recording cannot be read.
    """
    text = " ".join(arguments.text).strip() or None
    if arguments.audio is None:
        if text is None:
            raise UsageError("there is no question: give TEXT, or --audio FILE, or both")
        return Query(text=text, where=arguments.where)
    from wavrag import audio

    if arguments.audio == "-":
        clip = audio.load(io.BytesIO(sys.stdin.buffer.read()))
    else:
        clip = audio.load(arguments.audio)
    return Query(text=text, clip=clip, where=arguments.where)
