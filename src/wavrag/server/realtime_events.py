"""Events of a live turn in the format of OpenAI's Realtime API."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from wavrag.live import (
    AnswerDelta,
    Cancelled,
    CompleteAnswer,
    Event,
    Failed,
    Hits,
    SpeechStarted,
    TurnEnded,
)
from wavrag.shapes import AnswerShape
from wavrag.types import Answer

Json = dict[str, Any]


def create_id(kind: str) -> str:
    """A new id, such as `item_...`."""
    return f"{kind}_{secrets.token_hex(10)}"


class EventTranslator:
    """Translates the events of the turns of a speaker.

    The events of an answer are held until it is requested.

    Args:
        detects: turns are detected by voice activity.
        answers: turns are answered without a request.
    """

    def __init__(self, *, detects: bool, answers: bool) -> None:
        self._detects, self._answers = detects, answers
        self._item: str | None = None  # id of the user's message of the turn
        self._last_item: str | None = None  # id of the message before it
        self._response: str | None = None  # id of the answer in progress
        self._message = ""  # id of its message
        self._text = ""
        self._answer_turn, self._muted_turn = 0, 0  # of the latest answer, and of one to leave out
        self._held: list[Json] = []
        self._is_released = False  # the events of the latest answer are sent
        self._is_requested = False  # those of the next one will be

    def request_answer(self) -> list[Json]:
        """Request the answer of the committed turn; its events so far."""
        held, self._held = self._held, []
        if held:
            self._is_released = True
        else:
            self._is_requested = True
        return held

    def begin_turn(self) -> None:
        """Leave out the answer of the turn before, unless it was requested."""
        self._held = []
        if not self._is_released:
            self._muted_turn = self._answer_turn

    def translate(self, event: Event) -> Iterator[Json]:
        """The events for an event of the live turn."""
        if event.turn == self._muted_turn:
            return
        match event:
            case SpeechStarted():
                yield from self._begin_speech(event)
            case TurnEnded():
                yield from self._end_speech(event)
            case Hits():
                seconds = (event.span.end_ms - event.span.start_ms) / 1e3
                yield {
                    "type": "conversation.item.input_audio_transcription.completed",
                    "item_id": self._last_item,
                    "content_index": 0,
                    "transcript": event.words or "",
                    "usage": {"type": "duration", "seconds": round(seconds, 3)},
                }
                self._answer_turn = event.turn
                self._held = []  # of a turn before, whose answer was not requested
                self._is_released = self._answers or self._is_requested
                self._is_requested = False
                yield from self._hold(self._begin_answer())
            case AnswerDelta():
                self._text += event.text
                yield from self._hold([self._text_event("output_text.delta", delta=event.text)])
            case CompleteAnswer():
                yield from self._hold(self._end_answer(event.answer))
            case Cancelled(stage="answer"):
                is_request = event.reason == "interrupted"
                reason = "client_cancelled" if is_request else "turn_detected"
                details = {"type": "cancelled", "reason": reason}
                yield from self._hold(self._break_answer("cancelled", details))
            case Cancelled():
                self._item = None
                yield {"type": "input_audio_buffer.cleared"}
            case Failed(stage="answer"):
                error = {"type": "server_error", "code": "server_error"}
                yield from self._hold(
                    self._break_answer(
                        "failed", {"type": "failed", "error": {**error, "message": event.message}}
                    )
                )
            case Failed():
                yield describe_error(event.message, "server_error")

    def _begin_speech(self, event: SpeechStarted) -> Iterator[Json]:
        self._item = create_id("item")
        if self._detects:
            yield {
                "type": "input_audio_buffer.speech_started",
                "audio_start_ms": round(event.from_ms),
                "item_id": self._item,
            }

    def _end_speech(self, event: TurnEnded) -> Iterator[Json]:
        item = self._item or create_id("item")
        if self._detects:
            yield {
                "type": "input_audio_buffer.speech_stopped",
                "audio_end_ms": round(event.span.end_ms),
                "item_id": item,
            }
        yield {
            "type": "input_audio_buffer.committed",
            "item_id": item,
            "previous_item_id": self._last_item,
        }
        message = {
            "id": item, "object": "realtime.item", "type": "message", "status": "completed",
            "role": "user", "content": [{"type": "input_audio", "transcript": None}],
        }  # fmt: skip
        yield from self._add_item(message)
        self._item, self._last_item = None, item

    def _add_item(self, item: Json) -> Iterator[Json]:
        for name in ("added", "done"):
            yield {
                "type": f"conversation.item.{name}",
                "previous_item_id": self._last_item,
                "item": item,
            }

    def _hold(self, events: list[Json]) -> list[Json]:
        """The events if the answer is requested; otherwise they are kept."""
        if self._is_released:
            return events
        self._held += events
        return []

    def _begin_answer(self) -> list[Json]:
        self._response, self._message = create_id("resp"), create_id("item")
        self._text = ""
        return [
            {"type": "response.created", "response": self._describe("in_progress", [])},
            {
                "type": "response.output_item.added",
                "response_id": self._response,
                "output_index": 0,
                "item": self._describe_message("in_progress", []),
            },
            self._text_event("content_part.added", part={"type": "text", "text": ""}),
        ]

    def _end_answer(self, answer: Answer) -> list[Json]:
        if self._response is None:
            return []
        read = sum(stage["in"] for stage in answer.usage.values())
        written = sum(stage["out"] for stage in answer.usage.values())
        usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        # The checked text, which can differ from the streamed one.
        part = {"type": "output_text", "text": answer.text}
        item = self._describe_message("completed", [part])
        response = self._describe("completed", [item])
        events = [
            self._text_event("output_text.done", text=answer.text),
            self._text_event("content_part.done", part={"type": "text", "text": answer.text}),
            {
                "type": "response.output_item.done",
                "response_id": self._response,
                "output_index": 0,
                "item": item,
            },
            *self._add_item(item),
            {
                "type": "response.done",
                "response": {**response, "usage": usage, "wavrag": AnswerShape.dump(answer)},
            },
        ]
        self._last_item, self._response = self._message, None
        return events

    def _break_answer(self, status: str, details: Json) -> list[Json]:
        if self._response is None:
            return []
        part = {"type": "output_text", "text": self._text}
        item = self._describe_message("incomplete", [part])
        response = {**self._describe(status, [item]), "status_details": details}
        self._response = None
        return [{"type": "response.done", "response": response}]

    def _text_event(self, name: str, **fields: Any) -> Json:
        return {
            "type": f"response.{name}", "response_id": self._response, "item_id": self._message,
            "output_index": 0, "content_index": 0, **fields,
        }  # fmt: skip

    def _describe(self, status: str, output: list[Json]) -> Json:
        return {
            "id": self._response, "object": "realtime.response", "status": status,
            "status_details": None, "output": output, "output_modalities": ["text"], "usage": None,
        }  # fmt: skip

    def _describe_message(self, status: str, content: list[Json]) -> Json:
        return {
            "id": self._message, "object": "realtime.item", "type": "message", "status": status,
            "role": "assistant", "content": content,
        }  # fmt: skip


def describe_error(
    message: str, kind: str = "invalid_request_error", event_id: str | None = None
) -> Json:
    """The event for an error; `event_id` is that of the client's event."""
    error = {"type": kind, "code": None, "message": message, "param": None, "event_id": event_id}
    return {"type": "error", "error": error}
