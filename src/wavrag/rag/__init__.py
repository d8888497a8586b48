"""The facade: `WavRAG` adds documents, searches, and answers."""

from wavrag.rag.rag import Question, WavRAG, as_query

__all__ = ["Question", "WavRAG", "as_query"]
