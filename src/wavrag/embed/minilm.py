"""Text embedder: all-MiniLM-L6-v2 on ONNX Runtime, 384 dimensions.

Source: Reimers and Gurevych, Sentence-BERT (arXiv 1908.10084); weights in `weights/minilm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag import config
from wavrag.embed.base import Embedder, EmbedderSpec, check_inputs, unit_rows
from wavrag.embed.runtime import Workers, load_session
from wavrag.types import EmbedInput, Float32, Role

WEIGHTS = Path(__file__).parent / "weights" / "minilm"
REVISION = "minilm-l6-v2-int8-1"
MAX_TOKENS = 256  # including the two special tokens; the published model truncates here
CLS, SEP = 101, 102

SPEC = EmbedderSpec(
    name="minilm", revision=REVISION, dim=384, modalities=frozenset({"text"}), sampling_rate=None,
    max_audio_seconds=None, languages=("en",), licence="Apache-2.0", calibrated=True,
)  # fmt: skip


class MiniLM(Embedder):
    """The packaged text embedder.

    A text beyond 256 tokens is split, and its vector is the mean of the segments, weighted by
    length. No word is dropped.
    """

    def __init__(self, threads: int | None = None, model: Path = WEIGHTS / "model.onnx") -> None:
        """Use the packaged weights, or other weights of the same architecture and vocabulary."""
        self._model = model
        self._workers = Workers(threads or config.threads())

    @property
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities."""
        return SPEC

    @cached_property
    def _session(self) -> Any:
        return load_session(self._model)

    def load(self) -> None:
        """Load the weights now instead of on the first call."""
        _ = self._session, load_tokenizer()

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts; queries and passages are embedded alike."""
        check_inputs(SPEC, inputs)
        return self.embed_texts([item.text or "" for item in inputs])

    def embed_texts(self, texts: Sequence[str]) -> Float32:
        """Embed texts into unit rows, float32, shape = (len(texts), 384)."""
        self.load()
        rows = self._workers.map(self._embed_text, texts)
        return np.stack(rows) if rows else np.empty((0, SPEC.dim), np.float32)

    def token_ids(self, text: str) -> list[int]:
        """Tokenize a text, with the special tokens at both ends."""
        return [CLS, *load_tokenizer().encode(text, add_special_tokens=False).ids, SEP]

    def _embed_text(self, text: str) -> Float32:
        tokens = self.token_ids(text)[1:-1]
        size = MAX_TOKENS - 2
        windows = [tokens[at : at + size] for at in range(0, len(tokens), size)] or [[]]
        rows = np.stack([self._run([CLS, *window, SEP]) for window in windows])
        # An empty text has a window without tokens, which still needs a weight.
        weights = np.array([[max(len(window), 1)] for window in windows], np.float32)
        row: Float32 = unit_rows((rows * weights).sum(0, keepdims=True))[0]
        return row

    def _run(self, ids: list[int]) -> Float32:
        # One text per call, without padding: the vector does not depend on the batch.
        tokens = np.array([ids], np.int64)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        row: Float32 = self._session.run(None, feed)[0][0]
        return row


@cache
def load_tokenizer() -> Any:
    """Load the tokenizer of the packaged text models, once for all of them."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))
    # The published tokenizer pads and truncates; here longer texts are split instead.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
