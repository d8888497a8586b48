"""A knowledge base that answers: `WavRAG`."""

from wavrag.rag.question import Question, as_query
from wavrag.rag.rag import WavRAG

__all__ = ["Question", "WavRAG", "as_query"]
