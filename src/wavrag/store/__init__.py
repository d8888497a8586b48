"""Keep passages with their vectors, and search them by meaning and by words.

`LanceStore` (`lance.py`) writes them to disk; `MemoryStore` keeps them in memory. Both implement
`Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wavrag.store.base import Store, StoredDocument, StoredPassage
from wavrag.store.checks import is_unicode
from wavrag.store.lexical import query_words
from wavrag.store.memory import MemoryStore, bm25

if TYPE_CHECKING:
    from wavrag.store.lance import LanceStore
    from wavrag.store.lance_repair import StoreRepair, repair_store

__all__ = [
    "LanceStore", "MemoryStore", "Store", "StoreRepair", "StoredDocument", "StoredPassage", "bm25",
    "is_unicode", "query_words", "repair_store",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # Imported on first use: a process with a store in memory never needs LanceDB's modules.
    if name == "LanceStore":
        from wavrag.store.lance import LanceStore

        return LanceStore
    if name in ("StoreRepair", "repair_store"):
        from wavrag.store import lance_repair

        return getattr(lance_repair, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
