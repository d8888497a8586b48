"""A Qwen2-Audio in this process, through transformers: it hears the question and the recordings."""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate import base
from wavrag.generate.base import (
    AnswerEnd,
    AudioBudget,
    GenerateOptions,
    GeneratorSpec,
    Message,
    Stream,
)
from wavrag.generate.fitting import fit
from wavrag.generate.hearing import QWEN2_AUDIO, fit_audio
from wavrag.generate.qwen2_network import Network
from wavrag.types import Usage

PREFIX = "qwen2-audio:"
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True, slots=True)
class Qwen2AudioOptions:
    """How the model is run.

    Attributes:
        device: as torch names it; None for a GPU if there is one.
        dtype: of the weights; `auto` for what they were saved as. 7 billion take 16 GB in bfloat16.
        parallel: answers to one prompt that are written in a batch.
    """

    device: str | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    parallel: int = 8


class Qwen2AudioGenerator(base.Generator):
    """Writes answers with a Qwen2-Audio, which is given sound.

    The weights are read at the first answer and kept until `close`. Sampling goes by temperature
    and seed alone: what the model's own files say of top-p, top-k and repetition does not count.

    Args:
        place: folder, or ORG/NAME on the hub.
        options: how to run it.
        audio_budget: limits on the audio that it is given.

    Raises:
        MissingExtraError: transformers or torch is not installed.
        GenerationError: there is no such folder.
    """

    def __init__(
        self,
        place: str | Path,
        options: Qwen2AudioOptions | None = None,
        audio_budget: AudioBudget = QWEN2_AUDIO,
    ) -> None:
        if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
            raise MissingExtraError(f"the generator '{PREFIX}{place}'", "models")
        folder = Path(place).expanduser()
        if not folder.is_dir() and not _HUB_NAME.fullmatch(str(place)):
            raise GenerationError(
                f"{folder}: there is no such folder: give one with a Qwen2-Audio, or ORG/NAME of"
                " one on the hub"
            )
        self._place = str(folder) if folder.is_dir() else str(place)
        self._options = options or Qwen2AudioOptions()
        self._spec = GeneratorSpec(
            f"{PREFIX}{place}", parallel=self._options.parallel, audio_budget=audio_budget
        )
        self._lock = threading.Lock()
        self._network: Network | None = None

    @property
    def spec(self) -> GeneratorSpec:
        """Identity and capabilities."""
        return self._spec

    def load(self) -> None:
        """Read the weights now rather than at the first answer.

        Raises:
            GenerationError: the folder holds no whole Qwen2-Audio, or the hub has none.
        """
        self._loaded()

    def close(self) -> None:
        """Free the model; a later answer loads it again."""
        with self._lock:
            self._network = None

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """The answer, token by token; closing the stream ends it before the next token.

        A prompt that leaves no room for `options.max_tokens` loses whole sources, the one of
        lowest rank first, with a warning in the log.

        Raises:
            AudioError: a clip that is to be heard has no samples, or some that are not finite.
            GenerationError: the model failed, or the question alone does not fit.
        """
        stop = threading.Event()
        return Stream(self._pieces(messages, options, stop), stop.set)

    def stream_many(
        self, messages: Sequence[Message], options: GenerateOptions, count: int
    ) -> Stream[tuple[int, str | AnswerEnd]]:
        """Several answers in batches, as `(index, piece)`; the last of an index is `AnswerEnd`.

        The prompt is read, and its sound heard, once a batch, and counted with the answer that ends
        first. The seed of an answer is `options.seed` plus its index.

        Raises:
            AudioError: as for `stream`.
            GenerationError: as for `stream`.
        """
        stop = threading.Event()
        return Stream(self._written(messages, options, count, stop), stop.set)

    def _pieces(
        self, messages: Sequence[Message], options: GenerateOptions, stop: threading.Event
    ) -> Generator[str, None, Usage | None]:
        usage = None
        for _, piece in self._written(messages, options, 1, stop):
            if isinstance(piece, AnswerEnd):
                usage = piece.usage
            else:
                yield piece
        return usage

    def _written(
        self,
        messages: Sequence[Message],
        options: GenerateOptions,
        count: int,
        stop: threading.Event,
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        network = self._loaded()
        given = fit_audio(messages, self.spec.audio_budget).messages
        kept, _ = fit(
            given,
            lambda some: int(network.read(some)["input_ids"].shape[1]),
            room=options.max_tokens,
            context=network.context,
            name=self.spec.name,
        )
        prompt = network.read(kept)
        batch = self.spec.parallel
        for start in range(0, count, batch):
            indices = range(start, min(start + batch, count))
            yield from network.write(prompt, options, indices, stop)

    def _loaded(self) -> Network:
        with self._lock:
            if self._network is None:
                self._network = Network(self._place, self._options.device, self._options.dtype)
            return self._network
