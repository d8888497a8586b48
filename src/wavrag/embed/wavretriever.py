"""WavRetriever-mini: speech becomes a vector here too, if chosen; the default is the cascade.

The architecture of the paper (arXiv 2502.14727, section 3.1) at a small scale: a frozen audio
encoder (the lower layers of Moonshine), a trained projector (its upper layers, with a CTC head for
letters), and a text model. Texts go through all-MiniLM-L6-v2; recognised words go through a copy of
it, fine-tuned on recognition errors. So this is a CTC recogniser without a decoder, followed by a
robust text encoder. Only the sound head, for clips without speech, embeds audio directly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag import config
from wavrag.audio import SAMPLE_RATE, VAD_FRAME, voice_detector
from wavrag.embed import minilm
from wavrag.embed.base import Embedder, EmbedderSpec, EmbedResult, check_inputs, unit_rows
from wavrag.embed.lexicon import Lexicon, RecognisedWord
from wavrag.embed.minilm import MiniLM
from wavrag.embed.runtime import Workers, load_session
from wavrag.types import Clip, EmbedInput, Float32, Role

WAVRETRIEVER_WEIGHTS = Path(__file__).parent / "weights" / "wavretriever-mini"
REVISION = "wavretriever-mini-3"
MAX_SECONDS = 30.0  # longest utterance in the training of the encoder
MIN_SAMPLES = 1_600  # 0.1 s; shorter audio is padded with silence: the encoder needs a few frames
# Without a verdict of voice activity detection, a clip counts as speech if it has some letters and
# if these are probable enough or the detector hears a voice. Letters of noisy and far-field speech
# are as improbable as those of some sounds: alone they missed 26 % of such training clips, both
# together .9 % (docs/training-mini.md, "Speech or sound").
MIN_LETTERS = 3
CERTAIN_LETTERS = 0.62  # mean probability
VOICE = 0.6  # mean probability of a voice over `VOICE_FRAMES`
VOICE_FRAMES = 8  # 0.26 s: shorter peaks occur in barks and in clattering dishes

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
class EncodedClip:
    """Result of one pass over a clip.

    Attributes:
        words: transcript; empty if the clip is not speech.
        sound: unit vector in the space of captions, shape = (384,); None for speech and silence.
    """

    words: str
    sound: Float32 | None = None


SILENCE = EncodedClip("")


class WavRetrieverMini(Embedder):
    """The packaged embedder for speech, other audio and text.

    The vector of an input with text and audio is the mean of both vectors.

    Example:
        >>> from wavrag import audio, load_embedder
        >>> from wavrag.demo import DATA
        >>> from wavrag.types import EmbedInput
        >>> embedder = load_embedder("wavretriever-mini")
        >>> question = EmbedInput(clip=audio.load(DATA / "questions" / "great-fire.opus"))
        >>> embedder.embed([question], "query").shape
        (1, 384)
    """

    def __init__(self, threads: int | None = None, weights: Path = WAVRETRIEVER_WEIGHTS) -> None:
        """Use the weights in a folder: `model.onnx`, `reader.onnx` and `lexicon.txt`.

        Args:
            threads: CPU threads; None for all.
            weights: folder.
        """
        threads = threads or config.threads()
        self._threads = threads
        self._weights = weights
        self._text_embedder = MiniLM(threads)
        self._reader = MiniLM(threads, weights / "reader.onnx")
        self._workers = Workers(threads)

    @property
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities."""
        return WAVRETRIEVER_SPEC

    @cached_property
    def _session(self) -> Any:
        return load_session(self._weights / "model.onnx")

    @cached_property
    def _wide_session(self) -> Any:
        """The same model on all threads, for single clips; its results are bit-identical."""
        if self._threads == 1:
            return self._session
        return load_session(self._weights / "model.onnx", self._threads)

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon.read(self._weights / "lexicon.txt")

    def load(self) -> None:
        """Load the weights now instead of on the first call."""
        self._text_embedder.load()
        self._reader.load()
        _ = self._wide_session, self._lexicon

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts and clips."""
        return self.embed_with_texts(inputs, role).vectors

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        """Embed texts and clips; the text of a clip is its transcript, empty without speech."""
        check_inputs(WAVRETRIEVER_SPEC, inputs)
        # Batches run one clip per thread, a single clip runs on all threads.
        session = self._session if len(inputs) > 1 else self._wide_session
        clips = self._workers.map(
            lambda content: self._encode(content.clip, session) if content.clip else None, inputs
        )
        texts = tuple(
            content.text if clip is None else clip.words
            for content, clip in zip(inputs, clips, strict=True)
        )
        vectors = np.zeros((len(inputs), WAVRETRIEVER_SPEC.dim), np.float32)
        # Silence has neither words nor a sound vector: without text it gets that of the empty text.
        text_rows = [
            row
            for row, content in enumerate(inputs)
            if content.text or clips[row] is None or clips[row] is SILENCE
        ]
        vectors[text_rows] = self._text_embedder.embed_texts(
            [inputs[row].text or "" for row in text_rows]
        )
        # The reader, not the text embedder: it was trained on misspelled transcripts.
        speech_rows = [row for row, clip in enumerate(clips) if clip is not None and clip.words]
        vectors[speech_rows] += self._reader.embed_texts([texts[row] or "" for row in speech_rows])
        for row, clip in enumerate(clips):
            if clip is not None and clip.sound is not None:
                vectors[row] += clip.sound
        return EmbedResult(unit_rows(vectors), texts)

    def _encode(self, clip: Clip, session: Any) -> EncodedClip:
        if not np.any(clip.samples):
            return SILENCE
        samples = clip.samples
        if len(samples) < MIN_SAMPLES:
            samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
        feed = {"samples": np.ascontiguousarray(samples[None], np.float32)}
        letters, sound = session.run(None, feed)
        # If voice activity detection found no speech, the letters are an artefact of noise.
        words = self._lexicon.words(letters) if clip.speech is not False else []
        if not words or not (clip.speech or is_spoken(words, samples)):
            return EncodedClip("", sound)
        return EncodedClip(" ".join(word.text for word in words))


def is_spoken(words: Sequence[RecognisedWord], samples: Float32) -> bool:
    """Return whether letters and voice activity detection show that a clip is speech."""
    if sum(len(word.letters) for word in words) < MIN_LETTERS:
        return False
    return has_certain_letters(words) or has_voice(samples)


def has_certain_letters(words: Sequence[RecognisedWord]) -> bool:
    """Return whether the letters are probable enough to show speech by themselves."""
    count = sum(len(word.letters) for word in words)
    # Weighted by letters: long words say more about the clip than short ones.
    total = sum(word.weight * len(word.letters) for word in words)
    return total >= CERTAIN_LETTERS * count


def has_voice(samples: Float32) -> bool:
    """Return whether voice activity detection hears a voice for `VOICE_FRAMES` or longer."""
    padded = np.pad(samples, (0, -len(samples) % VAD_FRAME)).astype(np.float32)
    recent: deque[float] = deque([0.0] * VOICE_FRAMES, VOICE_FRAMES)
    with voice_detector() as detector:
        for frame in padded.reshape(-1, VAD_FRAME):
            recent.append(detector.probability(frame))
            if sum(recent) >= VOICE * VOICE_FRAMES:
                return True
    return False
