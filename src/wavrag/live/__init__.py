"""Voice turns in real time: hits during speech, and one committed result when the turn ends."""

from wavrag.live.async_turn import AsyncLiveTurn
from wavrag.live.events import (
    EVENT_NAMES,
    AnswerDelta,
    Cancelled,
    CompleteAnswer,
    Event,
    Failed,
    Hits,
    PartialHits,
    Span,
    SpeechStarted,
    TurnEnded,
    event_dict,
)
from wavrag.live.options import LiveOptions
from wavrag.live.scheduler import Scheduler
from wavrag.live.turn import LiveTurn

__all__ = [
    "EVENT_NAMES", "AnswerDelta", "AsyncLiveTurn", "Cancelled", "CompleteAnswer", "Event", "Failed",
    "Hits", "LiveOptions", "LiveTurn", "PartialHits", "Scheduler", "Span", "SpeechStarted",
    "TurnEnded", "event_dict",
]  # fmt: skip
