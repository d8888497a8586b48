"""The embedder seam: items in, one unit vector each out.

Knows what every embedder promises; knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from wavrag.errors import EmbedderError
from wavrag.types import EmbedInput, Float32, Modality, Role


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """What an embedder is and can do. A knowledge base records name, revision and dimensions.

    Attributes:
        name: as `load_embedder` takes it.
        revision: changes whenever the vectors change.
        dim: length of a vector.
        modalities: what an item may hold.
        sampling_rate: Hz that clips must have; None for an embedder that does not hear.
        max_audio_seconds: longest clip; longer ones are refused, never cut.
        languages: ISO 639-1 codes that it was trained on.
        licence: SPDX identifier of the weights.
        gives_words: whether `views` also gives words for a clip.
        quotable: whether those words are good enough to be read and quoted; others serve search.
    """

    name: str
    revision: str
    dim: int
    modalities: frozenset[Modality]
    sampling_rate: int | None
    max_audio_seconds: float | None
    languages: tuple[str, ...]
    licence: str
    gives_words: bool = False
    quotable: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """What one pass over items gives.

    Attributes:
        vectors: unit rows, shape = (n_items, dim).
        words: for each item the words for the lexical leg; None where there are none.
    """

    vectors: Float32
    words: tuple[str | None, ...]


@runtime_checkable
class Embedder(Protocol):
    """Turns text and sound into unit vectors of one space."""

    @property
    def spec(self) -> EmbedderSpec:
        """What it is and can do."""
        ...

    def embed(self, items: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed items.

        Args:
            items: at least the modalities of `spec`, clips at its sampling rate.
            role: `query` or `passage`.

        Returns:
            Unit rows, float32, shape = (len(items), spec.dim).

        Raises:
            EmbedderError: an item is empty, of another modality or rate, or too long.
        """
        ...


class WordsEmbedder(Embedder, Protocol):
    """An embedder whose `spec.gives_words` is true: the same pass yields words for a clip."""

    def views(self, items: Sequence[EmbedInput], role: Role) -> Views:
        """Embed items and give their words: a text item's own, a clip's as recognised."""
        ...


def views_of(embedder: Embedder, items: Sequence[EmbedInput], role: Role) -> Views:
    """Vectors and words of items, from any embedder, in as few passes as it allows."""
    if embedder.spec.gives_words:
        views: Views = embedder.views(items, role)  # type: ignore[attr-defined]
        return views
    words = tuple(item.text if item.clip is None else None for item in items)
    return Views(embedder.embed(items, role), words)


def check_items(spec: EmbedderSpec, items: Sequence[EmbedInput]) -> None:
    """Refuse what the spec does not allow, naming the item and the remedy.

    Raises:
        EmbedderError: the first item that cannot be embedded as it is.
    """
    for index, item in enumerate(items):
        clip = item.clip
        if clip is None:
            if item.text is None:
                raise EmbedderError(f"item {index} is empty: give it text or a clip")
            if "text" not in spec.modalities:
                raise EmbedderError(f"item {index} is text, and {spec.name} embeds sound only")
            continue
        where = f"item {index} ({clip.source})" if clip.source else f"item {index}"
        if "audio" not in spec.modalities:
            raise EmbedderError(
                f"{where} is sound, and {spec.name} embeds text only: use an embedder that hears"
            )
        if clip.sample_rate != spec.sampling_rate:
            raise EmbedderError(
                f"{where} has {clip.sample_rate} Hz, and {spec.name} hears {spec.sampling_rate} Hz:"
                " resample it with wavrag.audio.resample"
            )
        if not len(clip.samples):
            raise EmbedderError(f"{where} has 0 samples: give it sound")
        if not np.isfinite(clip.samples).all():
            raise EmbedderError(f"{where} has samples that are not finite (NaN or infinity)")
        if spec.max_audio_seconds is not None and clip.duration > spec.max_audio_seconds + 1e-6:
            raise EmbedderError(
                f"{where} lasts {clip.duration:.1f} s, and {spec.name} hears at most"
                f" {spec.max_audio_seconds:g} s: cut it with wavrag.audio.windows"
            )


def unit_rows(vectors: Float32) -> Float32:
    """Rows scaled to length 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
