"""Spelling correction of typed questions with the vocabulary of a store."""

from __future__ import annotations

from wavrag.search import WordIndex
from wavrag.store import Store
from wavrag.types import Correction, Vocabulary


class SpellingCorrector:
    """Corrects questions, with an index of the store's words that follows its changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._vocabulary: Vocabulary | None = None
        self._index: WordIndex | None = None

    def correct(self, text: str) -> list[Correction]:
        """Find alternatives for the words of a question that occur in no passage."""
        vocabulary = self._store.vocabulary()
        if self._index is None or vocabulary is not self._vocabulary:
            self._vocabulary, self._index = vocabulary, WordIndex(vocabulary)
        return self._index.correct(text, self._is_indexed)

    def _is_indexed(self, word: str) -> bool:
        # The full-text index stems words, so only a search tells whether it knows one.
        return bool(self._store.search(None, word, 1)["lexical"])
