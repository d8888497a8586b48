"""The cascade: transcribe speech, then embed the words.

The baseline of the paper. Both steps are interchangeable: `cascade:asr=RECOGNISER,text=EMBEDDER`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from wavrag import config
from wavrag.audio import SAMPLE_RATE
from wavrag.embed.base import Embedder, EmbedderSpec, EmbedResult, check_inputs
from wavrag.embed.language import LanguageScore
from wavrag.embed.minilm import MiniLM
from wavrag.embed.moonshine import Moonshine
from wavrag.embed.recogniser import BatchRecogniser, LanguageRecogniser, Recogniser
from wavrag.embed.runtime import Workers, split_clips
from wavrag.errors import EmbedderError
from wavrag.types import Clip, EmbedInput, Float32, Role

NAME = "cascade"
ASR_KEY, TEXT_KEY = ",asr=", ",text="  # before the names of recogniser and text embedder
DEFAULT_RECOGNISER, DEFAULT_TEXT_EMBEDDER = "moonshine", "minilm"
LOADING_SAMPLES = 1_600  # length of a clip that makes a recogniser load its weights


class Cascade(Embedder):
    """A recogniser, Moonshine tiny by default, then a text embedder, all-MiniLM-L6-v2 by default.

    An input with text and audio is embedded as its text followed by the transcript.
    """

    def __init__(
        self,
        recogniser: Recogniser | None = None,
        text_embedder: Embedder | None = None,
        threads: int | None = None,
    ) -> None:
        """Combine a recogniser and a text embedder.

        Args:
            recogniser: transcribes clips.
            text_embedder: embeds the transcripts.
            threads: clips transcribed in parallel (default: one per CPU).

        Raises:
            EmbedderError: the text embedder does not take text.
        """
        threads = threads or config.threads()
        self._recogniser = recogniser or Moonshine()
        self._text_embedder = text_embedder or MiniLM(threads)
        self._threads, self._workers = threads, Workers(threads)
        text = self._text_embedder.spec
        if "text" not in text.modalities:
            raise EmbedderError(
                f"{text.name} does not embed text, but a cascade embeds transcripts: use a text"
                " embedder, such as minilm"
            )

    @cached_property
    def spec(self) -> EmbedderSpec:
        """The vectors of the text embedder, the audio input of the recogniser."""
        recogniser, text = self._recogniser.spec, self._text_embedder.spec
        return replace(
            text,
            name=_name(recogniser.name, text.name),
            revision=f"{recogniser.revision}+{text.revision}",
            modalities=frozenset({"text", "audio"}),
            sampling_rate=recogniser.sampling_rate,
            max_audio_seconds=recogniser.max_seconds,
            languages=tuple(
                language
                for language in recogniser.languages
                # `mul`: a multilingual text embedder without a list of its languages.
                if {language, "mul"} & set(text.languages)
            ),
            licence=" AND ".join(dict.fromkeys((recogniser.licence, text.licence))),
            transcribes=True,
        )

    def load(self) -> None:
        """Load the weights of both models now instead of on the first call."""
        self._text_embedder.load()
        # Recognisers skip digital silence before they load.
        samples = np.full(LOADING_SAMPLES, 1e-3, np.float32)
        self._recogniser.transcribe(Clip(samples, self.spec.sampling_rate or SAMPLE_RATE))

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts and clips."""
        return self.embed_with_texts(inputs, role).vectors

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        """Embed texts and clips; the text of a clip is its transcript, empty without speech."""
        check_inputs(self.spec, inputs)
        transcripts = self._transcribe(inputs)  # they form one batch of texts
        pairs = list(zip(inputs, transcripts, strict=True))
        texts = [
            EmbedInput(text="\n".join(filter(None, (content.text, transcript))))
            for content, transcript in pairs
        ]
        return EmbedResult(
            self._text_embedder.embed(texts, role),
            tuple(
                content.text if content.clip is None else transcript
                for content, transcript in pairs
            ),
            # For passages alone: a question is too short to tell, and should not wait.
            languages=self._score_languages(pairs) if role == "passage" else (),
        )

    def _score_languages(
        self, pairs: Sequence[tuple[EmbedInput, str]]
    ) -> tuple[LanguageScore | None, ...]:
        recogniser = self._recogniser
        if not isinstance(recogniser, LanguageRecogniser):
            return ()

        def score(pair: tuple[EmbedInput, str]) -> LanguageScore | None:
            content, transcript = pair
            if content.clip is None or not transcript:
                return None
            return recogniser.score_language(content.clip, transcript)

        return tuple(self._workers.map(score, pairs))

    def _transcribe(self, inputs: Sequence[EmbedInput]) -> list[str]:
        """Return the transcript of each input, empty without a clip or speech."""
        transcripts = [""] * len(inputs)
        clips = {
            index: content.clip
            for index, content in enumerate(inputs)
            # Recognisers hallucinate words in audio without speech.
            if content.clip is not None and content.clip.speech is not False
        }
        batches = split_clips(clips, self._threads)
        results = self._workers.map(self._transcribe_batch, [list(b.values()) for b in batches])
        for batch, texts in zip(batches, results, strict=True):
            for index, text in zip(batch, texts, strict=True):
                transcripts[index] = text
        return transcripts

    def _transcribe_batch(self, clips: list[Clip]) -> list[str]:
        if isinstance(self._recogniser, BatchRecogniser):
            return self._recogniser.transcribe_batch(clips)
        return [self._recogniser.transcribe(clip) for clip in clips]


def split_name(name: str) -> tuple[str, str]:
    """Split the name of a cascade into recogniser and text embedder, with defaults.

    For example `cascade:asr=whisper:FOLDER,text=st:ORG/NAME`.

    Raises:
        EmbedderError: a key is unknown, or a name is empty.
    """
    if name == NAME:
        return DEFAULT_RECOGNISER, DEFAULT_TEXT_EMBEDDER
    # Names of models may contain commas, colons and equals signs: only the keys separate.
    settings = "," + name.removeprefix(f"{NAME}:")
    asr, separator, text = settings.partition(TEXT_KEY)
    recogniser = asr.removeprefix(ASR_KEY)
    if (asr and asr in (ASR_KEY, recogniser)) or (separator and not text):
        raise EmbedderError(
            f"the embedder name {name!r} is not cascade:asr=RECOGNISER,text=EMBEDDER: an example"
            " is cascade:asr=pocketsphinx,text=minilm; either may be left out"
        )
    return recogniser or DEFAULT_RECOGNISER, text or DEFAULT_TEXT_EMBEDDER


def _name(recogniser: str, text: str) -> str:
    """Return the shortest name that `split_name` parses to these two."""
    asr = "" if recogniser == DEFAULT_RECOGNISER else f"{ASR_KEY}{recogniser}"
    settings = asr if text == DEFAULT_TEXT_EMBEDDER else f"{asr}{TEXT_KEY}{text}"
    return f"{NAME}:{settings[1:]}" if settings else NAME
