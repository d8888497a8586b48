"""Borders and titles of extractive chapters, on joined paragraphs of articles.

    python benchmarks/chapters.py --data DATA_DIR [--part eval]

1. subjects: runs of 2 to 6 paragraphs of different articles are joined to a text; a border is a
   change of the article.
2. paragraphs: 8 to 14 consecutive paragraphs of one article; a border is a change of the paragraph,
   which is much finer than a chapter.

Sentences have the times of speech with 150 words a minute. P_k (Beeferman et al. 1999) is the share
of sentence pairs, half a mean segment apart, for which text and result disagree on whether a border
lies between them; WindowDiff (Pevzner and Hearst 2002) compares the number of borders. Lower is
better. Even cuts have the true number of chapters. A title is right if it has a word of the name of
its article. Settings are chosen with `--part train`, figures are those of `eval`: other articles.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wavrag.data import read_rows
from wavrag.generate import content_words
from wavrag.kb import Segment, Transcript
from wavrag.outline import embed_texts, read_chapters
from wavrag.text import sentences
from wavrag.types import Float32

TEXTS = 60
WORDS_PER_SECOND = 2.5
Article = list[list[str]]  # sentences of its paragraphs


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=("train", "eval"), default="eval")
    parser.add_argument("--texts", type=int, default=TEXTS)
    arguments = parser.parse_args()
    articles = read_articles(arguments.data / "text" / f"squad_dev_{arguments.part}.jsonl")
    vectors: dict[str, Float32] = {}
    for kind, draw in (("subjects", draw_subjects), ("paragraphs", draw_paragraphs)):
        rng = random.Random(0)
        texts = [draw(articles, rng) for _ in range(arguments.texts)]
        measure(kind, texts, vectors)


def read_articles(path: Path) -> dict[str, Article]:
    """Sentences of the paragraphs of each article."""
    articles: dict[str, Article] = {}
    for row in read_rows(path):
        text = row["context"]
        paragraph = [text[start:end] for start, end in sentences(text)]
        articles.setdefault(row["title"], []).append(paragraph)
    return articles


def draw_subjects(
    articles: dict[str, Article], rng: random.Random
) -> tuple[list[list[str]], list[str]]:
    """Segments of 4 to 10 runs of paragraphs, and the names of their articles."""
    segments: list[list[str]] = []
    names: list[str] = []
    for _ in range(rng.randint(4, 10)):
        name = rng.choice([name for name in sorted(articles) if names[-1:] != [name]])
        paragraphs = articles[name]
        size = rng.randint(2, 6)
        first = rng.randrange(max(1, len(paragraphs) - size + 1))
        segments.append([s for p in paragraphs[first : first + size] for s in p])
        names.append(name)
    return segments, names


def draw_paragraphs(
    articles: dict[str, Article], rng: random.Random
) -> tuple[list[list[str]], list[str]]:
    """Consecutive paragraphs of an article, without names."""
    paragraphs = articles[rng.choice(sorted(articles))]
    size = min(rng.randint(8, 14), len(paragraphs))
    first = rng.randrange(len(paragraphs) - size + 1)
    return paragraphs[first : first + size], []


def measure(
    kind: str, texts: Sequence[tuple[list[list[str]], list[str]]], vectors: dict[str, Float32]
) -> None:
    """Print a line for chapters and one for even cuts."""

    def embed(batch: Sequence[str]) -> Float32:
        for text in batch:
            if text not in vectors:
                vectors[text] = embed_texts([text])[0]
        return np.stack([vectors[text] for text in batch])

    rows: dict[str, list[tuple[float, float, float]]] = {"chapters": [], "even cuts": []}
    right = titles = 0
    for segments, names in texts:
        borders = np.cumsum([len(segment) for segment in segments])[:-1].tolist()
        transcript = to_transcript([s for segment in segments for s in segment])
        count = len(transcript.segments)
        contents = read_chapters(transcript, embed)
        result = np.cumsum([len(content.segments) for content in contents])[:-1].tolist()
        even = [round(count * i / len(segments)) for i in range(1, len(segments))]
        for name, cuts in (("chapters", result), ("even cuts", even)):
            ratio = (len(cuts) + 1) / len(segments)
            rows[name].append((p_k(borders, cuts, count), window_diff(borders, cuts, count), ratio))
        for content, start in zip(contents, [0, *result], strict=True):
            middle = start + len(content.segments) // 2
            if names:
                article = names[sum(border <= middle for border in borders)].replace("_", " ")
                right += bool({*content_words(article)} & {*content_words(content.chapter.title)})
                titles += 1
    for name, values in rows.items():
        pk, difference, ratio = np.mean(values, axis=0)
        print(f"{kind:10} {name:9} P_k {pk:.3f}  WindowDiff {difference:.3f}  chapters {ratio:.2f}"
              " x the true number")  # fmt: skip
    if titles:
        print(f"{kind:10} titles    {right / titles:.3f} name the article ({titles} chapters)")


def to_transcript(texts: Sequence[str]) -> Transcript:
    """A transcript with the times of even speech."""
    ends = np.cumsum([len(text.split()) / WORDS_PER_SECOND for text in texts]).tolist()
    segments = [
        Segment(text, start, end)
        for text, start, end in zip(texts, [0.0, *ends], ends, strict=False)
    ]
    return Transcript("joined", "Joined paragraphs", tuple(segments))


def p_k(reference: Sequence[int], result: Sequence[int], count: int) -> float:
    """Share of pairs of sentences on which the borders disagree."""
    distance, first, second = _labels(reference, result, count)
    same = first[:-distance] == first[distance:]
    return float(np.mean(same != (second[:-distance] == second[distance:])))


def window_diff(reference: Sequence[int], result: Sequence[int], count: int) -> float:
    """Share of pairs of sentences with another number of borders between them."""
    distance, first, second = _labels(reference, result, count)
    borders = first[distance:] - first[:-distance]
    return float(np.mean(borders != second[distance:] - second[:-distance]))


def _labels(
    reference: Sequence[int], result: Sequence[int], count: int
) -> tuple[int, np.ndarray, np.ndarray]:
    """Half the mean length of a segment, and the number of the segment of each sentence."""
    distance = max(round(count / (2 * (len(reference) + 1))), 1)
    sentence = np.arange(count)
    first, second = (np.searchsorted(list(cuts), sentence, "right") for cuts in (reference, result))
    return distance, first, second


if __name__ == "__main__":
    main()
