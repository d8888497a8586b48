"""Events of a voice turn and their JSON form.

A turn starts with its first voiced sample, or with `begin`. Positions in the audio (`Span`) are
milliseconds of audio since the first sample that was pushed.

Each `turn_ended` is followed by exactly one `hits`, or by `failed` if the search failed, unless
the turn is closed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from wavrag.types import Answer, Correction, Hit

EndReason: TypeAlias = Literal["silence", "requested", "max duration", "finished"]
CancelReason: TypeAlias = Literal[
    "too short", "nothing heard", "barge-in", "interrupted", "no audio", "closed"
]


@dataclass(frozen=True, slots=True)
class Span:
    """A span of the pushed audio, in milliseconds since its first sample."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Base of all events.

    Attributes:
        turn: number of the turn.
        at_ms: milliseconds since the turn started.
    """

    turn: int
    at_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class SpeechStarted(Event):
    """Speech has begun; `at_ms` is the time from the first voiced sample to its detection.

    Attributes:
        from_ms: position of the first voiced sample in the audio.
    """

    from_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class PartialHits(Event):
    """Hits for the speech so far.

    Attributes:
        hits: best first.
        words: transcript of the speech; None if the embedder gives none.
        span: the audio of the query.
        settled: True in a pause, if `span` contains all speech so far. Unless speech resumes,
            these hits become the result of the turn.
        stability: from 0 to 1: `overlap`, scaled by how long the top hit has stayed first.
        overlap: rank-biased overlap with the previous hits; 0 for the first.
        top_hit_ms: milliseconds of audio for which the top hit has been first.
        timings: milliseconds: `wait` for a processor, `embed`, `search`.
    """

    hits: tuple[Hit, ...]
    words: str | None
    span: Span
    settled: bool
    stability: float
    overlap: float
    top_hit_ms: float
    timings: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class TurnEnded(Event):
    """The turn has ended.

    Attributes:
        reason: `silence`, `requested` by `end`, `max duration`, or `finished` audio.
        span: the utterance, which is the query of the committed hits.
        after_speech_ms: milliseconds since the last voiced sample.
    """

    reason: EndReason
    span: Span
    after_speech_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Hits(Event):
    """The committed result of the turn.

    Attributes:
        hits: best first, retrieved with the audio of `span`.
        words: transcript of the utterance; None if the embedder gives none.
        span: the utterance.
        after_speech_ms: milliseconds since the last voiced sample, including the silence that
            ended the turn.
        after_end_ms: milliseconds since the turn ended.
        precomputed: the result was ready when the turn ended.
        timings: milliseconds: `wait` for a processor, `embed`, `search`.
        corrections: heard words without any occurrence, and the similar ones in `words`.
    """

    hits: tuple[Hit, ...]
    words: str | None
    span: Span
    after_speech_ms: float
    after_end_ms: float
    precomputed: bool
    timings: Mapping[str, float]
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class AnswerDelta(Event):
    """The next text of the answer.

    Attributes:
        text: to append to the answer so far.
    """

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class CompleteAnswer(Event):
    """The complete answer with its citations.

    Attributes:
        answer: the same as from `WavRAG.ask`.
        early: generation started before the turn ended.
    """

    answer: Answer
    early: bool


@dataclass(frozen=True, slots=True, eq=False)
class Cancelled(Event):
    """The turn or its answer was cancelled.

    Attributes:
        stage: `turn` before the hits, `answer` after them.
        reason: cause of the cancellation.
    """

    stage: Literal["turn", "answer"]
    reason: CancelReason


@dataclass(frozen=True, slots=True, eq=False)
class Failed(Event):
    """The search or the answer failed.

    Attributes:
        stage: `hits` or `answer`.
        message: the error and its remedy.
    """

    stage: Literal["hits", "answer"]
    message: str


EVENT_NAMES: dict[type[Any], str] = {
    SpeechStarted: "speech_started",
    PartialHits: "partial_hits",
    TurnEnded: "turn_ended",
    Hits: "hits",
    AnswerDelta: "answer_delta",
    CompleteAnswer: "answer",
    Cancelled: "cancelled",
    Failed: "failed",
}


def event_dict(event: Event) -> dict[str, Any]:
    """JSON form of an event: its name under `event`, then its fields; times to 0.1 ms."""
    fields = {name: _field(name, getattr(event, name)) for name in event.__dataclass_fields__}
    return {"event": EVENT_NAMES[type(event)], **fields}


def _field(name: str, value: Any) -> Any:
    from wavrag.shapes import AnswerShape, CorrectionShape, HitShape

    if isinstance(value, Answer):
        return AnswerShape.dump(value)
    if isinstance(value, Span):
        return {"start_ms": round(value.start_ms, 1), "end_ms": round(value.end_ms, 1)}
    if name == "hits":
        return [HitShape.dump(hit) for hit in value]
    if name == "corrections":
        return [CorrectionShape.dump(correction) for correction in value]
    if name == "timings":
        return {stage: round(duration, 1) for stage, duration in value.items()}
    if isinstance(value, float):
        return round(value, 1 if name.endswith("_ms") else 4)
    return value
