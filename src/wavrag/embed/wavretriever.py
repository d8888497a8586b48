"""WavRetriever-mini: speech, sound and text to one space, in one pass and on a CPU.

The paper's shape (arXiv 2502.14727, section 3.1) at a small scale: a frozen audio encoder
(Moonshine's lower layers), a trained projector (its upper layers, towards letters), a text model
(all-MiniLM-L6-v2, and for what was heard a copy of it that learned to read misheard words). Every
frame is read at once: nothing is generated word by word. A clip without speech takes its vector
from the sound head instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag import config
from wavrag.audio import SAMPLE_RATE
from wavrag.embed import minilm
from wavrag.embed.base import Embedder, EmbedderSpec, EmbedResult, check_inputs, unit_rows
from wavrag.embed.lexicon import Lexicon
from wavrag.embed.minilm import MiniLM
from wavrag.embed.runtime import Workers, load_session
from wavrag.types import Clip, EmbedInput, Float32, Role

WAVRETRIEVER_WEIGHTS = Path(__file__).parent / "weights" / "wavretriever-mini"
REVISION = "wavretriever-mini-2"
MAX_SECONDS = 30.0  # longest utterance the encoder was trained on
MIN_SAMPLES = 1_600  # 0.1 s; shorter sound is padded with silence, the encoder needs some frames
FEWEST_LETTERS = 3  # fewer do not make a clip speech
SPEECH_WEIGHT = 0.62  # mean probability of the letters below which a clip counts as sound

WAVRETRIEVER_SPEC = replace(
    minilm.SPEC,
    name="wavretriever-mini",
    revision=f"{REVISION}+{minilm.REVISION}",
    modalities=frozenset({"text", "audio"}),
    sampling_rate=SAMPLE_RATE,
    max_audio_seconds=MAX_SECONDS,
    licence="MIT AND Apache-2.0",
    transcribes=True,
    quotable_transcripts=False,
)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What one pass over a clip gives.

    Attributes:
        words: those heard; empty if it is not speech.
        sound: unit vector among captions, shape = (384,); None for speech and for silence.
    """

    words: str
    sound: Float32 | None = None


SILENT = Heard("")


class WavRetrieverMini(Embedder):
    """The embedder that hears, as the package ships it.

    An item of text and sound is embedded as the mean of the two vectors.
    """

    def __init__(self, threads: int | None = None, weights: Path = WAVRETRIEVER_WEIGHTS) -> None:
        """Use the weights in a folder: `model.onnx`, `reader.onnx` and `lexicon.txt`."""
        threads = threads or config.threads()
        self._threads = threads
        self._weights = weights
        self._text_embedder = MiniLM(threads)
        self._reader = MiniLM(threads, weights / "reader.onnx")
        self._workers = Workers(threads)

    @property
    def spec(self) -> EmbedderSpec:
        """What it is and can do."""
        return WAVRETRIEVER_SPEC

    @cached_property
    def _session(self) -> Any:
        return load_session(self._weights / "model.onnx")

    @cached_property
    def _wide_session(self) -> Any:
        """The same on all threads, for a clip that comes alone; its results are the same bits."""
        if self._threads == 1:
            return self._session
        return load_session(self._weights / "model.onnx", self._threads)

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon.read(self._weights / "lexicon.txt")

    def load(self) -> None:
        """Read the weights now rather than at the first item."""
        self._text_embedder.load()
        self._reader.load()
        _ = self._wide_session, self._lexicon

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts and clips."""
        return self.embed_with_texts(inputs, role).vectors

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        """Embed texts and clips; a clip's words are those heard, empty if it is not speech."""
        check_inputs(WAVRETRIEVER_SPEC, inputs)
        session = self._session if len(inputs) > 1 else self._wide_session
        heard = self._workers.map(
            lambda item: self._hear(item.clip, session) if item.clip else None, inputs
        )
        words = tuple(
            item.text if sound is None else sound.words
            for item, sound in zip(inputs, heard, strict=True)
        )
        vectors = np.zeros((len(inputs), WAVRETRIEVER_SPEC.dim), np.float32)
        # A silent clip without text stands for the empty text.
        written = [
            row
            for row, item in enumerate(inputs)
            if item.text or heard[row] is None or heard[row] is SILENT
        ]
        vectors[written] = self._text_embedder.embed_texts([inputs[r].text or "" for r in written])
        spoken = [row for row, sound in enumerate(heard) if sound is not None and sound.words]
        vectors[spoken] += self._reader.embed_texts([words[row] or "" for row in spoken])
        for row, sound in enumerate(heard):
            if sound is not None and sound.sound is not None:
                vectors[row] += sound.sound
        return EmbedResult(unit_rows(vectors), words)

    def hear(self, clip: Clip) -> Heard:
        """Words or sound vector of a clip of at most 30 s at 16 kHz."""
        return self._hear(clip, self._wide_session)

    def _hear(self, clip: Clip, session: Any) -> Heard:
        if not np.any(clip.samples):
            return SILENT
        samples = clip.samples
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        feed = {"samples": np.ascontiguousarray(samples[None], np.float32)}
        letters, sound = session.run(None, feed)
        words = self._lexicon.words(letters) if clip.speech is not False else []
        count = sum(len(word.letters) for word in words)
        weight = sum(word.weight * len(word.letters) for word in words) / max(count, 1)
        doubtful = count < FEWEST_LETTERS or weight < SPEECH_WEIGHT
        if not words or (clip.speech is None and doubtful):
            return Heard("", sound)
        return Heard(" ".join(word.text for word in words))
