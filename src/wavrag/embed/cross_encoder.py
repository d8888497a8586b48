"""Cross-encoders: models that read query and passage together and score their relevance.

Source: Nogueira and Cho, Passage Re-ranking with BERT (arXiv 1901.04085). A passage beyond the
token limit is scored in windows and gets the score of its best window (Dai and Callan, SIGIR 2019).
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from wavrag import config
from wavrag.embed.runtime import Workers, load_session
from wavrag.embed.sentence_network import token_spans
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.types import Float32, as_float32

MAX_TOKENS = 512  # of query, passage and special tokens: the limit of most cross-encoders
# Tokens left free: a window that starts or ends within a word has a few more tokens alone.
MARGIN_TOKENS = 8
BATCH_PAIRS = 16  # pairs per batch; bounds memory


class CrossEncoder(ABC):
    """Scores pairs of query and passage; a subclass runs the model on pairs within its limit."""

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, query: str, passages: Sequence[str]) -> Float32:
        """Return the relevance of each passage, from 0 to 1, float32, shape = (len(passages),).

        The score is the logistic function of the model's output, whatever the activation in the
        published files: some models publish none, others the logistic function.

        Raises:
            EmbedderError: the model cannot be loaded, or has several outputs per pair.
            MissingExtraError: its library is not installed.
        """
        if not passages:
            return np.empty(0, np.float32)
        limit = self._max_tokens() - MARGIN_TOKENS
        windows = self._windows(query, limit // 2)
        longest_query = max(len(self._token_spans(window)) for window in windows)
        pairs: list[tuple[str, str]] = []
        rows: list[int] = []
        for row, passage in enumerate(passages):
            for pair in product(windows, self._windows(passage, limit - longest_query)):
                pairs.append(pair)
                rows.append(row)
        scores = np.full(len(passages), -np.inf, np.float32)
        np.maximum.at(scores, rows, self._logits(pairs))
        return as_float32(1 / (1 + np.exp(-scores.astype(np.float64).clip(-700, 700))))

    def _windows(self, text: str, size: int) -> list[str]:
        """Split a text into windows of at most `size` tokens."""
        spans = self._token_spans(text)
        if len(spans) <= size:
            return [text]
        blocks = (spans[at : at + size] for at in range(0, len(spans), size))
        return [text[block[0][0] : block[-1][1]] for block in blocks]

    @abstractmethod
    def _max_tokens(self) -> int:
        """Return the token limit of query and passage together, without special tokens."""

    @abstractmethod
    def _token_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the character span of each token, without special tokens."""

    @abstractmethod
    def _logits(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        """Run the model; shape = (len(pairs),)."""

    def _check_outputs(self, logits: Float32, count: int) -> Float32:
        if logits.size != count:
            raise EmbedderError(
                f"reranker {self.name} has {logits.size // max(count, 1)} outputs per pair: use a"
                " model with a single relevance score"
            )
        return logits.reshape(count)


class SentenceCrossEncoder(CrossEncoder):
    """A cross-encoder of sentence-transformers, from the hub or a local folder."""

    def __init__(self, location: str, *, device: str | None = None) -> None:
        """Name the model; the weights are loaded on the first call.

        Args:
            location: ORG/NAME on the hub, or a folder.
            device: torch device; None for a GPU if available.

        Raises:
            EmbedderError: the folder does not exist.
        """
        folder = Path(location)
        # Hub names have a single slash; anything else can only be a mistyped folder.
        if not folder.is_dir() and (folder.is_absolute() or len(folder.parts) != 2):
            raise EmbedderError(
                f"reranker folder {location} does not exist: give the folder of a cross-encoder,"
                " or ORG/NAME on the hub"
            )
        self._location = str(folder.resolve()) if folder.is_dir() else location
        super().__init__(f"st:{self._location}")
        self._device = device
        self._lock = threading.Lock()

    @cached_property
    def _network(self) -> Any:
        try:
            from sentence_transformers import CrossEncoder as Network
        except ImportError as error:
            raise MissingExtraError(f"reranker {self.name}", "models") from error
        try:
            network = Network(self._location, device=self._device)
        except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
            raise EmbedderError(f"reranker {self._location} cannot be loaded: {error}") from error
        network.eval()  # no dropout
        return network

    def score(self, query: str, passages: Sequence[str]) -> Float32:
        """Return the relevance of each passage, from 0 to 1, float32, shape = (len(passages),)."""
        with self._lock:  # tokenizers of transformers are not thread-safe
            return super().score(query, passages)

    def _max_tokens(self) -> int:
        limit = min(self._network.max_seq_length or MAX_TOKENS, MAX_TOKENS)
        return limit - int(self._network.tokenizer.num_special_tokens_to_add(pair=True))

    def _token_spans(self, text: str) -> list[tuple[int, int]]:
        return token_spans(self._network.tokenizer, text)

    def _logits(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        from torch import nn

        logits = self._network.predict(
            list(pairs), batch_size=BATCH_PAIRS, activation_fn=nn.Identity(),
            show_progress_bar=False,
        )  # fmt: skip
        return self._check_outputs(as_float32(logits), len(pairs))


class OnnxCrossEncoder(CrossEncoder):
    """A cross-encoder in a local folder, on ONNX Runtime: `model.onnx` and `tokenizer.json`.

    `tokenizer_config.json` states the token limit, if the folder has one.
    """

    def __init__(self, folder: str, threads: int | None = None) -> None:
        """Check the folder; the weights are loaded on the first call.

        Raises:
            EmbedderError: a file is missing in the folder.
        """
        self._folder = Path(folder).resolve()
        files = ("model.onnx", "tokenizer.json")
        missing = [name for name in files if not (self._folder / name).is_file()]
        if missing:
            raise EmbedderError(
                f"reranker folder {folder} lacks {' and '.join(missing)}: export the cross-encoder"
                " to ONNX, with its tokenizer"
            )
        super().__init__(f"onnx:{self._folder}")
        self._workers = Workers(threads or config.threads())

    @cached_property
    def _session(self) -> Any:
        return load_session(self._folder / "model.onnx")

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        # Published tokenizers truncate; here longer texts are split instead.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def _max_tokens(self) -> int:
        limit = MAX_TOKENS
        settings = self._folder / "tokenizer_config.json"
        if settings.is_file():
            # Some tokenizers state 1e30 for no limit.
            limit = int(min(limit, json.loads(settings.read_text()).get("model_max_length", limit)))
        return limit - int(self._tokenizer.num_special_tokens_to_add(is_pair=True))

    def _token_spans(self, text: str) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = self._tokenizer.encode(
            text, add_special_tokens=False
        ).offsets
        return spans

    def _logits(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        # A pair at a time, without padding: the score does not depend on the batch.
        return np.concatenate(self._workers.map(self._run, pairs))

    def _run(self, pair: tuple[str, str]) -> Float32:
        encoding = self._tokenizer.encode(*pair)
        values = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        names = [node.name for node in self._session.get_inputs()]
        feed = {name: np.array([values[name]], np.int64) for name in names if name in values}
        if len(feed) < len(names):
            raise EmbedderError(
                f"reranker {self.name} has the inputs {', '.join(names)}: use a model with"
                f" {', '.join(values)} only"
            )
        return self._check_outputs(as_float32(self._session.run(None, feed)[0]), 1)
