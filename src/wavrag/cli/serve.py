"""`wavrag serve`: serves the knowledge base over HTTP."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.ask import ANSWER_OPTIONS, read_answer_options
from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import (
    BEST_ENGINE,
    GENERATOR,
    KB,
    MAX_RECORDING,
    NEW_EMBEDDER,
    RERANK,
    TOKENS,
    VOICE_HELP,
    Option,
)  # fmt: skip
from wavrag.cli.output import format_count, note
from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.server import ServerOptions

# The token itself is not an option: every user of the machine can read argument lists.
TOKEN = "WAVRAG_TOKEN"


def serve(arguments: argparse.Namespace) -> int:
    """Run the server until it is interrupted."""
    from wavrag import telemetry
    from wavrag.kb import check_folders
    from wavrag.rag import WavRAG
    from wavrag.server import ServerOptions, check_host, default_token_file, serve

    check_port(arguments.port)
    if arguments.telemetry:
        telemetry.enable_export()
    options = ServerOptions(
        json_logs=arguments.log_json,
        tokens=frozenset(read_tokens(arguments.token)),
        token_file=find_token_file(arguments.tokens, default_token_file()),
        oidc_file=Path(arguments.oidc) if arguments.oidc else None,
        audit_file=Path(arguments.audit) if arguments.audit else None,
        allowed_hosts=tuple(arguments.allow_host),
        allowed_origins=tuple(arguments.allow_origin),
        max_upload_bytes=arguments.max_upload << 20,
        max_recording_seconds=arguments.max_recording * 3600,
        workers=arguments.workers,
        max_concurrent_answers=arguments.max_answers,
        answer_timeout=arguments.answer_timeout,
        voice=arguments.voice,
        watch_folders=tuple(arguments.watch),
    )
    if arguments.collections and (arguments.kb or arguments.watch):
        raise UsageError("--collections replaces --kb and --watch: give one of them")
    # Before the models load: an address for others without tokens, or a missing folder, is refused.
    check_host(arguments.host, options)
    check_folders(arguments.watch)
    if arguments.collections:
        return serve_collections(arguments, options)
    with WavRAG.open(
        arguments.kb,
        embedder=arguments.embedder,
        generator=arguments.generator,
        reranker=arguments.rerank,
        create=arguments.create,
    ) as rag:
        rag.options = read_answer_options(arguments, rag.generator.spec)

        def on_start(url: str) -> None:
            note(f"serving {rag.kb.address} at {url} (press Ctrl-C to stop)")

        serve(rag, arguments.host, arguments.port, options, on_start=on_start)
    return 0


def serve_collections(arguments: argparse.Namespace, options: ServerOptions) -> int:
    """Serve the knowledge bases in the subfolders of a folder."""
    from wavrag.config import DEFAULT_GENERATOR
    from wavrag.generate import load_generator
    from wavrag.server import CollectionFolder, serve

    path = Path(arguments.collections)
    if arguments.create:
        path.mkdir(parents=True, exist_ok=True)
    generator = load_generator(arguments.generator or DEFAULT_GENERATOR)
    with CollectionFolder(
        path,
        generator,
        read_answer_options(arguments, generator.spec),
        reranker=arguments.rerank,
        embedder=arguments.embedder,
    ) as folder:

        def on_start(url: str) -> None:
            count = format_count(len(folder.names()), "collection")
            note(f"serving {count} of {path} at {url} (press Ctrl-C to stop)")

        serve(folder, arguments.host, arguments.port, options, on_start=on_start)
    return 0


def check_port(port: int) -> None:
    """Raise `UsageError` if a number is not a TCP port."""
    if port >= 1 << 16:
        raise UsageError(f"--port: {port} is not a port: give a number from 0 to 65535")


def find_token_file(path: str | None, default: Path) -> Path | None:
    """The file of `wavrag token`: the one named, or else the default if it exists.

    Raises:
        InputError: the file named does not exist.
    """
    if path is None:
        # Only then, since a server without any other token would accept nobody.
        return default if default.exists() else None
    if not Path(path).is_file():
        raise InputError(
            f"--tokens {path} does not exist: create it with `wavrag token create --tokens {path}`"
        )
    return Path(path)


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
    (
        Option("--host", "ADDRESS", "address to listen on; non-loopback addresses require"
            " tokens", default="127.0.0.1"),
        Option("--port", "N", "port to listen on; 0 picks a free one", default=8321, minimum=0),
        GENERATOR,
        Option("--create", help="create the knowledge base if there is none"),
        NEW_EMBEDDER,
        RERANK,
        Option("--voice", "ENGINE", VOICE_HELP, unset=BEST_ENGINE),
        Option("--collections", "FOLDER", "serve the knowledge bases in the subfolders of a folder"
            " instead of --kb; users can create more"),
        Option("--watch", "FOLDER", "index a folder and its changes while serving", repeat=True),
        Option("--token", "FILE", "file of accepted bearer tokens for everything, one per line",
            unset="$WAVRAG_TOKEN"),
        Option("--log-json", help="log to standard error as JSON lines, with a line for each"
            " request"),
        Option("--telemetry", help="send traces and metrics to an OpenTelemetry collector,"
            " $OTEL_EXPORTER_OTLP_ENDPOINT"),
        TOKENS,
        Option("--oidc", "FILE", "TOML file of an OpenID Connect issuer whose tokens are accepted"),
        Option("--audit", "FILE", "append a line of JSON for every change to a file"),
        Option("--allow-host", "NAME", "host name accepted in requests beside localhost",
            repeat=True),
        Option("--allow-origin", "URL", "other origin whose web pages may call the server (CORS)",
            repeat=True),
        KB,
    ),
    (
        "wavrag serve",
        "wavrag serve --kb my-kb --generator local --voice flite",
        "wavrag serve --create --watch talks/ --watch notes/",
        "wavrag serve --create --collections bases/",
        "wavrag serve --host 0.0.0.0 --token tokens.txt --allow-host search.example.org",
    ),
    option_groups={
        "answers": ANSWER_OPTIONS,
        "limits": (
            Option("--max-upload", "MB", "maximum size of an upload", default=2048, minimum=1),
            MAX_RECORDING,
            Option("--workers", "N", "jobs executed at the same time; 0 leaves them to `wavrag"
                " worker`, with a knowledge base in PostgreSQL", default=3, minimum=0),
            Option("--max-answers", "N", "answers generated at the same time; others wait",
                default=4, minimum=1),
            Option("--answer-timeout", "SECONDS", "time limit for an answer", default=300,
                minimum=0.0),
        ),
    },
)  # fmt: skip
