"""The facade: `WavRAG` adds documents, searches, and answers."""

from wavrag.rag.question import Question, as_query
from wavrag.rag.rag import WavRAG

__all__ = ["Question", "WavRAG", "as_query"]
