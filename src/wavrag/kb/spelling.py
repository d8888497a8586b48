"""Correction of questions, typed and spoken, with the vocabulary of a knowledge base."""

from __future__ import annotations

from functools import cache

from wavrag.embed import LEXICON_FILE, WAVRETRIEVER_WEIGHTS, SpeechCorrector, read_common_words
from wavrag.search import WordIndex
from wavrag.store import Store
from wavrag.types import Correction, Vocabulary

# Words as frequent as these are rarely misspellings, also where a small knowledge base lacks them:
# "world" does not mean its "would".
FREQUENT_WORDS = 5_000


class VocabularyIndexes:
    """Indexes of the words of a store that follow its changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._vocabulary: Vocabulary | None = None
        self._words: WordIndex | None = None
        self._speech: SpeechCorrector | None = None

    def correct_spelling(self, text: str) -> list[Correction]:
        """Find alternatives for the words of a typed question that occur in no passage."""
        vocabulary = self._refresh()
        if self._words is None:
            self._words = WordIndex(vocabulary)
        return self._words.correct(text, self._is_known)

    def speech_corrector(self) -> SpeechCorrector:
        """Return the corrector of transcripts of spoken questions."""
        vocabulary = self._refresh()
        if self._speech is None:
            self._speech = SpeechCorrector(vocabulary)
        return self._speech

    def _refresh(self) -> Vocabulary:
        vocabulary = self._store.vocabulary()
        if vocabulary is not self._vocabulary:
            self._vocabulary, self._words, self._speech = vocabulary, None, None
        return vocabulary

    def _is_known(self, word: str) -> bool:
        if word.lower() in _frequent_words():
            return True
        # The full-text index stems words, so only a search tells whether it knows one.
        return bool(self._store.search(None, word, 1)["lexical"])


@cache
def _frequent_words() -> frozenset[str]:
    return read_common_words(WAVRETRIEVER_WEIGHTS / LEXICON_FILE, FREQUENT_WORDS)
