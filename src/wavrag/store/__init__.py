"""Stores keep passages with their vectors and find them again: by meaning and by words.

`LanceStore` keeps them on disk, `MemoryStore` in memory; both keep the promises of `Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wavrag.store.base import Store, StoredDocument, StoredPassage
from wavrag.store.memory import MemoryStore

if TYPE_CHECKING:
    from wavrag.store.lance import LanceOptions, LanceStore

from wavrag.store.lexical import query_words
from wavrag.store.memory import bm25

__all__ = [
    "LanceOptions",
    "LanceStore",
    "MemoryStore",
    "Store",
    "StoredDocument",
    "StoredPassage",
    "bm25",
    "query_words",
]


def __getattr__(name: str) -> Any:
    if name in {"LanceOptions", "LanceStore"}:
        from wavrag.store import lance

        return getattr(lance, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
