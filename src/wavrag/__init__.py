"""Ask with your voice, over documents and recordings.

The public names below are imported when they are first used: `import wavrag` loads no model, no
store and no numerical library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavrag.embed import Embedder, load_embedder
    from wavrag.errors import WavRAGError
    from wavrag.generate import Generator, load_generator
    from wavrag.kb import KnowledgeBase
    from wavrag.rag import WavRAG
    from wavrag.types import Answer, Clip, Document, Hit, Query

_HOMES = {
    "Answer": "types",
    "Clip": "types",
    "Document": "types",
    "Embedder": "embed",
    "Generator": "generate",
    "Hit": "types",
    "KnowledgeBase": "kb",
    "Query": "types",
    "WavRAG": "rag",
    "WavRAGError": "errors",
    "load_embedder": "embed",
    "load_generator": "generate",
}

__all__ = [
    "Answer", "Clip", "Document", "Embedder", "Generator", "Hit", "KnowledgeBase", "Query",
    "WavRAG", "WavRAGError", "load_embedder", "load_generator",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Most programs never ask for it, and importlib.metadata is half the time of the import.
        from importlib.metadata import version

        return version("wavrag")
    if name in _HOMES:
        return getattr(import_module(f"wavrag.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'wavrag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
