"""The part of a knowledge base that a reader with some access labels may see."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from wavrag.arguments import check_ids
from wavrag.errors import InputError
from wavrag.kb.knowledge_base import KnowledgeBase
from wavrag.kb.report import AddReport
from wavrag.kb.retrieval import Retriever
from wavrag.store import VisibleStore, check_labels


class KnowledgeBaseView(KnowledgeBase):
    """A knowledge base that behaves as if it held only the documents with some access labels.

    It shares models and caches of sounds with the whole one; everything about documents is read
    through a `VisibleStore`, so that a method that forgets about labels sees no hidden document.
    Voice prints belong to the whole knowledge base: here they cannot be listed, kept or deleted.

    Example:
        >>> report = kb.add([Document("pay", text="Pay rises.", metadata={"access": "hr"})])
        >>> KnowledgeBaseView(kb, []).search("when does pay rise")
        []
        >>> KnowledgeBaseView(kb, ["hr"]).search("when does pay rise")[0].passage.document_id
        'pay'
    """

    def __init__(self, kb: KnowledgeBase, labels: Collection[str]) -> None:
        """Restrict a knowledge base, which stays open.

        Args:
            kb: the whole knowledge base.
            labels: labels of the reader.

        Raises:
            InputError: one of the labels is not valid.
        """
        vars(self).update(vars(kb))
        self.labels = check_labels(labels)
        self._store = VisibleStore(kb._store, self.labels)
        # With indexes of the visible words.
        self._retriever = Retriever(kb.embedder, self._store, kb.fusion, kb.reranker)

    def add_urls(self, urls: Iterable[str], **options: Any) -> AddReport:
        """Refuse: downloads of hidden documents are kept by URL, too.

        Raises:
            InputError: always.
        """
        raise InputError("URLs are added to the whole knowledge base: use `wavrag add-url`")

    def remove(self, document_ids: Sequence[str]) -> int:
        """Remove documents; see `KnowledgeBase.remove`. Hidden ones are unknown."""
        visible = [id for id in check_ids(document_ids) if self.head(id) is not None]
        return super().remove(visible)

    def name_speaker(
        self, document_id: str, speaker: str, name: str, *, remember: bool = False
    ) -> int:
        """Rename a speaker; see `KnowledgeBase.name_speaker`.

        Raises:
            InputError: the voice print is to be kept.
        """
        if remember:
            raise InputError(
                "voice prints are kept by readers of the whole knowledge base only: leave out"
                " remember"
            )
        return super().name_speaker(document_id, speaker, name)

    def known_voices(self) -> list[str]:
        """Return no names."""
        return []

    def forget_speaker(self, name: str) -> bool:
        """Delete nothing."""
        return False

    def close(self) -> None:
        """Do nothing: the whole knowledge base stays open."""
