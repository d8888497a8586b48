"""Search a knowledge base in a pipeline of Haystack.

    python examples/haystack_pipeline.py my-kb "Where is the spare key?"
    python examples/haystack_pipeline.py my-kb --audio question.wav --after 10

Prints the prompt that the pipeline builds from the passages, ready for a generator of Haystack;
`--after` leaves out what is said before that second of a recording. Needs `wavrag[haystack]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from haystack import Pipeline
from haystack.components.builders import PromptBuilder

from wavrag import WavRAG
from wavrag.integrations.haystack import WavRAGDocumentStore, WavRAGHybridRetriever

PROMPT = """Answer from these passages:
{% for document in documents %}
{{ document.meta.title }}, {{ document.meta.location }}: {{ document.content }}
{% endfor %}"""


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kb", help="folder of the knowledge base")
    parser.add_argument("text", nargs="?", help="the question as text")
    parser.add_argument("--audio", type=Path, help="the question as a recording")
    parser.add_argument("--after", type=float, metavar="SECONDS", help="only from this second on")
    options = parser.parse_args(argv)
    filters = None
    if options.after is not None:
        filters = {"field": "start", "operator": ">=", "value": options.after}
    with WavRAG.open(options.kb, create=False) as rag:
        pipeline = Pipeline()
        retriever = WavRAGHybridRetriever(WavRAGDocumentStore(rag), filters, top_k=3)
        pipeline.add_component("retriever", retriever)
        pipeline.add_component("prompt", PromptBuilder(PROMPT, required_variables="*"))
        pipeline.connect("retriever.documents", "prompt.documents")
        result = pipeline.run({"retriever": {"query": options.text, "audio": options.audio}})
        print(result["prompt"]["prompt"])


if __name__ == "__main__":
    main()
