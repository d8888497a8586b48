"""A Qwen2-Audio in this process, through transformers: it hears question and recordings."""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate import base
from wavrag.generate.audio_input import QWEN2_AUDIO, fit_audio
from wavrag.generate.base import (
    AnswerEnd,
    AudioBudget,
    GenerateOptions,
    GeneratorSpec,
    Message,
    Stream,
)
from wavrag.generate.context_window import fit_context_window
from wavrag.generate.qwen2_network import Network
from wavrag.types import Usage

PREFIX = "qwen2-audio:"
# Answers to one prompt. Each has a key-value cache: with 7 billion parameters in bfloat16, half
# a megabyte per token of prompt and answer.
BATCH_SIZE = 8
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class Qwen2AudioGenerator(base.Generator):
    """Generates answers to spoken questions, and from recordings, with a Qwen2-Audio.

    The weights are loaded for the first answer and stay in memory until `close`: on a GPU if there
    is one, in the precision of the files (7 billion in bfloat16 take 16 GB). Only temperature and
    seed control the sampling; top-p, top-k and repetition penalty of the model's files do not.

    Args:
        model: folder, or ORG/NAME on the hub.
        audio_budget: limits on the audio.
        batch_size: maximum number of answers to one prompt in a batch.

    Raises:
        MissingExtraError: transformers or torch is not installed.
        GenerationError: the folder does not exist.
    """

    def __init__(
        self,
        model: str | Path,
        audio_budget: AudioBudget = QWEN2_AUDIO,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
            raise MissingExtraError(f"the generator '{PREFIX}{model}'", "models")
        folder = Path(model).expanduser()
        if not folder.is_dir() and not _HUB_NAME.fullmatch(str(model)):
            raise GenerationError(
                f"{folder}: there is no such folder: give one with a Qwen2-Audio, or ORG/NAME of"
                " one on the hub"
            )
        self._model = str(folder) if folder.is_dir() else str(model)
        self._spec = GeneratorSpec(
            f"{PREFIX}{model}", parallel=batch_size, audio_budget=audio_budget
        )
        self._lock = threading.Lock()
        self._network: Network | None = None

    @property
    def spec(self) -> GeneratorSpec:
        """Identity and capabilities."""
        return self._spec

    def load(self) -> None:
        """Load the weights now rather than for the first answer.

        Raises:
            GenerationError: folder or hub hold no complete Qwen2-Audio.
        """
        self._load_network()

    def close(self) -> None:
        """Free the model; a later answer loads it again."""
        with self._lock:
            self._network = None

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """Generate an answer token by token; closing the stream stops before the next token.

        If the prompt leaves no room for `options.max_tokens`, sources are dropped, the lowest rank
        first, with a warning in the log.

        Raises:
            AudioError: a clip has no samples, or NaN or infinite ones.
            GenerationError: the model failed, or the question alone does not fit.
        """
        stop = threading.Event()
        return Stream(self._generate_one(messages, options, stop), stop.set)

    def stream_many(
        self, messages: Sequence[Message], options: GenerateOptions, count: int
    ) -> Stream[tuple[int, str | AnswerEnd]]:
        """Generate several answers in batches as `(index, piece)`, each with an `AnswerEnd`.

        The prompt with its audio is evaluated once per batch, and counted with the first answer to
        end. The seed of an answer is `options.seed` plus its index.

        Raises:
            AudioError: as for `stream`.
            GenerationError: as for `stream`.
        """
        stop = threading.Event()
        return Stream(self._generate(messages, options, count, stop), stop.set)

    def _generate_one(
        self, messages: Sequence[Message], options: GenerateOptions, stop: threading.Event
    ) -> Generator[str, None, Usage | None]:
        usage = None
        for _, output in self._generate(messages, options, 1, stop):
            if isinstance(output, AnswerEnd):
                usage = output.usage
            else:
                yield output
        return usage

    def _generate(
        self,
        messages: Sequence[Message],
        options: GenerateOptions,
        count: int,
        stop: threading.Event,
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        network = self._load_network()
        messages, _ = fit_context_window(
            fit_audio(messages, self._spec.audio_budget).messages,
            lambda prompt: int(network.encode(prompt)["input_ids"].shape[1]),
            answer_tokens=options.max_tokens,
            context=network.context,
            name=self._spec.name,
        )
        inputs = network.encode(messages)
        batch = self._spec.parallel
        for start in range(0, count, batch):
            indices = range(start, min(start + batch, count))
            yield from network.generate(inputs, options, indices, stop)

    def _load_network(self) -> Network:
        with self._lock:
            if self._network is None:
                self._network = Network(self._model)
            return self._network
