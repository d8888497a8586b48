"""Ablation: mean-pooled states of Moonshine's encoder, without contrastive training.

The encoder was trained to recognise speech, not to compare recordings, and takes no text: it only
finds audio by audio.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavrag import config
from wavrag.audio import SAMPLE_RATE
from wavrag.embed import moonshine
from wavrag.embed.base import Embedder, EmbedderSpec, check_inputs, unit_rows
from wavrag.embed.moonshine import Moonshine
from wavrag.embed.runtime import Workers
from wavrag.errors import EmbedderError
from wavrag.types import EmbedInput, Float32, Role

SPEC = EmbedderSpec(
    name="raw:moonshine", revision=f"{moonshine.SPEC.revision}-mean-1", dim=288,
    modalities=frozenset({"audio"}), sampling_rate=SAMPLE_RATE,
    max_audio_seconds=moonshine.MAX_SECONDS, languages=("en",),
    licence=moonshine.SPEC.licence,
)  # fmt: skip


class RawMoonshine(Embedder):
    """The published encoder of Moonshine tiny, with states averaged over time.

    Titles of recordings are not embedded; text in a query is rejected.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._encoder = Moonshine()
        self._workers = Workers(threads or config.threads())

    @property
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities."""
        return SPEC

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed clips.

        Raises:
            EmbedderError: an input is text, or a query has text beside its clip.
        """
        check_inputs(SPEC, inputs)
        for index, content in enumerate(inputs):
            if role == "query" and content.text and content.text.strip():
                raise EmbedderError(
                    f"input {index} has text beside its clip, but {SPEC.name} embeds audio only:"
                    " ask with the recording alone"
                )
        rows = self._workers.map(self._mean, inputs)
        return unit_rows(np.stack(rows)) if rows else np.empty((0, SPEC.dim), np.float32)

    def _mean(self, content: EmbedInput) -> Float32:
        assert content.clip is not None  # by `check_inputs`
        mean: Float32 = self._encoder.frames(content.clip).mean(0)
        return mean
