"""Use your own generator: here, one that answers with a list of the passages it was given.

    python examples/custom_generator.py my-kb "Are dogs allowed on the ferry?"

A generator gets messages with numbered sources and yields pieces of text. It cites source 2 by
writing [2]; WavRAG checks the marks and turns them into citations. To test yours, subclass
`wavrag.testing.generator.GeneratorConformance`, as tests/test_examples.py does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from wavrag import Generator, WavRAG
from wavrag.generate import GenerateOptions, GeneratorSpec, Message, find_question, list_sources
from wavrag.text import sentences


class ListGenerator(Generator):
    """Lists the first sentence of every source, with its mark."""

    @property
    def spec(self) -> GeneratorSpec:
        """Identity and capabilities; it cannot be asked to reason."""
        return GeneratorSpec("list", follows_instructions=False)

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[str]:
        """Pieces of the answer; none if no source has words."""
        find_question(messages)  # raises an error if there is no question
        for source in list_sources(messages):
            text = source.hit.passage.text or ""
            for start, end in sentences(text)[:1]:
                yield f"- {text[start:end].rstrip()} [{source.number}]\n"


def main(kb: str, question: str) -> None:
    """Ask with the generator and print the answer as it is written."""
    with WavRAG.open(kb, generator=ListGenerator(), create=False) as rag:
        stream = rag.stream(question)
        for piece in stream:
            print(piece, end="", flush=True)
        for citation in stream.answer.citations:
            print(f"[{citation.number}] {citation.passage.source}  {citation.location}")


if __name__ == "__main__":
    main(*sys.argv[1:])
