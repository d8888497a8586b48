"""Ask a knowledge base through its MCP server, as an agent does, by voice or in writing.

    python examples/mcp_client.py my-kb "Are dogs allowed on the ferry?"
    python examples/mcp_client.py my-kb --audio question.wav

Starts `wavrag mcp` and prints the answer, its citations, and the size of the sound that the first
cited passage has. Needs `wavrag[mcp]`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters


async def ask(kb: str, arguments: dict[str, Any]) -> None:
    """Call the tool `ask` and read a resource that it names."""

    async def show(progress: float, total: float | None, message: str | None) -> None:
        print(f"  {message} ({progress:g})", file=sys.stderr)

    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "wavrag", "mcp", "--kb", kb, "--read-only"],
        env=dict(os.environ),  # otherwise the server gets PATH and HOME only
    )
    async with Client(server) as client:
        result = await client.call_tool("ask", arguments, progress_callback=show)
        answer = result.structured_content
        if answer is None:
            raise SystemExit(f"the server refused: {result.content}")
        print(answer["question"], answer["answer"], sep="\n")
        for citation in answer["citations"]:
            print(f"[{citation['number']}] {citation['title']}  {citation['location']}")
        for uri in [c["audio_uri"] for c in answer["citations"] if c["audio_uri"]][:1]:
            (sound,) = (await client.read_resource(uri)).contents
            print(f"{sound.mime_type}: {len(sound.model_dump()['blob'])} characters of base64")


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kb", help="folder of the knowledge base")
    parser.add_argument("text", nargs="?", help="the question as text")
    parser.add_argument("--audio", type=Path, help="the question as a recording")
    options = parser.parse_args(argv)
    arguments = {"question": options.text}
    if options.audio:
        arguments["audio"] = base64.b64encode(options.audio.read_bytes()).decode()
    asyncio.run(ask(options.kb, arguments))


if __name__ == "__main__":
    main()
