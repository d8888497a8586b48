"""Vectors of recordings and texts, stored with the steps of a run."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.base import Context
from experiments.search import PAPER
from wavrag import audio
from wavrag.embed import Embedder, load_embedder
from wavrag.types import Clip, EmbedInput, Float32, Role

BATCH = 16  # inputs per call of the embedder


def add_paper(context: Context, names: Sequence[str]) -> tuple[str, ...]:
    """Return names of embedders, with the paper's retriever if its folder is known."""
    return (*names, PAPER) if PAPER in context.models else tuple(names)


class Vectors:
    """Vectors of one embedder in a run.

    Args:
        context: context of the run; every list of inputs is a step.
        name: name of the embedder, or of a folder of `context.models`.
    """

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name

    def recordings(self, key: str, paths: Sequence[Path], role: Role = "passage") -> Float32:
        """Embed whole recordings as unit vectors, shape = (len(paths), dim)."""
        return self.items(key, [partial(_recording, path) for path in paths], role)[0]

    def texts(self, key: str, texts: Sequence[str], role: Role = "passage") -> Float32:
        """Embed texts as unit vectors, shape = (len(texts), dim)."""
        return self.items(key, [partial(EmbedInput, text) for text in texts], role)[0]

    def items(
        self, key: str, makers: Sequence[Callable[[], EmbedInput]], role: Role
    ) -> tuple[Float32, list[str]]:
        """Embed inputs, built batch by batch, as unit vectors; also return their words."""
        step = f"{self.name.replace(':', '+')}-{key}"
        about = {"items": len(makers), "revision": self._embedder.spec.revision}
        stored = self._context.step(step, lambda: self._embed(key, makers, role), about)
        return decode(stored["vectors"]), stored["words"]

    @cached_property
    def _embedder(self) -> Embedder:
        folder = self._context.models.get(self.name)
        return load_embedder(f"st:{folder}" if folder else self.name)

    def _embed(
        self, key: str, makers: Sequence[Callable[[], EmbedInput]], role: Role
    ) -> dict[str, Any]:
        vectors, words = [], []
        for start in range(0, len(makers), BATCH):
            self._context.on_progress(f"{self.name}: {key}", start, len(makers))
            items = [make() for make in makers[start : start + BATCH]]
            views = self._embedder.embed_with_texts(items, role)
            vectors.append(views.vectors)
            words += [text or "" for text in views.texts]
        return {"vectors": encode(np.concatenate(vectors)), "words": words}


def load_with_speech(path: Path) -> Clip:
    """Load a whole recording at 16 kHz, and set `speech` by voice activity detection."""
    clip = audio.load(path)
    windows = audio.windows([clip.samples], clip.sample_rate)
    speech = any(window.speech for window in windows)
    return Clip(clip.samples, clip.sample_rate, clip.source, speech=speech)


def _recording(path: Path) -> EmbedInput:
    return EmbedInput(clip=load_with_speech(path))


def encode(vectors: Float32) -> dict[str, Any]:
    """Convert a matrix to JSON values without loss."""
    data = base64.b64encode(np.ascontiguousarray(vectors, "<f4").tobytes()).decode()
    return {"shape": list(vectors.shape), "float32": data}


def decode(stored: dict[str, Any]) -> Float32:
    """Convert the JSON values of `encode` back to a matrix."""
    data = np.frombuffer(base64.b64decode(stored["float32"]), "<f4")
    return data.reshape(stored["shape"]).astype(np.float32)
