"""What happens in a voice turn, in order, and its shape in JSON.

Every event has the number of its turn, from 1, and `at_ms`: milliseconds from the turn's start to
the event. A turn starts with its first voiced sample, or when `begin` was called. Places in the
sound (`Span`) are milliseconds of sound since the first sample that was pushed.

`hits` comes exactly once for each `turn_ended`, unless `failed` or the closing of the turn takes
its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from wavrag.types import Answer, Hit

EndReason: TypeAlias = Literal["silence", "asked", "longest", "finished"]
CancelReason: TypeAlias = Literal["too short", "nothing heard", "barge-in", "interrupted", "closed"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the pushed sound, in milliseconds since its first sample."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class SpeechStarted:
    """Somebody speaks.

    Attributes:
        turn: its number.
        at_ms: that it took to be sure.
        from_ms: place of the first voiced sample in the sound.
    """

    turn: int
    at_ms: float
    from_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class PartialHits:
    """What was found for the speech so far.

    Attributes:
        turn: its number.
        at_ms: since the turn started.
        hits: best first.
        words: as recognised; None where the embedder gives none.
        span: of the sound that was searched with.
        settled: a pause has begun and all speech is in `span`: if nobody speaks on, these are the
            hits of the turn.
        stability: from 0 to 1, `overlap` times how long the first hit has stood.
        overlap: rank-biased overlap with the hits before; 0 for the first.
        first_ms: of sound for which the first hit has been first.
        timings: milliseconds: `wait` for a processor, `embed`, `search`.
    """

    turn: int
    at_ms: float
    hits: tuple[Hit, ...]
    words: str | None
    span: Span
    settled: bool
    stability: float
    overlap: float
    first_ms: float
    timings: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class TurnEnded:
    """The turn is over.

    Attributes:
        turn: its number.
        at_ms: since the turn started.
        reason: `silence`, `asked` by `end`, `longest` turn reached, `finished` sound.
        span: the utterance, of which the hits will be.
        after_speech_ms: since the last voiced sample.
    """

    turn: int
    at_ms: float
    reason: EndReason
    span: Span
    after_speech_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The committed result of the turn.

    Attributes:
        turn: its number.
        at_ms: since the turn started.
        hits: best first; those of a search with the sound of `span`.
        words: as recognised; None where the embedder gives none.
        span: the utterance.
        after_speech_ms: since the last voiced sample; the silence that ended the turn is in it.
        after_end_ms: since the turn ended.
        ahead: it had been computed when the turn ended.
        timings: milliseconds: `wait` for a processor, `embed`, `search`.
    """

    turn: int
    at_ms: float
    hits: tuple[Hit, ...]
    words: str | None
    span: Span
    after_speech_ms: float
    after_end_ms: float
    ahead: bool
    timings: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class AnswerDelta:
    """The next piece of the answer.

    Attributes:
        turn: its number.
        at_ms: since the turn started.
        text: of the piece.
    """

    turn: int
    at_ms: float
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The whole answer with its citations.

    Attributes:
        turn: its number.
        at_ms: since the turn started.
        answer: as `WavRAG.ask` gives it.
        early: it was begun before the turn ended.
    """

    turn: int
    at_ms: float
    answer: Answer
    early: bool


@dataclass(frozen=True, slots=True, eq=False)
class Cancelled:
    """Nothing more comes of it.

    Attributes:
        turn: its number.
        at_ms: since the turn started.
        what: the `turn` before its hits, or its `answer`.
        reason: why.
    """

    turn: int
    at_ms: float
    what: Literal["turn", "answer"]
    reason: CancelReason


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """Something could not be done.

    Attributes:
        turn: its number.
        at_ms: since the turn started.
        what: the `hits` or the `answer`.
        message: what was wrong and what to do.
    """

    turn: int
    at_ms: float
    what: Literal["hits", "answer"]
    message: str


Event: TypeAlias = (
    SpeechStarted | PartialHits | TurnEnded | Hits | AnswerDelta | Answered | Cancelled | Failed
)

NAMES: dict[type[Any], str] = {
    SpeechStarted: "speech_started",
    PartialHits: "partial_hits",
    TurnEnded: "turn_ended",
    Hits: "hits",
    AnswerDelta: "answer_delta",
    Answered: "answer",
    Cancelled: "cancelled",
    Failed: "failed",
}


def event_dict(event: Event) -> dict[str, Any]:
    """An event in JSON: its name under `event`, then its fields; times to a tenth of a ms."""
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return {
        "event": NAMES[type(event)],
        **{name: _field(name, value) for name, value in fields.items()},
    }


def _field(name: str, value: Any) -> Any:
    from wavrag.shapes import AnswerShape, HitShape

    if isinstance(value, Answer):
        return AnswerShape.dump(value)
    if isinstance(value, Span):
        return {"start_ms": round(value.start_ms, 1), "end_ms": round(value.end_ms, 1)}
    if name == "hits":
        return [HitShape.dump(hit) for hit in value]
    if name == "timings":
        return {stage: round(duration, 1) for stage, duration in value.items()}
    if isinstance(value, float):
        return round(value, 1 if name.endswith("_ms") else 4)
    return value
