"""Fakes for tests, deterministic and without weights: they compare words and spectra."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from wavrag.audio import SAMPLE_RATE
from wavrag.embed.base import Embedder, EmbedderSpec, check_inputs, unit_rows
from wavrag.types import Clip, EmbedInput, Float32, Role, as_float32

SPEC = EmbedderSpec(
    name="fake", revision="1", dim=64, modalities=frozenset({"text", "audio"}),
    sampling_rate=SAMPLE_RATE, max_audio_seconds=30.0, languages=("en",), licence="Apache-2.0",
)  # fmt: skip


class FakeEmbedder(Embedder):
    """Texts with common words have similar vectors, and so do clips with similar spectra.

    Example:
        >>> from wavrag.types import EmbedInput
        >>> FakeEmbedder().embed([EmbedInput(text="church bells")], "query").shape
        (1, 64)
    """

    @property
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities."""
        return SPEC

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Hash the words of texts, and measure the band energies of clips."""
        check_inputs(SPEC, inputs)
        rows = np.zeros((len(inputs), SPEC.dim), np.float32)
        rows[:, 0] = 1e-3  # so that no row is the zero vector, which has no direction
        for index, content in enumerate(inputs):
            for word in split_words(content.text or ""):
                # The hashing trick: each word adds to one dimension, with a sign of its own.
                digest = hashlib.sha256(word.encode()).digest()
                rows[index, digest[0] % SPEC.dim] += 1.0 if digest[1] % 2 else -1.0
            if content.clip is not None:
                rows[index] += band_energies(content.clip, SPEC.dim)
        return unit_rows(rows)


class FakeReranker:
    """Scores a passage by the share of the words of the query in it."""

    name = "fake"

    def score(self, query: str, passages: Sequence[str]) -> Float32:
        """Return scores from 0 to 1, float32, shape = (len(passages),)."""
        words = set(split_words(query))
        counts = [len(words & set(split_words(passage))) for passage in passages]
        return as_float32(np.divide(counts, max(len(words), 1)))


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"\w+", text.lower())


def band_energies(clip: Clip, bands: int) -> Float32:
    """Return the share of the power in equal frequency bands, float32, shape = (bands,)."""
    power = np.abs(np.fft.rfft(clip.samples, n=max(len(clip.samples), 2 * bands))) ** 2
    energies = np.array([band.sum() for band in np.array_split(power, bands)], np.float32)
    shares: Float32 = energies / max(float(energies.sum()), 1e-12)
    return shares
