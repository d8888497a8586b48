"""The base of generators with a model in this process."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Generic, TypeVar

from wavrag.errors import GenerationError
from wavrag.generate import base
from wavrag.generate.base import (
    AnswerEnd,
    GenerateOptions,
    GeneratorSpec,
    Message,
    StopSignal,
    Stream,
)
from wavrag.generate.prompts import list_sources, replace_sources
from wavrag.types import Usage

logger = logging.getLogger(__name__)
Model = TypeVar("Model")


class InProcessGenerator(base.Generator, Generic[Model]):
    """Loads its model for the first answer; it stays in memory until `close`."""

    def __init__(self, spec: GeneratorSpec) -> None:
        self._spec = spec
        self._lock = threading.Lock()
        self._model: Model | None = None

    @property
    def spec(self) -> GeneratorSpec:
        """Identity and capabilities."""
        return self._spec

    def load(self) -> Model:
        """Load the model now rather than for the first answer, and return it.

        Raises:
            GenerationError: the files hold no such model.
        """
        with self._lock:
            if self._model is None:
                self._model = self._load_model()
            return self._model

    def close(self) -> None:
        """Free the model; a later answer loads it again."""
        with self._lock:
            self._model = None

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """Generate an answer token by token; closing the stream stops the model.

        If the prompt leaves no room for `options.max_tokens`, sources are dropped, the lowest rank
        first, with a warning in the log.

        Raises:
            AudioError: the model takes audio, and a clip has no samples, or NaN or infinite ones.
            GenerationError: the model failed, or the question alone does not fit.
        """
        stop = StopSignal()
        return Stream(self._generate_one(messages, options, stop), stop.set)

    def stream_many(
        self, messages: Sequence[Message], options: GenerateOptions, count: int
    ) -> Stream[tuple[int, str | AnswerEnd]]:
        """Generate several answers in batches as `(index, piece)`, each with an `AnswerEnd`.

        The prompt is evaluated once per batch, and counted with the first answer to end. The seed
        of an answer is `options.seed` plus its index.

        Raises:
            AudioError: as for `stream`.
            GenerationError: as for `stream`.
        """
        stop = StopSignal()
        return Stream(self._generate(messages, options, count, stop), stop.set)

    def _generate_one(
        self, messages: Sequence[Message], options: GenerateOptions, stop: StopSignal
    ) -> Generator[str, None, Usage | None]:
        usage = None
        for _, output in self._generate(messages, options, 1, stop):
            if isinstance(output, AnswerEnd):
                usage = output.usage
            else:
                yield output
        return usage

    @abstractmethod
    def _load_model(self) -> Model: ...

    @abstractmethod
    def _generate(
        self, messages: Sequence[Message], options: GenerateOptions, count: int, stop: StopSignal
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        """Generate answers in batches until `stop` is set."""

    def _fit_context(
        self,
        messages: Sequence[Message],
        options: GenerateOptions,
        context: int,
        count_tokens: Callable[[Sequence[Message]], int],
    ) -> tuple[list[Message], int]:
        """Drop sources until prompt and answer fit, the lowest rank first; nothing is cut.

        Returns the messages and their number of tokens, counted under the model's chat template.
        """
        prompt = list(messages)
        dropped: list[int] = []
        while (tokens := count_tokens(prompt)) + options.max_tokens > context:
            sources = list_sources(prompt)
            if not sources:
                raise GenerationError(
                    f"the question takes {tokens} tokens and its answer up to {options.max_tokens},"
                    f" and {self.spec.name} has a context of {context}: ask a shorter question, or"
                    " allow a shorter answer"
                )
            dropped.insert(0, sources[-1].number)
            prompt = replace_sources(prompt, [s for s in sources if s.number != dropped[0]])
        if dropped:
            logger.warning(
                "%s has a context of %d tokens: sources %s were left out",
                self.spec.name,
                context,
                ", ".join(map(str, dropped)),
            )
        return prompt, tokens
