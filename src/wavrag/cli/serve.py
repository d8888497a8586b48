"""`wavrag serve`: serves the knowledge base over HTTP."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import (
    EMBEDDER_HELP,
    VOICE_HELP,
    add_generator,
    add_kb,
    add_list,
    number,
    whole_number,
)
from wavrag.cli.output import note
from wavrag.errors import InputError

TOKEN = "WAVRAG_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag serve`."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; any but a loopback address requires tokens"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8321,
        metavar="N",
        help="port to listen on; 0 picks a free one (default: %(default)s)",
    )
    add_generator(parser)
    parser.add_argument("--embedder", metavar="NAME", help=EMBEDDER_HELP)
    parser.add_argument("--voice", metavar="ENGINE", help=VOICE_HELP)
    parser.add_argument(
        "--token",
        metavar="FILE",
        help="file of accepted bearer tokens, one per line (default: $WAVRAG_TOKEN)",
    )
    add_list(
        parser,
        "--allow-host",
        "NAME",
        "host name accepted in requests beside localhost; may be repeated",
    )
    add_list(
        parser,
        "--allow-origin",
        "URL",
        "other origin whose web pages may call the server (CORS); may be repeated",
    )
    parser.add_argument(
        "--max-upload",
        type=whole_number(1),
        default=2048,
        metavar="MB",
        help="maximum size of an upload (default: %(default)s)",
    )
    parser.add_argument(
        "--max-recording",
        type=number(0.01),
        default=12.0,
        metavar="HOURS",
        help="maximum length of an uploaded recording (default: %(default)g)",
    )
    parser.add_argument(
        "--max-answers",
        type=whole_number(1),
        default=4,
        metavar="N",
        help="answers generated at a time; further requests wait (default: %(default)s)",
    )
    parser.add_argument(
        "--answer-timeout",
        type=number(1),
        default=300.0,
        metavar="SECONDS",
        help="time after which an unfinished answer is cancelled (default: %(default)g)",
    )
    add_kb(parser)


def serve(arguments: argparse.Namespace) -> int:
    """Run the server until it is interrupted."""
    from wavrag.rag import WavRAG
    from wavrag.server import ServerOptions, check_host, serve

    if not 0 <= arguments.port < 1 << 16:
        raise UsageError(f"--port: {arguments.port} is not a port: give a number from 0 to 65535")
    options = ServerOptions(
        tokens=frozenset(read_tokens(arguments.token)),
        allowed_hosts=tuple(arguments.allow_host),
        allowed_origins=tuple(arguments.allow_origin),
        max_upload_bytes=arguments.max_upload << 20,
        max_recording_seconds=arguments.max_recording * 3600,
        max_concurrent_answers=arguments.max_answers,
        answer_timeout=arguments.answer_timeout,
        voice=arguments.voice,
    )
    check_host(arguments.host, options)
    with WavRAG.open(
        arguments.kb, embedder=arguments.embedder, generator=arguments.generator
    ) as rag:

        def on_start(url: str) -> None:
            note(f"serving {rag.kb.directory} at {url} (press Ctrl-C to stop)")

        serve(rag, arguments.host, arguments.port, options, on_start=on_start)
    return 0


def read_tokens(path: str | None) -> list[str]:
    """Read the bearer tokens from a file, or from WAVRAG_TOKEN for None.

    Raises:
        InputError: the file cannot be read, or holds no token.
    """
    if path is None:
        return os.environ.get(TOKEN, "").split()
    try:
        tokens = Path(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeError) as error:
        raise InputError(f"--token {path} cannot be read ({error}): name another file") from error
    if not tokens:
        raise InputError(f"--token {path} holds no token: write one per line")
    return tokens


COMMAND = Command(
    "serve",
    "serve the knowledge base over HTTP, with a web page",
    serve,
    add_arguments,
    (
        "wavrag serve",
        "wavrag serve --kb my-kb --generator local --voice flite",
        "wavrag serve --host 0.0.0.0 --token tokens.txt --allow-host search.example.org",
    ),
)
