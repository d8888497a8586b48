"""Recogniser: Moonshine tiny (English) on ONNX Runtime transcribes speech.

Source: Jeffries et al., Moonshine (arXiv 2410.15608); weights in `weights/moonshine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE
from wavrag.embed.moonshine_decoder import MOONSHINE_WEIGHTS, MoonshineDecoder, check_weights
from wavrag.embed.recogniser import RecogniserSpec
from wavrag.embed.runtime import load_session
from wavrag.errors import EmbedderError
from wavrag.types import Clip, Float32

WAVRETRIEVER_WEIGHTS = MOONSHINE_WEIGHTS.parent / "wavretriever"
ENCODER_FILE = "encoder.onnx"
# CRC-32 of the encoder of WavRetriever: the graph of this encoder finds the weights, which both
# share, by their offsets in that file.
SHARED_CRC = 0xDE55FC80
MAX_SECONDS = 30.0  # longest utterance in training
MIN_SAMPLES = 1_600  # 0.1 s; shorter audio is padded with silence: the encoder needs a few frames
# More than speech ever yields. Greedy decoding of noise can loop over a phrase; this limit ends it.
TOKENS_PER_SECOND = 6.5
MIN_TOKENS = 8  # limit for very short clips
SPACE = "\u2581"  # SentencePiece marks the beginning of a word with it

SPEC = RecogniserSpec(
    name="moonshine",
    revision="moonshine-tiny-en-0.0.73",
    sampling_rate=SAMPLE_RATE,
    max_seconds=MAX_SECONDS,
    languages=("en",),
    licence="MIT",
)


class Moonshine:
    """Transcribes English speech of at most 30 s at 16 kHz."""

    def __init__(self, folder: Path = MOONSHINE_WEIGHTS) -> None:
        """Use the packaged weights, or those of a folder with the same files."""
        self._folder = folder

    @property
    def spec(self) -> RecogniserSpec:
        """Name, revision and limits."""
        return SPEC

    @cached_property
    def _encoder(self) -> Any:
        check_weights(WAVRETRIEVER_WEIGHTS / ENCODER_FILE, SHARED_CRC)
        return load_session(self._folder / ENCODER_FILE, data_folder=WAVRETRIEVER_WEIGHTS)

    @cached_property
    def _decoder(self) -> MoonshineDecoder:
        return MoonshineDecoder(self._folder)

    @cached_property
    def _vocabulary(self) -> list[bytes]:
        return read_vocabulary(self._folder / "tokenizer.bin")

    def load(self) -> None:
        """Load the weights now instead of on the first call."""
        _ = self._encoder
        self.load_decoder()

    def transcribe(self, clip: Clip) -> str:
        """Return the transcript of a clip; empty without speech.

        Args:
            clip: 16 kHz, at most 30 s, finite samples.
        """
        return self.transcribe_batch([clip])[0]

    def transcribe_batch(self, clips: Sequence[Clip]) -> list[str]:
        """Return the transcripts of several clips, decoded together.

        A transcript does not depend on the other clips. Clips of similar lengths decode fastest.

        Args:
            clips: 16 kHz, at most 30 s each, finite samples.
        """
        transcripts = [""] * len(clips)
        audible = [index for index, clip in enumerate(clips) if np.any(clip.samples)]
        texts = self.decode(
            [self._encode(clips[index])[0] for index in audible],
            [clips[index].duration for index in audible],
        )
        for index, text in zip(audible, texts, strict=True):
            transcripts[index] = text
        return transcripts

    def decode(self, frames: Sequence[Float32], seconds: Sequence[float]) -> list[str]:
        """Return the transcripts of encoder states of several clips, decoded together.

        Args:
            frames: states of each clip, shape = (n_frames, 288).
            seconds: durations of the clips, which bound the lengths of the transcripts.
        """
        if not frames:
            return []
        limits = [max(MIN_TOKENS, int(duration * TOKENS_PER_SECOND)) for duration in seconds]
        tokens = self._decoder.decode([states[None] for states in frames], limits)
        texts = (b"".join(self._vocabulary[token] for token in row) for row in tokens)
        return [text.decode("utf-8", "replace").replace(SPACE, " ").strip() for text in texts]

    def load_decoder(self) -> None:
        """Load the decoder without the encoder."""
        _ = self._decoder, self._vocabulary

    def frames(self, clip: Clip) -> Float32:
        """Return the encoder states, 41.6 per second, float32, shape = (n_frames, 288).

        Args:
            clip: 16 kHz, at most 30 s, finite samples.
        """
        frames: Float32 = self._encode(clip)[0]
        return frames

    def _encode(self, clip: Clip) -> Float32:
        """Return the encoder states, shape = (1, n_frames, 288)."""
        samples = clip.samples
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        wave = np.ascontiguousarray(samples[None], np.float32)
        frames: Float32 = self._encoder.run(None, {"samples": wave})[0]
        return frames


def read_vocabulary(path: Path) -> list[bytes]:
    """Read `tokenizer.bin`, a sequence of length-prefixed byte strings.

    A length below 128 takes one byte. Otherwise the first byte has the low 7 bits and its top bit
    set, and the second byte has the high bits.

    Raises:
        EmbedderError: the file cannot be read, or ends inside a token.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EmbedderError(f"cannot read {path}: {error.strerror or error}") from error
    tokens, at = [], 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            length = length - 128 + 128 * data[at]
            at += 1
        tokens.append(data[at : at + length])
        at += length
    if at != len(data):
        raise EmbedderError(f"{path} is damaged: reinstall wavrag")
    return tokens
