"""Recogniser: Whisper on CTranslate2 (faster-whisper), greedy decoding, int8.

Source: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision
(arXiv 2212.04356). Loads local folders in the CTranslate2 format and downloads nothing.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag import config
from wavrag.audio import SAMPLE_RATE
from wavrag.embed.fingerprint import hash_files
from wavrag.embed.language import LanguageScore
from wavrag.embed.recogniser import RecogniserSpec, split_language
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.types import Clip

MAX_SECONDS = 30.0  # fixed input length of the encoder
COMPUTE = "int8"
DECODING = "greedy-1"  # part of the revision; change it whenever `transcribe` changes
FILES = ("config.json", "model.bin", "tokenizer.json")


class Whisper:
    """Transcribes English or another language with a Whisper model of any size.

    Decodes greedily without temperature fallback, so that equal clips yield equal transcripts.
    """

    def __init__(self, model: str | Path, threads: int | None = None) -> None:
        """Check the model folder; the weights are loaded on the first call.

        Args:
            model: the folder, or `FOLDER@LANGUAGE` (default: `en`); `mul` detects the language of
                each clip.
            threads: threads of a call (default: one per CPU).

        Raises:
            EmbedderError: a file is missing in the folder.
        """
        folder, language = split_language(str(model))
        self._folder, self._language = Path(folder).resolve(), language or "en"
        self._threads = threads or config.threads()
        missing = [name for name in FILES if not (self._folder / name).is_file()]
        if missing:
            raise EmbedderError(
                f"whisper:{folder} lacks {' and '.join(missing)}: use a model folder in the"
                " CTranslate2 format"
            )

    @cached_property
    def spec(self) -> RecogniserSpec:
        """Name, revision and limits."""
        digest = hashlib.sha256()
        hash_files(digest, self._folder, (".json", ".bin", ".txt"))
        suffix = "" if self._language == "en" else f"@{self._language}"
        return RecogniserSpec(
            name=f"whisper:{self._folder}{suffix}",
            revision=f"whisper-{COMPUTE}-{DECODING}-{digest.hexdigest()[:16]}{suffix}",
            sampling_rate=SAMPLE_RATE, max_seconds=MAX_SECONDS, languages=(self._language,),
            licence="MIT",
        )  # fmt: skip

    @cached_property
    def _model(self) -> Any:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingExtraError(f"recogniser {self.spec.name}", "whisper") from error
        try:
            return WhisperModel(
                str(self._folder), device="cpu", compute_type=COMPUTE, cpu_threads=self._threads,
                local_files_only=True,  # a mistyped folder must not start a download
            )  # fmt: skip
        except (OSError, RuntimeError, ValueError) as error:
            message = f"the Whisper model in {self._folder} cannot be loaded: {error}"
            raise EmbedderError(message) from error

    def transcribe(self, clip: Clip) -> str:
        """Return the transcript of a clip at 16 kHz of at most 30 s; empty without speech."""
        # Whisper hallucinates on digital silence.
        if not np.any(clip.samples):
            return ""
        segments, _ = self._model.transcribe(
            np.ascontiguousarray(clip.samples, np.float32),
            language=None if self._language == "mul" else self._language,
            beam_size=1, temperature=0.0,
            without_timestamps=True,  # timestamp tokens cost decoding steps
            condition_on_previous_text=False,  # otherwise errors propagate
        )  # fmt: skip
        return " ".join(words for segment in segments if (words := segment.text.strip()))

    def score_language(self, clip: Clip, transcript: str) -> LanguageScore | None:
        """Compare the probability of the language with that of all others; costs an encoder pass.

        None if the language is detected per clip.
        """
        if self._language == "mul":
            return None
        samples = np.ascontiguousarray(clip.samples, np.float32)
        *_, probabilities = self._model.detect_language(samples)
        probability = dict(probabilities).get(self._language, 0.0)
        return LanguageScore(probability - 0.5, sum(map(str.isalpha, transcript)))
