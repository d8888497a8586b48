"""The mean of an untrained encoder's states, as an ablation: what contrastive training starts from.

The encoder was trained to recognise speech and never to compare recordings, and it knows no text:
it can only find sound by sound.
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
    name="raw:moonshine",
    revision=f"{moonshine.SPEC.revision}-mean-1",
    dim=moonshine.HEADS * moonshine.HEAD_SIZE,
    modalities=frozenset({"audio"}),
    sampling_rate=SAMPLE_RATE,
    max_audio_seconds=moonshine.MAX_SECONDS,
    languages=("en",),
    licence=moonshine.SPEC.licence,
)


class RawMoonshine(Embedder):
    """Moonshine tiny's encoder as published, its states averaged over time.

    A recording's title is not embedded; words in a query are refused.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._encoder = Moonshine()
        self._workers = Workers(threads or config.threads())

    @property
    def spec(self) -> EmbedderSpec:
        """What it is and can do."""
        return SPEC

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed clips.

        Raises:
            EmbedderError: an item is text, or a query has words beside its clip.
        """
        check_inputs(SPEC, inputs)
        for index, item in enumerate(inputs):
            if role == "query" and item.text and item.text.strip():
                raise EmbedderError(
                    f"input {index} has words beside its clip, and {SPEC.name} embeds audio only:"
                    " ask with the recording alone"
                )
        rows = self._workers.map(self._mean, inputs)
        return unit_rows(np.stack(rows)) if rows else np.empty((0, SPEC.dim), np.float32)

    def _mean(self, item: EmbedInput) -> Float32:
        assert item.clip is not None  # checked
        mean: Float32 = self._encoder.frames(item.clip).mean(0)
        return mean
