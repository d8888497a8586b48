"""`wavrag serve`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from wavrag.cli.output import GENERATOR_HELP, UsageError, note
from wavrag.errors import InputError

TOKEN = "WAVRAG_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to serve on (default: 127.0.0.1, this machine only); any other needs tokens",
    )
    parser.add_argument("--port", type=int, default=8321, metavar="N", help="(default: 8321)")
    parser.add_argument(
        "--generator",
        metavar="SPEC",
        help=GENERATOR_HELP,
    )
    parser.add_argument(
        "--embedder", metavar="NAME", help="for a new knowledge base (default: cascade)"
    )
    parser.add_argument(
        "--voice", metavar="ENGINE", help="what speaks (default: the best that is here)"
    )
    parser.add_argument(
        "--token",
        metavar="FILE",
        help="file of the tokens that are accepted, one a line (default: $WAVRAG_TOKEN)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name by which the server may be addressed, beside localhost; may be repeated",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="other server whose web pages may call this one; may be repeated",
    )
    parser.add_argument(
        "--max-upload",
        type=int,
        default=2048,
        metavar="MB",
        help="largest upload (default: 2048)",
    )
    parser.add_argument(
        "--kb", metavar="DIR", help="knowledge base (default: $WAVRAG_KB, or .wavrag)"
    )


def serve(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from wavrag.rag import WavRAG
    from wavrag.server import ServerOptions, check_host, serve

    if not 0 <= arguments.port < 1 << 16 or arguments.max_upload < 1:
        raise UsageError("--port is from 0 to 65535, and --max-upload at least 1")
    options = ServerOptions(
        tokens=frozenset(read_tokens(arguments.token)),
        hosts=tuple(arguments.allow_host),
        origins=tuple(arguments.allow_origin),
        max_upload_bytes=arguments.max_upload << 20,
        voice=arguments.voice,
    )
    check_host(arguments.host, options)
    with WavRAG.open(
        arguments.kb, embedder=arguments.embedder, generator=arguments.generator
    ) as rag:
        serve(rag, arguments.host, arguments.port, options, on_start=lambda url: note(
            f"serving {rag.kb.directory} at {url} (Ctrl-C ends it)"
        ))  # fmt: skip
    return 0


def read_tokens(path: str | None) -> list[str]:
    """The tokens of a file, or of the environment.

    Raises:
        InputError: the file cannot be read, or holds none.
    """
    if path is None:
        return os.environ.get(TOKEN, "").split()
    try:
        tokens = Path(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeError) as error:
        raise InputError(f"--token {path} cannot be read ({error}): name another file") from error
    if not tokens:
        raise InputError(f"--token {path} holds no token: write one a line")
    return tokens
