"""Recogniser: speech recognition models of transformers, such as Parakeet, Moonshine and Whisper.

Encoder-decoder, CTC and transducer models, from the hub or a local folder, decoded greedily.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from wavrag.audio import SAMPLE_RATE
from wavrag.embed.fingerprint import hash_files
from wavrag.embed.recogniser import RecogniserSpec, split_language
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.types import Clip

PREFIX = "transformers:"
MAX_SECONDS = 30.0  # input length of Whisper; passages of recordings are shorter
MIN_SAMPLES = 1_600  # 0.1 s; shorter audio is padded with silence: encoders need a few frames
DECODING = "greedy-1"  # part of the revision; change it whenever `transcribe` changes
# More than speech ever yields: greedy decoding of noise can loop over a phrase.
TOKENS_PER_SECOND, MIN_TOKENS = 6.5, 8


@dataclass(frozen=True, slots=True)
class RecogniserFacts:
    """Published facts about a model."""

    languages: tuple[str, ...]  # ISO 639-1 codes; `mul` for many
    licence: str  # SPDX identifier of the weights
    note: str  # architecture and pitfalls


_WHISPER = "encoder-decoder for 99 languages; detects the language unless `@LANGUAGE` states it"

KNOWN_RECOGNISERS: Mapping[str, RecogniserFacts] = MappingProxyType({
    # https://huggingface.co/nvidia/parakeet-tdt-0.6b-v3: detects the language by itself
    "nvidia/parakeet-tdt-0.6b-v3": RecogniserFacts(
        tuple(
            "bg hr cs da nl en et fi fr de el hu it lv lt mt pl pt ro sk sl es sv ru uk".split()
        ),
        "CC-BY-4.0",
        "FastConformer encoder and transducer (TDT), 0.6 billion parameters; detects the language"
        " by itself, so `@LANGUAGE` only declares it",
    ),
    # https://huggingface.co/UsefulSensors/moonshine-base
    "UsefulSensors/moonshine-base": RecogniserFacts(
        ("en",),
        "MIT",
        "Encoder-decoder on raw samples, 61 million parameters; the packaged model is its smaller"
        " sibling, tiny",
    ),
    # https://huggingface.co/openai/whisper-large-v3-turbo and the like
    "openai/whisper-base": RecogniserFacts(("mul",), "MIT", f"74 million parameters; {_WHISPER}"),
    "openai/whisper-small": RecogniserFacts(
        ("mul",), "MIT", f"0.24 billion parameters; {_WHISPER}"
    ),
    "openai/whisper-large-v3-turbo": RecogniserFacts(
        ("mul",), "MIT", f"0.8 billion parameters; {_WHISPER}"
    ),
})  # fmt: skip


class TransformersRecogniser:
    """Transcribes speech with a model of transformers.

    Clips are transcribed one at a time, so that a transcript does not depend on the batch.
    """

    def __init__(self, model: str) -> None:
        """Find the model; the weights are loaded on the first call.

        Args:
            model: ORG/NAME on the hub, a folder, or `FOLDER#ORG/NAME` for a local copy of a model
                in `KNOWN_RECOGNISERS`; `@LANGUAGE` at the end states the language of the speech.

        Raises:
            EmbedderError: the folder does not exist, or ORG/NAME after `#` is unknown.
        """
        location, self._language = split_language(model)
        location, _, known = location.partition("#")
        folder = Path(location)
        # Hub names have a single slash; anything else can only be a mistyped folder.
        if not folder.is_dir() and (folder.is_absolute() or len(folder.parts) != 2):
            raise EmbedderError(
                f"recogniser folder {location} does not exist: give the folder of a model of"
                " transformers, or ORG/NAME on the hub"
            )
        if known and known not in KNOWN_RECOGNISERS:
            raise EmbedderError(
                f"unknown recogniser {known!r}: choose one of {', '.join(KNOWN_RECOGNISERS)}, or"
                " leave out the # and what follows"
            )
        self._folder = folder.resolve() if folder.is_dir() else None
        self._location = str(self._folder or location)
        self._facts = KNOWN_RECOGNISERS.get(known or location)
        self._name = f"{PREFIX}{self._location}" + (f"#{known}" if known else "")
        self._lock = threading.Lock()

    @cached_property
    def spec(self) -> RecogniserSpec:
        """Name, revision and limits; without published facts, the languages are `mul`."""
        digest = hashlib.sha256(self._location.encode() if self._folder is None else b"")
        if self._folder is not None:
            hash_files(digest, self._folder, (".json", ".safetensors", ".bin", ".txt", ".model"))
        facts, language = self._facts, self._language
        languages = (language,) if language else facts.languages if facts else ("mul",)
        return RecogniserSpec(
            name=self._name + (f"@{language}" if language else ""),
            revision=f"transformers-{DECODING}-{digest.hexdigest()[:16]}{language or ''}",
            sampling_rate=SAMPLE_RATE, max_seconds=MAX_SECONDS, languages=languages,
            licence=facts.licence if facts else "LicenseRef-unknown",
        )  # fmt: skip

    @cached_property
    def _pipeline(self) -> Any:
        try:
            import torch
            from transformers import pipeline
        except ImportError as error:
            raise MissingExtraError(f"recogniser {self._name}", "models") from error
        cuda = torch.cuda.is_available()
        try:
            return pipeline(
                "automatic-speech-recognition", model=self._location,
                device="cuda:0" if cuda else "cpu", dtype=torch.float16 if cuda else torch.float32,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise EmbedderError(
                f"recogniser {self._location} cannot be loaded: {error}; name a speech recognition"
                " model of transformers, or download it to a folder"
            ) from error

    def transcribe(self, clip: Clip) -> str:
        """Return the transcript of a clip at 16 kHz of at most 30 s; empty without speech."""
        if not np.any(clip.samples):
            return ""
        samples = np.pad(clip.samples, (0, max(0, MIN_SAMPLES - len(clip.samples))))
        with self._lock:  # tokenizers of transformers are not thread-safe
            options = self._generate_options(clip.duration)
            result = self._pipeline(
                samples.astype(np.float32), **({"generate_kwargs": options} if options else {})
            )
        return str(result["text"]).strip()

    def _generate_options(self, seconds: float) -> dict[str, Any]:
        """Options of greedy decoding; CTC models and transducers have none."""
        kind = self._pipeline.type
        if not kind.startswith("seq2seq"):
            return {}
        options: dict[str, Any] = {"num_beams": 1, "do_sample": False}
        if kind == "seq2seq":
            return options | {"max_new_tokens": MIN_TOKENS + int(TOKENS_PER_SECOND * seconds)}
        # English-only models of Whisper take neither option.
        if getattr(self._pipeline.model.generation_config, "is_multilingual", False):
            options["task"] = "transcribe"
            if self._language:
                options["language"] = self._language
        return options
