"""A knowledge base that answers: `WavRAG`."""

from wavrag.rag.answering import CANDIDATES, NOTHING_FOUND
from wavrag.rag.options import AnswerOptions
from wavrag.rag.question import Question, as_query
from wavrag.rag.rag import WavRAG
from wavrag.rag.stream import AnswerStream, Found

__all__ = [
    "CANDIDATES",
    "NOTHING_FOUND",
    "AnswerOptions",
    "AnswerStream",
    "Found",
    "Question",
    "WavRAG",
    "as_query",
]
