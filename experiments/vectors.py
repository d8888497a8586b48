"""Vectors of recordings and texts, computed once and kept with the steps of a run."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.base import Context
from wavrag import audio
from wavrag.embed import Embedder, load_embedder
from wavrag.types import Clip, EmbedInput, Float32, Role

BATCH = 16  # items embedded together


class Vectors:
    """What an embedder makes of recordings and texts in a run.

    Args:
        context: of the run; every list of items is a step.
        name: of the embedder.
    """

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name

    def recordings(self, key: str, paths: Sequence[Path], role: Role = "passage") -> Float32:
        """Unit vectors of whole recordings, shape = (len(paths), dim)."""
        return self.items(key, [partial(_recording, path) for path in paths], role)[0]

    def texts(self, key: str, texts: Sequence[str], role: Role = "passage") -> Float32:
        """Unit vectors of texts, shape = (len(texts), dim)."""
        return self.items(key, [partial(EmbedInput, text) for text in texts], role)[0]

    def items(
        self, key: str, makers: Sequence[Callable[[], EmbedInput]], role: Role
    ) -> tuple[Float32, list[str]]:
        """Unit vectors of items that are made when they are embedded, and their words."""
        step = f"{self.name.replace(':', '+')}-{key}"
        about = {"items": len(makers), "revision": self._embedder.spec.revision}
        kept = self._context.step(step, lambda: self._embed(key, makers, role), about)
        return decode(kept["vectors"]), kept["words"]

    @cached_property
    def _embedder(self) -> Embedder:
        return load_embedder(self.name)

    def _embed(
        self, key: str, makers: Sequence[Callable[[], EmbedInput]], role: Role
    ) -> dict[str, Any]:
        vectors, words = [], []
        for start in range(0, len(makers), BATCH):
            self._context.on_progress(f"{self.name}: {key}", start, len(makers))
            items = [make() for make in makers[start : start + BATCH]]
            views = self._embedder.embed_with_texts(items, role)
            vectors.append(views.vectors)
            words += [each or "" for each in views.texts]
        return {"vectors": encode(np.concatenate(vectors)), "words": words}


def heard(path: Path) -> Clip:
    """A whole recording at 16 kHz, in which the voice detector of the product has listened."""
    clip = audio.load(path)
    parts = audio.windows([clip.samples], clip.sample_rate)
    speech = any(part.speech for part in parts)
    return Clip(clip.samples, clip.sample_rate, clip.source, speech=speech)


def _recording(path: Path) -> EmbedInput:
    return EmbedInput(clip=heard(path))


def encode(vectors: Float32) -> dict[str, Any]:
    """A matrix in the shape of JSON, to the bit."""
    data = base64.b64encode(np.ascontiguousarray(vectors, "<f4").tobytes()).decode()
    return {"shape": list(vectors.shape), "float32": data}


def decode(kept: dict[str, Any]) -> Float32:
    """The matrix that `encode` kept."""
    data = np.frombuffer(base64.b64decode(kept["float32"]), "<f4")
    return data.reshape(kept["shape"]).astype(np.float32)
