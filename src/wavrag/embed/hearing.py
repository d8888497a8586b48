"""Correct the transcript of a spoken question with the words of a knowledge base.

A recogniser knows common words; the names and terms of the documents asked about are often others.
The letters of a CTC model tell how well other words fit the frames of a word in the transcript.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wavrag.corrections import look_up_counts
from wavrag.embed.ctc import LETTER_INDEX, align_words, greedy_letters, likelihoods
from wavrag.embed.lexicon import (
    FREQUENCY_WEIGHT,
    LONGEST_WORD,
    MARGIN_FRAMES,
    UNLISTED_FREQUENCY,
    WordList,
)
from wavrag.text import FUNCTION_WORDS
from wavrag.types import Correction, Float32, Int64, Vocabulary, WeightedWord

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_LISTED = re.compile(r"[a-z0-9]{2,}")

# Chosen on 498 spoken questions of the training articles among 7,679 passages, clean and in babble
# (`python benchmarks/vocabulary.py` measures the cost). Twice or half of any of these changes
# recall@1 by at most .01.
MAX_ALTERNATIVES = 4
MIN_WEIGHT = 0.05  # probability of an alternative that is searched for
TEMPERATURE = 3.0  # likelihoods of adjacent frames are not independent, so they are overconfident
MAX_JOINED = 3  # words of the transcript that one word of the base may replace
MIN_JOINED_LETTERS, MAX_JOINED_LETTERS = 6, 20
MIN_LETTERS = 4  # of a word of the transcript that the base contains; shorter ones stay
MIN_UNKNOWN_LETTERS = 3
ENDINGS = ("s", "es", "ed", "d", "ing", "er", "ly", "'s")
MIN_STEM_LETTERS = 3
STEM_FREQUENCY = -11.0  # log frequency of a word that the base has in another inflection


@dataclass(frozen=True, slots=True)
class _TranscriptWord:
    """A word of the transcript."""

    spelling: str  # in the letters of the model
    first: int  # position of the first character in the transcript
    end: int  # position after the last character
    span: tuple[int, int]  # its frames
    letters: str  # greedy decoding of its frames
    known: bool  # True if the base contains it
    log_frequency: float  # in the base


@dataclass(frozen=True, slots=True)
class _Reading:
    """Possible readings of adjacent words of the transcript."""

    first: int  # position of the first token
    end: int  # position after the last token
    gain: float  # score of the best reading over that of the transcript
    words: dict[str, float]  # probability of each reading, best first


class SpeechCorrector:
    """Corrects transcripts with the vocabulary of a knowledge base.

    A word that the base does not contain, or adjacent words with an uncertain one, are compared
    with words of the base by the likelihood of their frames, by frequency, and by the words beside
    them.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Use the words of a vocabulary; only those in the letters of the model count."""
        self._vocabulary = vocabulary

    # Indexed on the first correction: most embedders never ask for one.
    @cached_property
    def _list(self) -> WordList:
        words, counts = self._vocabulary.words, self._vocabulary.counts
        positions = [
            position
            for position, word in enumerate(words)
            if len(word) <= LONGEST_WORD and _LISTED.fullmatch(word)
        ]
        frequencies = counts[positions] / max(counts[positions].sum(), 1)
        log_frequencies = np.log(frequencies).astype(np.float32)
        return WordList([words[position] for position in positions], log_frequencies)

    @cached_property
    def _pairs(self) -> _AdjacencyCounts:
        return _AdjacencyCounts(self._vocabulary, self._list)

    def correct(
        self, transcript: str, log_posteriors: Float32, *, trust: float = 0.0
    ) -> list[Correction]:
        """Find readings of uncertain words that fit the sound and the knowledge base.

        Args:
            transcript: recognised words.
            log_posteriors: natural logarithms of letter probabilities of the clip, shape =
                (n_frames, n_letters + 1), blank first.
            trust: log odds in favour of the words of the transcript that the base contains.

        Returns:
            Corrections in the order of the transcript. Their alternatives may contain the
            words of the transcript, and their weights sum to at most 1.
        """
        tokens = self._tokenize(transcript, log_posteriors)
        readings = [
            reading
            for count in range(1, MAX_JOINED + 1)
            for first in range(len(tokens) - count + 1)
            if (reading := self._read(tokens, first, first + count, log_posteriors, trust))
        ]
        corrections: dict[int, Correction] = {}
        positions: set[int] = set()
        for reading in sorted(readings, key=lambda reading: -reading.gain):
            span = range(reading.first, reading.end)
            if positions.isdisjoint(span):
                positions.update(span)
                text = transcript[tokens[span[0]].first : tokens[span[-1]].end]
                alternatives = tuple(
                    WeightedWord(word, round(weight, 4))
                    for word, weight in reading.words.items()
                    if weight >= MIN_WEIGHT
                )
                corrections[reading.first] = Correction(text, alternatives)
        return [corrections[first] for first in sorted(corrections)]

    def _tokenize(self, transcript: str, log_posteriors: Float32) -> list[_TranscriptWord]:
        matches = [match for match in _WORD.finditer(transcript) if spell_word(match.group())]
        spellings = [spell_word(match.group()) for match in matches]
        spans = align_words(log_posteriors, spellings) if spellings else None
        if spans is None:
            return []
        tokens = []
        for match, spelling, span in zip(matches, spellings, spans, strict=True):
            index = self._list.index.get(spelling)
            known = index is not None or self._is_known(spelling)
            fallback = STEM_FREQUENCY if known else UNLISTED_FREQUENCY
            frequency = fallback if index is None else float(self._list.log_frequencies[index])
            letters = greedy_letters(log_posteriors[slice(*span)])
            tokens.append(_TranscriptWord(spelling, *match.span(), span, letters, known, frequency))
        return tokens

    def _is_known(self, spelling: str) -> bool:
        is_common = spelling in FUNCTION_WORDS or len(spelling) < 2 or not spelling.isalpha()
        return is_common or any(form in self._list.index for form in inflections(spelling))

    def _read(
        self,
        tokens: Sequence[_TranscriptWord],
        first: int,
        end: int,
        log_posteriors: Float32,
        trust: float,
    ) -> _Reading | None:
        """Compare adjacent words of the transcript with words of the base; None if they stay."""
        span = tokens[first:end]
        if not _is_doubtful(span):
            return None
        original = " ".join(token.spelling for token in span)
        start, stop = span[0].span[0], span[-1].span[1]
        letters = greedy_letters(log_posteriors[start:stop])
        spellings = {"".join(token.spelling for token in span), letters} - {""}
        similar = np.unique(np.concatenate([self._list.find_similar(s) for s in spellings]))
        words = [self._list.words[index] for index in similar]
        keep = [
            index
            for index, word in enumerate(words)
            if word != original and (len(span) == 1 or len(word) >= MIN_JOINED_LETTERS)
        ]
        if not keep:
            return None
        similar, candidates = similar[keep], [original, *(words[index] for index in keep)]
        frames = log_posteriors[max(0, start - MARGIN_FRAMES) : stop + MARGIN_FRAMES]
        before = self._list.index.get(tokens[first - 1].spelling) if first else None
        after = self._list.index.get(tokens[end].spelling) if end < len(tokens) else None
        frequencies = self._list.log_frequencies[similar]
        frequencies = frequencies + self._pairs.log_counts(similar, before, after)
        own_frequency = sum(token.log_frequency for token in span)
        index = self._list.index.get(original)
        if index is not None:
            own_frequency += float(self._pairs.log_counts(np.array([index]), before, after)[0])
        frequencies = np.concatenate(([own_frequency], frequencies))
        scores = likelihoods(frames, candidates) + FREQUENCY_WEIGHT * frequencies
        scores[0] += trust * sum(token.known for token in span)
        best = np.argsort(-scores, kind="stable")[:MAX_ALTERNATIVES]
        weights = np.exp((scores[best] - scores[best[0]]) / TEMPERATURE)
        weights /= weights.sum()
        gain = float(scores[best[0]] - scores[0])
        readings = {candidates[at]: float(weight) for at, weight in zip(best, weights, strict=True)}
        # Joined words need a better reading: the doubt in each of them counts by itself.
        if readings.get(original, 0.0) > 1 - MIN_WEIGHT or (len(span) > 1 and gain <= 0):
            return None
        return _Reading(first, end, gain, readings)


class _AdjacencyCounts:
    """Counts of adjacent words, by their positions in a word list."""

    def __init__(self, vocabulary: Vocabulary, word_list: WordList) -> None:
        position = np.array([word_list.index.get(word, -1) for word in vocabulary.words], np.int64)
        pairs = position[vocabulary.pairs] if len(position) else np.zeros((0, 2), np.int64)
        is_known = (pairs >= 0).all(1)
        keys = pairs[is_known, 0] << 32 | pairs[is_known, 1]
        order = np.argsort(keys)
        self._keys, self._counts = keys[order], vocabulary.pair_counts[is_known][order]

    def log_counts(self, words: Int64, before: int | None, after: int | None) -> Float32:
        """Return log(1 + count) of each word after `before`, plus that of each before `after`."""
        total = np.zeros(len(words), np.float32)
        if before is not None:
            total += self._log_count(before << 32 | words)
        if after is not None:
            total += self._log_count(words << 32 | after)
        return total

    def _log_count(self, keys: Int64) -> Float32:
        return np.log1p(look_up_counts(self._keys, self._counts, keys)).astype(np.float32)


def inflections(word: str) -> list[str]:
    """Return possible forms of an English word with another ending, as far as spelling tells.

    A search of the full-text index, which stems words, would cost 5 ms a word.
    """
    stems = {word}
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= MIN_STEM_LETTERS:
            stem = word.removesuffix(ending)
            stems |= {stem, f"{stem}e", f"{stem[:-1]}y"}
            if stem[-1] == stem[-2]:  # "stopped"
                stems.add(stem[:-1])
    forms = [stem + ending for stem in sorted(stems) for ending in ("", *ENDINGS)]
    return [*forms, *(f"{stem[:-1]}{ending}" for stem in stems for ending in ("ies", "ied", "ing"))]


def spell_word(word: str) -> str:
    """Spell a word in the letters of the model, without accents."""
    letters = unicodedata.normalize("NFKD", word.lower()).replace("\u2019", "'")
    return "".join(letter for letter in letters if letter in LETTER_INDEX and letter != " ")


def _is_doubtful(span: Sequence[_TranscriptWord]) -> bool:
    """True if words of the transcript may be misheard and other words are worth a comparison."""
    if len(span) == 1:
        (token,) = span
        if any(letter.isdigit() for letter in token.spelling):
            return False
        if not token.known:
            return len(token.spelling) >= MIN_UNKNOWN_LETTERS
        is_common = len(token.spelling) < MIN_LETTERS or token.spelling in FUNCTION_WORDS
        return not is_common and token.letters != token.spelling
    letters = sum(len(token.spelling) for token in span)
    return (
        MIN_JOINED_LETTERS <= letters <= MAX_JOINED_LETTERS
        and not all(token.known and token.letters == token.spelling for token in span)
        and not all(token.spelling in FUNCTION_WORDS for token in span)
    )
