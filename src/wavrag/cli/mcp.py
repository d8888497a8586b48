"""`wavrag mcp`: serves the knowledge base to agents and chat programs."""

from __future__ import annotations

import argparse

from wavrag.cli.ask import ANSWER_OPTIONS, read_answer_options
from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import GENERATOR, KB, RERANK, Option
from wavrag.cli.output import note
from wavrag.cli.serve import check_port

PORT = 8322


def serve_mcp(arguments: argparse.Namespace) -> int:
    """Run the server until its client ends, or until it is interrupted."""
    from wavrag.integrations.mcp import Access, create_mcp_server, serve_http
    from wavrag.rag import WavRAG

    if arguments.port is not None and not arguments.http:
        raise UsageError("--port applies to HTTP: add --http")
    port = PORT if arguments.port is None else arguments.port
    check_port(port)
    with WavRAG.open(
        arguments.kb, generator=arguments.generator, reranker=arguments.rerank, create=False
    ) as rag:
        rag.options = read_answer_options(arguments, rag.generator.spec)
        server = create_mcp_server(Access(rag, read_only=arguments.read_only, roots=arguments.root))
        if not arguments.http:
            server.run("stdio")
            return 0

        def on_start(url: str) -> None:
            note(f"serving {rag.kb.address} at {url} (press Ctrl-C to stop)")

        serve_http(server, port, on_start)
    return 0


COMMAND = Command(
    "mcp",
    "serve the knowledge base to agents over the Model Context Protocol",
    serve_mcp,
    (
        Option("--read-only", help="do not let agents add documents"),
        Option("--root", "FOLDER", "folder whose files agents may name, to add them or to ask with"
            " a recording", unset="no files", repeat=True),
        Option("--http", help="serve streamable HTTP on 127.0.0.1 instead of standard input and"
            " output"),
        Option("--port", "N", "port for --http; 0 picks a free one", unset=str(PORT), minimum=0),
        GENERATOR,
        RERANK,
        KB,
    ),
    (
        "wavrag mcp --kb my-kb --read-only",
        "wavrag mcp --kb my-kb --root ~/memos",
        "wavrag mcp --kb my-kb --http --port 8322",
    ),
    details="An agent starts this command itself. `wavrag serve` offers the same at /mcp, for other"
    " machines and users with tokens.",
    option_groups={"answers": ANSWER_OPTIONS},
)  # fmt: skip
