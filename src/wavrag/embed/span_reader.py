"""Span reader: the few words of a passage that answer a question.

The model reads question and passage together (Devlin et al., BERT, arXiv 1810.04805, section 4.3).
It shares embeddings and lower layers with the packaged text embedder; `tools/train_reader.py`
trains the upper ones and the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.embed.minilm import CLS, SEP, WEIGHTS, load_tokenizer
from wavrag.embed.runtime import load_session
from wavrag.types import Float32

READER_WEIGHTS = Path(__file__).parent / "weights" / "reader"
MAX_TOKENS = 256  # of question, title and passage together
OVERLAP = 48  # tokens that two windows of a longer passage share
MAX_QUESTION, MAX_TITLE = 64, 24  # tokens
MAX_ANSWER = 20  # tokens


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """A possible short answer: its characters, and its log odds against no answer at all."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class SpanScores:
    """Scores of the tokens of a passage as ends of the answer.

    Attributes:
        offsets: characters of each token, shape = (n_tokens, 2).
        starts: log odds of each token as the first one of the answer, shape = (n_tokens,).
        ends: log odds of each token as the last one, shape = (n_tokens,).
    """

    offsets: np.ndarray
    starts: Float32
    ends: Float32

    def best_span(self, start: int, end: int) -> AnswerSpan | None:
        """Return the best span within characters of the passage; None without a word there."""
        tokens = np.flatnonzero((self.offsets[:, 0] >= start) & (self.offsets[:, 1] <= end))
        if not len(tokens):
            return None
        sums = self.starts[tokens][:, None] + self.ends[tokens][None]
        is_span = np.triu(np.ones_like(sums, bool)) & ~np.triu(np.ones_like(sums, bool), MAX_ANSWER)
        sums = np.where(is_span, sums, -np.inf)
        first, last = np.unravel_index(int(sums.argmax()), sums.shape)
        if not np.isfinite(sums[first, last]):
            return None
        return AnswerSpan(
            int(self.offsets[tokens[first], 0]),
            int(self.offsets[tokens[last], 1]),
            float(sums[first, last]),
        )


class SpanReader:
    """The packaged reader, for English. It is loaded on first use.

    Example:
        >>> text = "The ferry leaves from the old pier. A ticket to Skomer costs 16 pounds."
        >>> scores = SpanReader().read("How much is a ticket?", text)
        >>> span = scores.best_span(0, len(text))
        >>> text[span.start : span.end]
        '16 pounds'
    """

    def __init__(self, model: Path = READER_WEIGHTS / "model.onnx") -> None:
        """Use the packaged weights, or others of the same architecture."""
        self._model = model

    def read(self, question: str, text: str, title: str = "") -> SpanScores:
        """Score the tokens of a passage.

        A passage longer than the input of the model is read in overlapping windows.

        Args:
            question: the question.
            text: the passage.
            title: title of its document, if it has one.
        """
        head = [CLS, *_encode(question).ids[:MAX_QUESTION], SEP]
        if title_ids := _encode(title).ids[:MAX_TITLE]:
            head += [*title_ids, SEP]
        passage = _encode(text)
        ids: Sequence[int] = passage.ids
        scores = np.full((2, len(ids)), -np.inf, np.float32)
        size = MAX_TOKENS - len(head) - 1
        for at in range(0, max(len(ids) - OVERLAP, 1), size - OVERLAP):
            window = ids[at : at + size]
            logits = self._run([*head, *window, SEP])
            # Against the first token, which the model is trained to choose without an answer.
            odds = logits[:, len(head) : len(head) + len(window)] - logits[:, :1]
            scores[:, at : at + size] = np.maximum(scores[:, at : at + size], odds)
        for at, (start, end) in enumerate(passage.offsets):  # an answer has whole words
            if text[start - 1 : start + 1].isalnum() and start:
                scores[0, at] = -np.inf
            if text[end - 1 : end + 1].isalnum() and end < len(text):
                scores[1, at] = -np.inf
        offsets = np.array(passage.offsets, np.int64).reshape(-1, 2)
        return SpanScores(offsets, scores[0], scores[1])

    def _run(self, ids: Sequence[int]) -> Float32:
        tokens = np.array([ids], np.int64)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        logits: Float32 = _load(self._model).run(None, feed)[0][0].T
        return logits


def _encode(text: str) -> Any:
    return load_tokenizer().encode(text, add_special_tokens=False)


@cache
def _load(model: Path) -> Any:
    # The graph takes the layers that it shares out of the file of the text embedder.
    return load_session(model, data_folder=WEIGHTS)
