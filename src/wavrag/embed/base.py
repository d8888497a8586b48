"""The embedder interface: text and speech in, one unit vector per input out.

Defines the contract of all embedders and the input checks they share. Contains no model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavrag.embed.hearing import SpeechCorrector
from wavrag.embed.language import LanguageScore
from wavrag.errors import EmbedderError
from wavrag.types import Correction, EmbedInput, Float32, Modality, Role

# Seconds. A clip of exactly the maximum length may exceed it by a rounding error after resampling.
LENGTH_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """Capabilities of an embedder. A knowledge base stores its name, revision and dimensions.

    Attributes:
        name: the name that `load_embedder` accepts.
        revision: changes whenever the vectors change.
        dim: length of a vector.
        modalities: modalities of an input.
        sampling_rate: required sample rate of clips in Hz; None if the embedder takes text only.
        max_audio_seconds: longest clip in seconds; longer clips are rejected, never truncated.
        languages: ISO 639-1 codes of the training languages.
        licence: SPDX identifier of the weights.
        transcribes: True if `embed_with_texts` also returns transcripts of clips.
        quotable_transcripts: True if these transcripts are good enough to be shown and quoted;
            otherwise they only serve the search.
        calibrated: True if cosines are on the scale of all-MiniLM-L6-v2, which the weights of
            score fusion were fitted on.
    """

    name: str
    revision: str
    dim: int
    modalities: frozenset[Modality]
    sampling_rate: int | None
    max_audio_seconds: float | None
    languages: tuple[str, ...]
    licence: str
    transcribes: bool = False
    quotable_transcripts: bool = True
    calibrated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EmbedResult:
    """Vectors and texts from one pass over the inputs.

    Attributes:
        vectors: unit rows, float32, shape = (n_inputs, dim).
        texts: the text of each input for lexical search: the text of a text input, the transcript
            of a clip, or None for a clip without a transcript.
        corrections: for each input, words of its transcript with other readings; empty if no
            vocabulary was given. `vectors` are those of the corrected transcripts.
        languages: evidence on the language of each input, None for inputs without any; empty if the
            embedder never has evidence.
    """

    vectors: Float32
    texts: tuple[str | None, ...]
    corrections: tuple[tuple[Correction, ...], ...] = ()
    languages: tuple[LanguageScore | None, ...] = ()


class Embedder(ABC):
    """Turns text and audio into unit vectors of one space.

    A subclass implements `spec` and `embed`. If the same pass also yields transcripts, it sets
    `spec.transcribes` and overrides `embed_with_texts`.

    Example:
        >>> from wavrag.embed import FakeEmbedder
        >>> from wavrag.types import EmbedInput
        >>> FakeEmbedder().embed([EmbedInput(text="a dog barks")], "query").shape
        (1, 64)
    """

    @property
    @abstractmethod
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities."""

    @abstractmethod
    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed text and audio.

        Args:
            inputs: in the modalities of `spec`, clips at its sample rate.
            role: `query` or `passage`.

        Returns:
            Unit rows, float32, shape = (len(inputs), spec.dim).

        Raises:
            EmbedderError: an input is empty, too long, or has another modality or sample rate.
        """

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        """Embed text and audio, and return the text of each input for lexical search.

        Args:
            inputs: as for `embed`.
            role: `query` or `passage`.

        Raises:
            EmbedderError: as for `embed`.
        """
        texts = tuple(content.text if content.clip is None else None for content in inputs)
        return EmbedResult(self.embed(inputs, role), texts)

    def embed_questions(
        self, inputs: Sequence[EmbedInput], corrector: SpeechCorrector | None
    ) -> EmbedResult:
        """Embed queries, with the vocabulary of a knowledge base for their speech.

        By default the vocabulary is ignored.

        Args:
            inputs: as for `embed`.
            corrector: corrects the transcripts; None for no corrections.

        Raises:
            EmbedderError: as for `embed`.
        """
        return self.embed_with_texts(inputs, "query")

    def load(self) -> None:
        """Load the weights now instead of on the first call. Does nothing by default."""
        return


def check_inputs(spec: EmbedderSpec, inputs: Sequence[EmbedInput]) -> None:
    """Reject inputs outside the capabilities of an embedder.

    Raises:
        EmbedderError: for the first unusable input; the message names it and the remedy.
    """
    for index, content in enumerate(inputs):
        clip = content.clip
        if clip is None:
            if content.text is None:
                raise EmbedderError(f"input {index} is empty: give it text or a clip")
            if "text" not in spec.modalities:
                raise EmbedderError(f"input {index} is text, but {spec.name} embeds audio only")
            continue
        label = f"input {index} ({clip.source})" if clip.source else f"input {index}"
        if "audio" not in spec.modalities:
            raise EmbedderError(
                f"{label} is audio, but {spec.name} embeds text only: use an audio embedder"
            )
        if clip.sample_rate != spec.sampling_rate:
            raise EmbedderError(
                f"{label} has a sample rate of {clip.sample_rate} Hz, but {spec.name} needs"
                f" {spec.sampling_rate} Hz: resample it with wavrag.audio.resample"
            )
        if not len(clip.samples):
            raise EmbedderError(f"{label} has 0 samples: give it a clip with audio")
        # One NaN would spread through the network and poison the whole vector without an error.
        if not np.isfinite(clip.samples).all():
            raise EmbedderError(f"{label} has samples that are not finite (NaN or infinity)")
        longest = spec.max_audio_seconds
        if longest is not None and clip.duration > longest + LENGTH_TOLERANCE:
            raise EmbedderError(
                f"{label} lasts {clip.duration:.1f} s, but {spec.name} takes at most"
                f" {longest:g} s: cut it with wavrag.audio.windows"
            )


def unit_rows(vectors: Float32) -> Float32:
    """Scale rows to length 1; a zero row stays zero.

    Args:
        vectors: shape = (n, dim).
    """
    # The lower bound avoids a division by zero.
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
