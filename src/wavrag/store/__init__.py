"""Keep passages with their vectors, and search them by meaning and by words.

`LanceStore` (`lance.py`) writes them to disk, `PostgresStore` (`postgres.py`) to a PostgreSQL
server, and `MemoryStore` keeps them in memory. All implement `Store`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wavrag.store.access import (
    ACCESS,
    MAX_LABELS,
    PUBLIC,
    VisibleStore,
    check_labels,
    labels_of,
    parse_labels,
    with_labels,
    without_labels,
)  # fmt: skip
from wavrag.store.base import Store, StoredDocument, StoredPassage
from wavrag.store.blobs import Blob, Blobs, FolderBlobs
from wavrag.store.checks import is_unicode
from wavrag.store.folder_records import RECORDS_LOCK, FolderRecords
from wavrag.store.folder_tables import CORRECTIONS_FILE, WORDS_FILE
from wavrag.store.lexical import query_words
from wavrag.store.memory import MemoryStore, bm25
from wavrag.store.objects import OBJECT_SCHEMES
from wavrag.store.records import Records

if TYPE_CHECKING:
    from wavrag.store.lance import LanceStore
    from wavrag.store.lance_repair import StoreRepair, repair_store
    from wavrag.store.object_blobs import ObjectBlobs
    from wavrag.store.object_records import ObjectRecords
    from wavrag.store.objects import open_objects
    from wavrag.store.postgres import PostgresStore
    from wavrag.store.postgres_pool import PostgresPool
    from wavrag.store.postgres_records import PostgresRecords

__all__ = [
    "ACCESS", "CORRECTIONS_FILE", "MAX_LABELS", "OBJECT_SCHEMES", "PUBLIC", "RECORDS_LOCK",
    "WORDS_FILE", "Blob", "Blobs", "FolderBlobs", "FolderRecords", "LanceStore", "MemoryStore",
    "ObjectBlobs", "ObjectRecords", "PostgresPool", "PostgresRecords", "PostgresStore", "Records",
    "Store", "StoreRepair", "StoredDocument", "StoredPassage", "VisibleStore", "bm25",
    "check_labels", "is_unicode", "labels_of", "open_objects", "parse_labels", "query_words",
    "repair_store", "with_labels", "without_labels",
]  # fmt: skip


# Imported on first use: a process with a store in memory never needs LanceDB's modules.
_LAZY = {
    "LanceStore": "lance", "StoreRepair": "lance_repair", "repair_store": "lance_repair",
    "ObjectBlobs": "object_blobs", "ObjectRecords": "object_records", "open_objects": "objects",
    "PostgresPool": "postgres_pool", "PostgresRecords": "postgres_records",
    "PostgresStore": "postgres",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"wavrag.store.{module}"), name)
