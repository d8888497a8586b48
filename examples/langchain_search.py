"""Search a knowledge base from LangChain, and give the tool to a model.

    python examples/langchain_search.py my-kb "Where is the spare key?"
    python examples/langchain_search.py my-kb --audio question.wav

Prints the sources that the retriever finds, and then the prompt of a chain: questions and passages
with their times, ready for any chat model. Needs `wavrag[langchain]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from langchain_core.prompts import ChatPromptTemplate

from wavrag import WavRAG
from wavrag.integrations.langchain import WavRAGRetriever, WavRAGTool

PROMPT = ChatPromptTemplate.from_template(
    "Answer from these passages and cite them by number.\n\n{passages}\n\nQuestion: {question}"
)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kb", help="folder of the knowledge base")
    parser.add_argument("text", nargs="?", default="", help="the question as text")
    parser.add_argument("--audio", type=Path, help="the question as a recording")
    options = parser.parse_args(argv)
    with WavRAG.open(options.kb, create=False) as rag:
        retriever = WavRAGRetriever(rag=rag, k=3)
        for document in retriever.invoke(options.audio or options.text):
            metadata = document.metadata
            print(f"{metadata['title']}  {metadata['location']}  {metadata['score']:.2f}")
        tool = WavRAGTool(rag=rag, k=3)  # for an agent: model.bind_tools([tool])
        passages = tool.invoke({"query": options.text or "spare key"})
        chain = PROMPT  # | model | StrOutputParser()
        print(chain.invoke({"passages": passages, "question": options.text}).to_string())


if __name__ == "__main__":
    main()
