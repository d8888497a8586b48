"""Voice turns while they happen: hits during speech, one committed result at its end."""

from wavrag.live.aio import AsyncLiveTurn
from wavrag.live.events import (
    AnswerDelta,
    Answered,
    Cancelled,
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
    "AnswerDelta",
    "Answered",
    "AsyncLiveTurn",
    "Cancelled",
    "Event",
    "Failed",
    "Hits",
    "LiveOptions",
    "LiveTurn",
    "PartialHits",
    "Scheduler",
    "Span",
    "SpeechStarted",
    "TurnEnded",
    "event_dict",
]
