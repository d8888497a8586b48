"""The facade: `WavRAG` adds documents, searches, and answers."""

from wavrag.rag.calls import AsyncAnswerStream
from wavrag.rag.rag import Question, WavRAG, as_query

__all__ = ["AsyncAnswerStream", "Question", "WavRAG", "as_query"]
