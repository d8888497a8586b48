"""Access labels of documents that are added: those given, or those they had before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wavrag.errors import InputError
from wavrag.kb.passages import file_digest_of, path_key
from wavrag.store import ACCESS, StoredDocument, labels_of, parse_labels, with_labels
from wavrag.types import Document


class StoredLabels:
    """Labels of stored documents, for documents that are added without any.

    Otherwise a file with labels would become public when its folder is indexed again.

    Args:
        documents: the stored documents.
    """

    def __init__(self, documents: Iterable[StoredDocument]) -> None:
        documents = list(documents)
        self._by_path: dict[str, frozenset[str]] = {}
        self._by_content: dict[str, frozenset[str]] = {}
        if not any(ACCESS in document.metadata for document in documents):
            return
        for document in documents:
            labels = labels_of(document.metadata)
            for path in (document.id, *document.paths):
                self._by_path[path_key(path)] = labels
            if labels and (digest := file_digest_of(document.content_hash)):
                self._by_content[digest] = labels

    def apply(self, document: Document) -> Document:
        """Return a document with the labels of its metadata, or those of its path.

        Raises:
            InputError: the metadata has something else under `access`.
        """
        value = document.metadata.get(ACCESS)
        if value is None:
            labels = self._by_path.get(path_key(document.path or document.id), frozenset())
        elif isinstance(value, str):
            labels = parse_labels(value)
        else:
            raise InputError(f"access is {value!r}: give labels such as 'hr,legal', or 'public'")
        return replace(document, metadata=with_labels(document.metadata, labels))

    def apply_content(self, document: Document, digest: str) -> Document:
        """Return a document with the labels of stored content, which was moved or copied.

        Args:
            document: a document after `apply`.
            digest: digest of its file; empty without one.
        """
        labels = self._by_content.get(digest)
        if labels is None or path_key(document.path or document.id) in self._by_path:
            return document
        return replace(document, metadata=with_labels(document.metadata, labels))
