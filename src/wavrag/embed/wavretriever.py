"""WavRetriever: speech, other audio and text become vectors here, by default.

Two 8-bit networks process a clip. `letters.onnx` yields letters by CTC, to recognise questions with
the vocabulary of the knowledge base (`embed.hearing`). `encoder.onnx` is the encoder of Moonshine
tiny, for the pretrained decoder of words and for a head that embeds sounds without speech. Words
and texts are embedded by all-MiniLM-L6-v2. `wavretriever-fast` decodes words from the letters
alone.
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
from wavrag.audio import SAMPLE_RATE, VAD_FRAME, VoiceDetector
from wavrag.corrections import apply_corrections
from wavrag.embed import minilm, moonshine
from wavrag.embed.base import Embedder, EmbedderSpec, EmbedResult, check_inputs, unit_rows
from wavrag.embed.ctc import WordSpan, word_spans
from wavrag.embed.hearing import SpeechCorrector
from wavrag.embed.language import LanguageScore, english_score, read_common_words
from wavrag.embed.lexicon import Lexicon
from wavrag.embed.minilm import MiniLM
from wavrag.embed.moonshine import ENCODER_FILE, MIN_SAMPLES, WAVRETRIEVER_WEIGHTS, Moonshine
from wavrag.embed.runtime import Workers, load_session, split_clips
from wavrag.types import Clip, Correction, EmbedInput, Float32, Role

LETTERS_FILE, LEXICON_FILE = "letters.onnx", "lexicon.txt"
REVISION = "wavretriever-4"
# Without a verdict of voice activity detection, a clip counts as speech if it has some letters and
# if these are probable enough or the detector hears a voice. Letters of noisy and far-field speech
# are as improbable as those of some sounds: alone they missed 26 % of such training clips, both
# together .9 % (docs/training-mini.md, "Speech or sound").
MIN_LETTERS = 3
CERTAIN_LETTERS = 0.62  # mean probability
VOICE = 0.6  # mean probability of a voice over `VOICE_FRAMES`
VOICE_FRAMES = 8  # 0.26 s: shorter peaks occur in barks and in clattering dishes
# Seconds. The language of a recording is judged by its passages that start in this span: letters of
# all passages would make indexing slower, and recordings without such a passage are too short.
LANGUAGE_SPAN = 20.0, 50.0
# Log odds for the words of the decoder: a language model speaks for them, too. Chosen with the
# constants of `embed.hearing`.
TRUST_IN_DECODER = 4.0

WAVRETRIEVER_SPEC = replace(
    minilm.SPEC,
    name="wavretriever",
    revision=f"{REVISION}+{moonshine.SPEC.revision}+{minilm.REVISION}",
    modalities=frozenset({"text", "audio"}),
    sampling_rate=SAMPLE_RATE,
    max_audio_seconds=moonshine.MAX_SECONDS,
    licence="MIT AND Apache-2.0",
    transcribes=True,
)
FAST_SPEC = replace(
    WAVRETRIEVER_SPEC,
    name="wavretriever-fast",
    revision=f"{REVISION}-fast+{minilm.REVISION}",
    quotable_transcripts=False,
)


@dataclass(slots=True, eq=False)
class _ClipAnalysis:
    """Outputs of the networks for a clip."""

    letters: Float32 | None = None  # log posteriors, shape = (n_frames, 40)
    frames: Float32 | None = None  # states of the encoder, shape = (n_frames, 288)
    sound: Float32 | None = None  # unit vector in the space of captions, shape = (384,)
    transcript: str = ""  # empty if the clip is not speech


class WavRetriever(Embedder):
    """The packaged embedder for speech, other audio and text.

    A clip with speech is embedded as its text and its words, other audio as the mean of the vectors
    of its text and its sound.

    Example:
        >>> from wavrag import audio, load_embedder
        >>> from wavrag.demo import DATA
        >>> from wavrag.types import EmbedInput
        >>> embedder = load_embedder("wavretriever")
        >>> question = EmbedInput(clip=audio.load(DATA / "questions" / "great-fire.opus"))
        >>> embedder.embed([question], "query").shape
        (1, 384)
    """

    def __init__(
        self,
        threads: int | None = None,
        weights: Path = WAVRETRIEVER_WEIGHTS,
        *,
        fast: bool = False,
    ) -> None:
        """Use the weights in a folder: `letters.onnx`, `encoder.onnx` and `lexicon.txt`.

        Args:
            threads: CPU threads; None for all.
            weights: folder.
            fast: read words from the letters alone, without the decoder.
        """
        self._threads = threads or config.threads()
        self._weights = weights
        self._fast = fast
        self._text_embedder = MiniLM(self._threads)
        self._recogniser = Moonshine()
        self._workers = Workers(self._threads)

    @property
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities."""
        return FAST_SPEC if self._fast else WAVRETRIEVER_SPEC

    @cached_property
    def _letters_session(self) -> Any:
        # A question runs both networks at once, or the letters alone. Batches run a clip per
        # thread, so that more threads per network would not help them.
        threads = self._threads if self._fast else max(1, self._threads // 2)
        return load_session(self._weights / LETTERS_FILE, threads, arena=False)

    @cached_property
    def _encoder_session(self) -> Any:
        return load_session(self._weights / ENCODER_FILE, max(1, self._threads // 2), arena=False)

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon.read(self._weights / LEXICON_FILE)

    @cached_property
    def _common_words(self) -> frozenset[str]:
        return read_common_words(self._weights / LEXICON_FILE)

    def load(self) -> None:
        """Load the weights now instead of on the first call."""
        self._text_embedder.load()
        _ = self._letters_session, self._encoder_session, self._lexicon
        if not self._fast:
            self._recogniser.load_decoder()

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts and clips."""
        return self.embed_with_texts(inputs, role).vectors

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        """Embed texts and clips; the text of a clip is its transcript, empty without speech."""
        return self.embed_questions(inputs, None)

    def embed_questions(
        self, inputs: Sequence[EmbedInput], corrector: SpeechCorrector | None
    ) -> EmbedResult:
        """Embed texts and clips, with the vocabulary of a knowledge base for the transcripts."""
        check_inputs(self.spec, inputs)
        clips = [content.clip for content in inputs]
        analyses = self._hear(clips, needs_letters=corrector is not None)
        trust = 0.0 if self._fast else TRUST_IN_DECODER
        corrections = tuple(
            tuple(corrector.correct(analysis.transcript, analysis.letters, trust=trust))
            if corrector and analysis.transcript and analysis.letters is not None
            else ()
            for analysis in analyses
        )
        vectors = self._embed(inputs, analyses, corrections)
        texts = tuple(
            content.text if content.clip is None else analysis.transcript
            for content, analysis in zip(inputs, analyses, strict=True)
        )
        if corrector is not None:
            return EmbedResult(vectors, texts, corrections)
        return EmbedResult(vectors, texts, languages=tuple(map(self._score_language, analyses)))

    def _score_language(self, analysis: _ClipAnalysis) -> LanguageScore | None:
        if not analysis.transcript or analysis.letters is None:
            return None
        return english_score(analysis.letters, self._common_words)

    def _embed(
        self,
        inputs: Sequence[EmbedInput],
        analyses: Sequence[_ClipAnalysis],
        corrections: Sequence[Sequence[Correction]],
    ) -> Float32:
        vectors = np.zeros((len(inputs), self.spec.dim), np.float32)
        texts = [
            "\n".join(
                filter(None, (content.text, apply_corrections(analysis.transcript, replacements)))
            )
            for content, analysis, replacements in zip(inputs, analyses, corrections, strict=True)
        ]
        # Silence has neither words nor a sound vector: without text it gets that of the empty text.
        rows = [
            row for row, analysis in enumerate(analyses) if texts[row] or analysis.sound is None
        ]
        vectors[rows] = self._text_embedder.embed_texts([texts[row] for row in rows])
        for row, analysis in enumerate(analyses):
            if not analysis.transcript and analysis.sound is not None:
                vectors[row] += analysis.sound
        return unit_rows(vectors)

    def _hear(self, clips: Sequence[Clip | None], needs_letters: bool) -> list[_ClipAnalysis]:
        """Run the networks and the decoder over clips; an input without a clip has no words."""
        analyses = [_ClipAnalysis() for _ in clips]
        audible = {row: clip for row, clip in enumerate(clips) if clip and np.any(clip.samples)}
        # A single clip is decoded while its letters are computed, before they tell whether it is
        # speech. Batches are decoded together.
        encode = self._transcribe if len(audible) == 1 else self._run_encoder
        jobs = []
        for row, clip in audible.items():
            if not self._fast:
                jobs.append((analyses[row], clip, encode))
            # With a verdict of voice activity detection, letters only serve words and language.
            shows_language = LANGUAGE_SPAN[0] <= clip.start < LANGUAGE_SPAN[1]
            needs_words = self._fast or needs_letters or shows_language
            if clip.speech is None or (clip.speech and needs_words):
                jobs.append((analyses[row], clip, self._run_letters))
        self._workers.map(lambda job: job[2](job[0], job[1]), jobs)
        speech = {row: clip for row, clip in audible.items() if is_speech(clip, analyses[row])}
        if not self._fast and len(audible) > 1:
            batches = split_clips(speech, self._threads)
            self._workers.map(lambda batch: self._decode(batch, analyses), batches)
        for row, analysis in enumerate(analyses):
            # Speech is never left without words, even where the decoder finds none.
            if row not in speech:
                analysis.transcript = ""
            elif not analysis.transcript:
                analysis.transcript = self._read_letters(analysis, speech[row])
        wordless = [
            row for row in audible if not analyses[row].transcript and analyses[row].sound is None
        ]
        self._workers.map(lambda row: self._run_encoder(analyses[row], audible[row]), wordless)
        return analyses

    def _run_letters(self, analysis: _ClipAnalysis, clip: Clip) -> None:
        (analysis.letters,) = self._letters_session.run(None, _feed(clip))

    def _run_encoder(self, analysis: _ClipAnalysis, clip: Clip) -> None:
        analysis.frames, analysis.sound = self._encoder_session.run(None, _feed(clip))

    def _transcribe(self, analysis: _ClipAnalysis, clip: Clip) -> None:
        self._run_encoder(analysis, clip)
        if clip.speech is not False:
            self._decode({0: clip}, [analysis])

    def _decode(self, batch: dict[int, Clip], analyses: Sequence[_ClipAnalysis]) -> None:
        frames = [states for row in batch if (states := analyses[row].frames) is not None]
        texts = self._recogniser.decode(frames, [clip.duration for clip in batch.values()])
        for row, text in zip(batch, texts, strict=True):
            analyses[row].transcript = text

    def _read_letters(self, analysis: _ClipAnalysis, clip: Clip) -> str:
        """Decode words from the letters."""
        if analysis.letters is None:
            self._run_letters(analysis, clip)
        assert analysis.letters is not None
        return " ".join(self._lexicon.words(analysis.letters))


def _feed(clip: Clip) -> dict[str, Float32]:
    samples = clip.samples
    if len(samples) < MIN_SAMPLES:
        samples = np.pad(samples, (0, MIN_SAMPLES - len(samples)))
    return {"samples": np.ascontiguousarray(samples[None], np.float32)}


def is_speech(clip: Clip, analysis: _ClipAnalysis) -> bool:
    """Return whether a clip is speech, by voice activity detection or else by its letters."""
    if clip.speech is not None or analysis.letters is None:
        return bool(clip.speech)
    return is_spoken(word_spans(analysis.letters), clip.samples)


def is_spoken(words: Sequence[WordSpan], samples: Float32) -> bool:
    """Return whether letters and voice activity detection show that a clip is speech."""
    if sum(len(word.letters) for word in words) < MIN_LETTERS:
        return False
    return has_certain_letters(words) or has_voice(samples)


def has_certain_letters(words: Sequence[WordSpan]) -> bool:
    """Return whether the letters are probable enough to show speech by themselves."""
    count = sum(len(word.letters) for word in words)
    # Weighted by letters: long words say more about the clip than short ones.
    total = sum(word.probability * len(word.letters) for word in words)
    return total >= CERTAIN_LETTERS * count


def has_voice(samples: Float32) -> bool:
    """Return whether voice activity detection hears a voice for `VOICE_FRAMES` or longer."""
    padded = np.pad(samples, (0, -len(samples) % VAD_FRAME)).astype(np.float32)
    recent: deque[float] = deque([0.0] * VOICE_FRAMES, VOICE_FRAMES)
    detector = VoiceDetector()
    for frame in padded.reshape(-1, VAD_FRAME):
        recent.append(detector.probability(frame))
        if sum(recent) >= VOICE * VOICE_FRAMES:
            return True
    return False
