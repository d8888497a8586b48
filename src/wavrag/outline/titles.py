"""Titles of chapters: the most characteristic phrase of each."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from wavrag.answer import EmbedTexts
from wavrag.generate import content_words
from wavrag.text import FUNCTION_WORDS, count_words, sentences
from wavrag.types import Float32

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_LINKS = ("of", "the", "and", "for", "in")  # between content words: "Bank of the River"
MAX_WORDS = 5
CANDIDATES = 10  # phrases of a chapter that are compared with its vector
# Words that say little by themselves; they open no title.
_WEAK = frozenset(
    "also even just like many more most much new now often other others really said say same"
    " several still thing things think time use used very way well year years one two three four"
    " five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand"
    " million".split()
)

Phrase = tuple[str, ...]


def find_titles(texts: Sequence[str], centroids: Float32, embed: EmbedTexts) -> list[str]:
    """Return a title for each chapter.

    A phrase scores by the frequency of its words in the chapter times their rarity in the others
    (tf-idf), and by its cosine with the chapter.

    Args:
        texts: texts of the chapters.
        centroids: mean vectors of their sentences, shape = (n_chapters, dim).
        embed: embeds texts.
    """
    counts = [Counter(content_words(text)) for text in texts]
    chapter_counts = Counter(stem for chapter in counts for stem in chapter)
    titles: list[str] = []
    for text, chapter, centroid in zip(texts, counts, centroids, strict=True):
        weights = {
            stem: math.sqrt(count) * math.log(1 + len(texts) / chapter_counts[stem])
            for stem, count in chapter.items()
        }
        phrases = _rank_phrases(text, weights)
        phrases = [pair for pair in phrases if _capitalise(pair[0]) not in titles][:CANDIDATES]
        if not phrases:
            titles.append("")
            continue
        rows = embed([phrase for phrase, _ in phrases])
        cosines = rows @ centroid / max(float(np.linalg.norm(centroid)), 1e-9)
        best = max(score for _, score in phrases)
        totals = [
            score / best + float(cosine)
            for (_, score), cosine in zip(phrases, cosines, strict=True)
        ]
        titles.append(_join_phrases([phrases[i][0] for i in np.argsort(totals)[::-1]]))
    return titles


def _join_phrases(phrases: Sequence[str]) -> str:
    """The best phrase; a single word is joined by the next phrase with other words."""
    first = phrases[0]
    if count_words(first) == 1:
        stems = set(content_words(first))
        second = (phrase for phrase in phrases[1:] if not stems & set(content_words(phrase)))
        first = " and ".join([first, *islice(second, 1)])
    return _capitalise(first)


def _rank_phrases(text: str, weights: dict[str, float]) -> list[tuple[str, float]]:
    """Phrases of a text with their scores, best first."""
    forms: dict[Phrase, Counter[str]] = {}
    for words in _phrases(text):
        stems = tuple(stem for word in words for stem in content_words(word))
        forms.setdefault(stems, Counter())[" ".join(words)] += 1
    names = {stems: _spell(spellings) for stems, spellings in forms.items()}
    # A longer phrase has to recur, or to be a name: other sequences of words are accidental.
    candidates = {
        stems: spellings.total()
        for stems, spellings in forms.items()
        if len(names[stems].split()) <= 2 or spellings.total() > 1 or _is_name(names[stems])
    }
    within: Counter[Phrase] = Counter()  # occurrences of a phrase within a longer one
    for stems, count in candidates.items():
        for size in range(1, len(stems)):
            for at in range(len(stems) - size + 1):
                inner = stems[at : at + size]
                within[inner] = max(within[inner], count)
    ranking = []
    for stems, count in candidates.items():
        if count > 1 and within[stems] > count / 2:
            continue  # "Market" is mostly "Grainger Market"
        values = [weights.get(stem, 0.0) for stem in stems]
        score = sum(values) / math.sqrt(len(values)) * (1 + math.log(count))
        ranking.append((names[stems], score * (1.3 if _is_name(names[stems]) else 1.0)))
    return sorted(ranking, key=lambda pair: (-pair[1], pair[0]))


def _spell(spellings: Counter[str]) -> str:
    """The most frequent spelling of a phrase."""
    return max(spellings.items(), key=lambda item: (item[1], item[0]))[0]


def _is_name(phrase: str) -> bool:
    return all(word[0].isupper() for word in phrase.split() if word not in _LINKS)


def _phrases(text: str) -> Iterator[Phrase]:
    """Sequences of words of a sentence that begin and end with a content word."""
    for start, end in sentences(text):
        for clause in re.split(r"[^\w\s'\u2019-]+", text[start:end]):
            words = _WORD.findall(clause)
            for first, word in enumerate(words):
                if not _can_open(word):
                    continue
                for last in range(first, min(first + MAX_WORDS, len(words))):
                    lower = words[last].casefold()
                    if lower not in FUNCTION_WORDS:
                        yield tuple(words[first : last + 1])
                    elif lower not in _LINKS:
                        break


def _can_open(word: str) -> bool:
    lower = word.casefold()
    is_weak = lower in FUNCTION_WORDS or lower in _WEAK
    return len(word) > 2 and not lower[0].isdigit() and not is_weak


def _capitalise(phrase: str) -> str:
    return phrase[:1].upper() + phrase[1:]
