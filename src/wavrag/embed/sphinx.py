"""Recogniser: PocketSphinx with its packaged US English model, a weak baseline.

Hidden Markov models and a trigram language model, the state of the art before neural networks.
Source: Huggins-Daines et al., PocketSphinx, ICASSP 2006.
"""

from __future__ import annotations

import threading
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE
from wavrag.embed.recogniser import RecogniserSpec
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.types import Clip

MAX_SECONDS = 30.0  # the search lattice grows with the clip, and memory with it
DECODING = "batch-cmn-2"  # part of the revision; change it whenever `transcribe` changes


class PocketSphinx:
    """Transcribes US English. Each thread has its own decoder, since decoders are stateful.

    Cepstral means and noise are those of the clip alone, not of earlier ones, so that equal clips
    yield equal transcripts.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    @cached_property
    def spec(self) -> RecogniserSpec:
        """Name, revision and limits."""
        try:
            release = version("pocketsphinx")
        except PackageNotFoundError as error:
            raise MissingExtraError("recogniser pocketsphinx", "evaluate") from error
        return RecogniserSpec(
            name="pocketsphinx", revision=f"pocketsphinx-{release}-en-us-{DECODING}",
            sampling_rate=SAMPLE_RATE, max_seconds=MAX_SECONDS, languages=("en",),
            licence="BSD-2-Clause",
        )  # fmt: skip

    def _decoder(self) -> Any:
        if (decoder := getattr(self._local, "decoder", None)) is None:
            try:
                from pocketsphinx import Decoder
            except ImportError as error:
                raise MissingExtraError("recogniser pocketsphinx", "evaluate") from error
            try:
                decoder = Decoder(samprate=float(SAMPLE_RATE), cmn="batch", loglevel="FATAL")
            except RuntimeError as error:
                raise EmbedderError(f"pocketsphinx cannot load its model: {error}") from error
            self._local.decoder = decoder
        return decoder

    def transcribe(self, clip: Clip) -> str:
        """Return the transcript of a clip at 16 kHz of at most 30 s; empty without speech."""
        if not np.any(clip.samples):
            return ""
        decoder = self._decoder()
        samples = (np.clip(clip.samples, -1, 1) * 32_767).astype("<i2").tobytes()
        decoder.reinit_feat()  # drops the statistics of noise of earlier clips
        decoder.start_utt()
        # `full_utt`: normalisation needs the complete clip.
        decoder.process_raw(samples, full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return str(hypothesis.hypstr).strip() if hypothesis is not None else ""
