"""Items to vectors: the embedder seam, and the embedders behind it."""

from wavrag.embed.base import Embedder, EmbedderSpec, Views, WordsEmbedder, views_of
from wavrag.embed.fake import FakeEmbedder
from wavrag.embed.registry import load_embedder

__all__ = [
    "Embedder",
    "EmbedderSpec",
    "FakeEmbedder",
    "Views",
    "WordsEmbedder",
    "load_embedder",
    "views_of",
]
