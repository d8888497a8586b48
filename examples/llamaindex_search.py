"""Search a knowledge base from LlamaIndex.

    python examples/llamaindex_search.py my-kb "Where is the spare key?"
    python examples/llamaindex_search.py my-kb --audio question.wav

Prints the nodes that the retriever finds, as a model sees them. Needs `wavrag[llamaindex]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from llama_index.core.schema import MetadataMode, QueryBundle

from wavrag import WavRAG
from wavrag.integrations.llamaindex import AudioQueryBundle, WavRAGIndexRetriever


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kb", help="folder of the knowledge base")
    parser.add_argument("text", nargs="?", default="", help="the question as text")
    parser.add_argument("--audio", type=Path, help="the question as a recording")
    options = parser.parse_args(argv)
    question = AudioQueryBundle(options.audio) if options.audio else QueryBundle(options.text)
    with WavRAG.open(options.kb, create=False) as rag:
        for result in WavRAGIndexRetriever(rag, k=3).retrieve(question):
            print(f"{result.get_score():.2f}")
            print(result.node.get_content(MetadataMode.LLM), end="\n\n")


if __name__ == "__main__":
    main()
