"""Example questions from the headings and names of a knowledge base."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from wavrag.answer import CANDIDATES, estimate_answerability
from wavrag.kb import KnowledgeBase
from wavrag.rag import WavRAG
from wavrag.store import StoredDocument
from wavrag.types import Passage, Query

MAX_QUESTIONS = 4
MAX_DOCUMENTS = 16  # that are read, spread over the knowledge base
MAX_PASSAGES = 500  # of these documents: all of their passages are read
MAX_TRIES = 12  # searches, about 50 ms each
MAX_TITLE_CHARS = 45  # longer titles make questions that nobody reads

# Two or more capitalised words within a sentence: single ones are often months, days or nouns.
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w’'-]+(?: (?:of |the |von |van |de )?[A-Z][\w’'-]+)+")
_ITEM_NUMBER = re.compile(r"^[\d.ivxIVX]+[.)]\s+")


class Suggester:
    """Suggests questions, and remembers them until the knowledge base changes."""

    def __init__(self, rag: WavRAG) -> None:
        self._rag = rag
        self._contents: frozenset[str] = frozenset()  # hashes of the documents
        self._questions: list[str] = []

    def suggest(self) -> list[str]:
        """Suggest questions that the knowledge base can answer, at most one per document."""
        documents = self._rag.kb.documents()
        contents = frozenset(document.content_hash for document in documents)
        if contents != self._contents:
            self._questions, self._contents = suggest_questions(self._rag, documents), contents
        return self._questions


def suggest_questions(rag: WavRAG, documents: Sequence[StoredDocument]) -> list[str]:
    """Suggest questions that a knowledge base can answer.

    Questions are made from headings of texts and from names in recordings. The estimate of the
    answerer decides which of them are kept, so no generator runs.
    """
    questions: list[str] = []
    for number, question in enumerate(_propose_questions(rag.kb, documents)):
        if len(questions) == MAX_QUESTIONS or number == MAX_TRIES:
            break
        if _is_answerable(rag, question):
            questions.append(question)
    return questions


def _is_answerable(rag: WavRAG, question: str) -> bool:
    if rag.kb.fusion == "ranks":  # without an estimate
        return True
    hits = rag.kb.retrieve(Query(text=question, spelling=False), CANDIDATES).hits
    probability = estimate_answerability(question, hits, calibrated=rag.kb.embedder.spec.calibrated)
    return probability >= rag.options.min_probability


def _propose_questions(kb: KnowledgeBase, documents: Sequence[StoredDocument]) -> Iterator[str]:
    """Propose questions, about texts and recordings in turn."""
    streams = []
    for modality in ("text", "audio"):
        rows = [
            document
            for document in documents
            if document.modality == modality and document.passages <= MAX_PASSAGES
        ]
        count = MAX_DOCUMENTS // 2
        streams.append(_ask_about(kb, rows[:: max(1, len(rows) // count)][:count]))
    for questions in zip_longest(*streams):
        yield from filter(None, questions)


def _ask_about(kb: KnowledgeBase, documents: Sequence[StoredDocument]) -> Iterator[str]:
    for number, document in enumerate(documents):
        question = _question_about(document, kb.passages(document.id), number)
        if question is not None:
            yield question


def _question_about(
    document: StoredDocument, passages: Sequence[Passage], number: int
) -> str | None:
    title = document.title.partition(":")[0]
    headings = list(dict.fromkeys(p.section for p in passages if p.section))
    if document.modality == "text" and headings and len(title) <= MAX_TITLE_CHARS:
        # Another heading of every document, or all questions would be about introductions.
        heading = headings[number % len(headings)].rpartition(" > ")[2]
        heading = _ITEM_NUMBER.sub("", heading)
        return f"What does “{title.strip()}” say about {_lower_first(heading, passages)}?"
    names = [name for passage in passages for name in _NAME.findall(passage.text or "")]
    return f"What is said about {max(names, key=names.count)}?" if names else None


def _lower_first(heading: str, passages: Sequence[Passage]) -> str:
    """A heading within a sentence: in lower case unless the text has its first word as a name."""
    first = heading.partition(" ")[0]
    text = " ".join(passage.text or "" for passage in passages)
    is_name = first[1:] != first[1:].lower() or re.search(rf"[a-z,;] {re.escape(first)}\b", text)
    return heading if is_name else heading[0].lower() + heading[1:]
