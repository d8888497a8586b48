"""How voice turns are heard, searched and answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from wavrag import where
from wavrag.answer import ReasoningOptions
from wavrag.audio import SAMPLE_RATE
from wavrag.errors import InputError
from wavrag.generate import GenerateOptions

Mode: TypeAlias = Literal["hands-free", "push-to-talk"]

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a speaker is listened to.

    Times are milliseconds; those that voice activity decides are rounded up to frames of 32 ms.

    Attributes:
        mode: `hands-free` finds a turn by its voice; `push-to-talk` is told by `begin` and `end`.
        sample_rate: Hz of the chunks, 8,000 to 192,000.
        channels: 1, or 2 whose samples alternate.
        silence_ms: without a voice that ends a turn.
        onset_ms: of voice within twice that time that begin a turn.
        lead_ms: kept before the first voice.
        tail_ms: kept after the last voice, at most `silence_ms`. The result that will be committed
            is computed as soon as they have passed.
        min_speech_ms: of voice; a turn with less is cancelled.
        max_seconds: longest turn; it is ended there.
        threshold: probability from which a frame has a voice.
        k: most hits.
        where: filter expression for all that is found.
        partials: search while one speaks.
        first_partial_ms: of voice before the first partial search.
        max_rate: searches ahead of the end, a second, at most. One of them is kept for pauses.
        share: of one processor that the partial searches of a speaker may take.
        answer: answer each turn.
        generate: how answers are written.
        reasoning: think before answering; None writes at once.
        barge_in: new speech cancels the answer before it.
        early_answers: answers a turn that may be begun before its end and thrown away; 0 sends
            each turn to the generator once.
        early_stability: of the hits, from which an early answer is begun.
    """

    mode: Mode = "hands-free"
    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    silence_ms: float = 576.0
    onset_ms: float = 128.0
    lead_ms: float = 192.0
    tail_ms: float = 128.0
    min_speech_ms: float = 192.0
    max_seconds: float = 30.0
    threshold: float = 0.5
    k: int = 10
    where: str | None = None
    partials: bool = True
    first_partial_ms: float = 640.0
    max_rate: int = 4
    share: float = 0.5
    answer: bool = True
    generate: GenerateOptions | None = None
    reasoning: ReasoningOptions | None = None
    barge_in: bool = True
    early_answers: int = 0
    early_stability: float = 0.8

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InputError: an option is out of its range; the message names it.
            FilterError: `where` cannot be understood.
        """
        if self.mode not in ("hands-free", "push-to-talk"):
            raise InputError(f"mode is {self.mode!r}: choose hands-free or push-to-talk")
        if self.channels not in (1, 2):
            raise InputError(f"channels is {self.channels}: send one, or two that alternate")
        self._within("sample_rate", LOWEST_RATE, HIGHEST_RATE)
        self._within("silence_ms", 96, 10_000)
        self._within("onset_ms", 32, 2_000)
        self._within("lead_ms", 0, 2_000)
        self._within("tail_ms", 0, self.silence_ms)
        self._within("min_speech_ms", 0, 10_000)
        self._within("max_seconds", 1, 600)
        self._within("threshold", 0.05, 0.95)
        self._within("k", 1, 1_000)
        self._within("first_partial_ms", 0, 60_000)
        self._within("max_rate", 1, 100)
        self._within("share", 0.01, 1)
        self._within("early_answers", 0, 100)
        self._within("early_stability", 0, 1)
        if self.where is not None:
            where.parse(self.where)

    def _within(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if not least <= value <= most:  # NaN is within nothing
            raise InputError(f"{name} is {value}: set it from {least:g} to {most:g}")
