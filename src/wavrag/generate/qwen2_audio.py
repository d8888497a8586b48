"""Qwen2-Audio in this process, through transformers: it takes question and recordings as audio."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from wavrag.errors import GenerationError, MissingExtraError
from wavrag.generate.audio_input import QWEN2_AUDIO, fit_audio
from wavrag.generate.base import (
    AnswerEnd,
    AudioBudget,
    GenerateOptions,
    GeneratorSpec,
    Message,
    StopSignal,
)
from wavrag.generate.in_process import InProcessGenerator
from wavrag.generate.qwen2_network import Network

PREFIX = "qwen2-audio:"
# Answers to one prompt. Each has a key-value cache: with 7 billion parameters in bfloat16, half
# a megabyte per token of prompt and answer.
BATCH_SIZE = 8
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class Qwen2AudioGenerator(InProcessGenerator[Network]):
    """Generates answers to spoken questions, and from recordings, with a Qwen2-Audio.

    The weights are loaded for the first answer and stay in memory until `close`: on a GPU if there
    is one, in the precision of the files (7 billion in bfloat16 take 16 GB). Only temperature and
    seed control the sampling; top-p, top-k and repetition penalty of the model's files do not.

    Args:
        model: folder, or ORG/NAME on the hub.
        audio_budget: limits on the audio.

    Raises:
        MissingExtraError: transformers or torch is not installed.
        GenerationError: the folder does not exist.
    """

    def __init__(self, model: str | Path, audio_budget: AudioBudget = QWEN2_AUDIO) -> None:
        if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
            raise MissingExtraError(f"the generator '{PREFIX}{model}'", "models")
        folder = Path(model).expanduser()
        if not folder.is_dir() and not _HUB_NAME.fullmatch(str(model)):
            raise GenerationError(
                f"{folder}: there is no such folder: give one with a Qwen2-Audio, or ORG/NAME of"
                " one on the hub"
            )
        self._name = str(folder) if folder.is_dir() else str(model)
        super().__init__(
            GeneratorSpec(f"{PREFIX}{model}", parallel=BATCH_SIZE, audio_budget=audio_budget)
        )

    def _load_model(self) -> Network:
        return Network(self._name)

    def _generate(
        self, messages: Sequence[Message], options: GenerateOptions, count: int, stop: StopSignal
    ) -> Iterator[tuple[int, str | AnswerEnd]]:
        network = self.load()
        messages, _ = self._fit_context(
            fit_audio(messages, self._spec.audio_budget).messages,
            options,
            network.context,
            lambda prompt: int(network.encode(prompt)["input_ids"].shape[1]),
        )
        inputs = network.encode(messages)
        batch = self._spec.parallel
        for start in range(0, count, batch):
            if stop.is_set:  # before the prompt is evaluated
                return
            indices = range(start, min(start + batch, count))
            yield from network.generate(inputs, options, indices, stop)
