"""Settings of live turns: `LiveOptions` for users, constants for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from wavrag import where
from wavrag.arguments import check_type
from wavrag.audio import SAMPLE_RATE
from wavrag.errors import InputError
from wavrag.generate import GenerateOptions

Mode: TypeAlias = Literal["hands-free", "push-to-talk"]

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz

# Times are in milliseconds, and voice activity detection rounds them up to frames of 32 ms.

# Speech probability of a frame with voice: the default of the packaged detector.
VOICE_THRESHOLD = 0.5

# Voice that starts a turn, within twice that time. Shorter bursts are clicks and coughs.
ONSET_MS = 128.0

# Audio kept before the first voiced frame: the detector misses soft first consonants.
LEAD_MS = 192.0

# Audio kept after the last voiced frame; must not exceed `silence_ms`. The final search starts as
# soon as this has passed, and has the rest of the silence to finish.
TAIL_MS = 128.0

# Voice below which a hands-free turn is cancelled as too short.
MIN_SPEECH_MS = 192.0

# Voice before the first partial search; less is rarely a word that finds anything.
FIRST_PARTIAL_MS = 640.0

# Searches a second before the end of a turn; one of them is reserved for pauses.
MAX_SEARCH_RATE = 4

# Share of a processor for the partial searches of a speaker.
PARTIAL_CPU_SHARE = 0.5

# Stability of the hits at which an early answer starts.
EARLY_STABILITY = 0.8


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """Options of a speaker's turns.

    Attributes:
        mode: `hands-free` detects turns by voice activity; in `push-to-talk`, `begin` and `end`
            delimit them.
        sample_rate: Hz of the chunks, 8,000 to 192,000.
        channels: 1, or 2 with interleaved samples.
        silence_ms: silence that ends a hands-free turn, in milliseconds.
        max_seconds: longest turn; a longer one is ended at that point.
        k: number of hits.
        where: filter expression for all searches.
        answer: answer each turn.
        generate: generation options for answers.
        barge_in: new speech cancels the previous answer.
        early_answers: answers per turn that may start before it ends and be discarded; with 0
            each turn is sent to the generator once.
    """

    mode: Mode = "hands-free"
    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    silence_ms: float = 576.0
    max_seconds: float = 30.0
    k: int = 10
    where: str | None = None
    answer: bool = True
    generate: GenerateOptions | None = None
    barge_in: bool = True
    early_answers: int = 0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            InputError: an option is out of range; the message names it.
            FilterError: `where` cannot be parsed.
        """
        if self.mode not in ("hands-free", "push-to-talk"):
            raise InputError(f"mode is {self.mode!r}: choose hands-free or push-to-talk")
        if self.channels not in (1, 2):
            raise InputError(f"channels is {self.channels}: send 1, or 2 interleaved")
        self._check_range("sample_rate", LOWEST_RATE, HIGHEST_RATE)
        self._check_range("silence_ms", TAIL_MS, 10_000)
        self._check_range("max_seconds", 1, 600)
        self._check_range("k", 1, 1_000)
        self._check_range("early_answers", 0, 100)
        check_type(self.where, str | None, "where")
        if self.where is not None:
            where.parse(self.where)

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        check_type(value, int | float, name)
        if not low <= value <= high:  # false for NaN, too
            raise InputError(f"{name} is {value}: set it from {low:g} to {high:g}")
