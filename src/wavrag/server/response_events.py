"""Replies of `/v1/responses`: the response object and its server-sent events."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from fastapi.sse import format_sse_event
from pydantic import BaseModel

from wavrag.answer import RetrievalResult
from wavrag.errors import WavRAGError
from wavrag.server.answer_events import AnswerEvent
from wavrag.server.chat import count_usage
from wavrag.server.errors import public_message
from wavrag.server.files import name_file
from wavrag.server.models import CHAT_MODEL
from wavrag.server.vector_stores import describe_attributes, describe_hit
from wavrag.shapes import AnswerShape
from wavrag.types import Answer, Hit, ToolCall

_MARK = re.compile(r"\[(\d+)\]")

Json = dict[str, Any]


class ResponseShape(BaseModel):
    """An answer in OpenAI's format; `wavrag` holds its citations, hits and timings."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "failed"]
    error: Json | None
    model: str
    output: list[Json]
    usage: Json | None
    wavrag: AnswerShape | None = None


class ResponseBuilder:
    """Builds the reply to a request, as one object or as events.

    Args:
        parameters: parameters of the request, which the reply repeats.
        includes_results: True to list the hits of the search.
    """

    def __init__(self, parameters: Json, *, includes_results: bool) -> None:
        self._id = f"resp_{secrets.token_hex(16)}"
        self._search_id = f"fs_{secrets.token_hex(16)}"
        self._message_id = f"msg_{secrets.token_hex(16)}"
        self._created = int(time.time())
        self._parameters = parameters
        self._includes_results = includes_results
        self._search: Json | None = None  # its item, once it has ended
        self._has_message = False  # True once it has begun
        self._sequence = 0

    def complete(self, answer: Answer) -> Json:
        """The complete response."""
        output = [self._search or self._describe_search(answer.question, answer.hits)]
        if answer.text or self._has_message:
            output.append(self._describe_message(answer.text, list_annotations(answer)))
        output += [_describe_call(call, call.arguments, "completed") for call in answer.tool_calls]
        return self._describe("completed", output, answer)

    def encode_event(self, event: AnswerEvent | WavRAGError) -> bytes:
        """The server-sent events for an event, in the order of OpenAI's API."""
        match event:
            case RetrievalResult():
                return self._encode(self._begin(event))
            case str():
                return self._encode([*self._begin_text(), self._text_event("delta", delta=event)])
            case WavRAGError():
                response = self._describe("failed", [], None)
                # There is no other code for an error of the server's model.
                error = {"code": "server_error", "message": public_message(event)}
                return self._encode(
                    [{"type": "response.failed", "response": {**response, "error": error}}]
                )
        return self._encode(self._end(event))

    def _begin(self, retrieval: RetrievalResult) -> Iterable[Json]:
        response = self._describe("in_progress", [], None)
        yield {"type": "response.created", "response": response}
        yield {"type": "response.in_progress", "response": response}
        search = self._search = self._describe_search(retrieval.question, retrieval.hits)
        begun = {**search, "status": "in_progress", "queries": [], "results": None}
        yield {"type": "response.output_item.added", "output_index": 0, "item": begun}
        for state in ("in_progress", "searching", "completed"):
            yield {
                "type": f"response.file_search_call.{state}",
                "output_index": 0,
                "item_id": self._search_id,
            }
        yield {"type": "response.output_item.done", "output_index": 0, "item": search}

    def _begin_text(self) -> Iterable[Json]:
        """Begin the message, unless it has begun; there is none with calls of tools only."""
        if not self._has_message:
            self._has_message = True
            message = {**self._describe_message("", []), "status": "in_progress", "content": []}
            yield {"type": "response.output_item.added", "output_index": 1, "item": message}
            yield self._part_event("content_part.added", part=_describe_text("", []))

    def _end(self, answer: Answer) -> Iterable[Json]:
        response = self.complete(answer)
        if self._has_message or answer.text:
            yield from self._begin_text()
            message = response["output"][1]
            (text,) = message["content"]
            for index, annotation in enumerate(text["annotations"]):
                yield self._text_event(
                    "annotation.added", annotation_index=index, annotation=annotation
                )
            # The checked text, which can differ from the streamed one.
            yield self._text_event("done", text=answer.text)
            yield self._part_event("content_part.done", part=text)
            yield {"type": "response.output_item.done", "output_index": 1, "item": message}
        first = 2 if self._has_message else 1
        for index, call in enumerate(answer.tool_calls, first):
            yield from _call_events(index, call)
        yield {"type": "response.completed", "response": response}

    def _text_event(self, name: str, **fields: Any) -> Json:
        logprobs: Json = {} if name == "annotation.added" else {"logprobs": []}
        return self._part_event(f"output_text.{name}", **fields, **logprobs)

    def _part_event(self, name: str, **fields: Any) -> Json:
        return {
            "type": f"response.{name}", "item_id": self._message_id, "output_index": 1,
            "content_index": 0, **fields,
        }  # fmt: skip

    def _encode(self, events: Iterable[Json]) -> bytes:
        encoded = b""
        for event in events:
            data = json.dumps({**event, "sequence_number": self._sequence}, ensure_ascii=False)
            encoded += format_sse_event(data_str=data, event=event["type"])
            self._sequence += 1
        return encoded

    def _describe(self, status: str, output: Sequence[Json], answer: Answer | None) -> Json:
        response: Json = {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "completed_at": None if answer is None else int(time.time()),
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": CHAT_MODEL,
            "output": list(output),
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "text": {"format": {"type": "text"}},
            "truncation": "disabled",
            "usage": None if answer is None else _describe_usage(answer),
            **self._parameters,
        }
        return response if answer is None else {**response, "wavrag": AnswerShape.dump(answer)}

    def _describe_search(self, question: str | None, hits: Sequence[Hit]) -> Json:
        results = None
        if self._includes_results:
            shapes = [describe_hit(hit) for hit in hits]
            results = [
                {**shape.model_dump(exclude={"content"}), "text": shape.content[0].text}
                for shape in shapes
            ]
        return {
            "id": self._search_id,
            "type": "file_search_call",
            "status": "completed",
            "queries": [question] if question else [],
            "results": results,
        }

    def _describe_message(self, text: str, annotations: Sequence[Json]) -> Json:
        return {
            "id": self._message_id,
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [_describe_text(text, annotations)],
        }


def _describe_text(text: str, annotations: Sequence[Json]) -> Json:
    return {
        "type": "output_text", "text": text, "annotations": list(annotations), "logprobs": [],
    }  # fmt: skip


def _describe_call(call: ToolCall, arguments: str, status: str) -> Json:
    return {
        "id": f"fc_{call.id}", "type": "function_call", "status": status, "call_id": call.id,
        "name": call.name, "arguments": arguments,
    }  # fmt: skip


def _call_events(index: int, call: ToolCall) -> Iterable[Json]:
    """The events of a call of a tool, whose arguments have arrived."""
    position = {"output_index": index, "item_id": f"fc_{call.id}"}
    begun = _describe_call(call, "", "in_progress")
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    name = "response.function_call_arguments"
    yield {"type": f"{name}.delta", **position, "delta": call.arguments}
    yield {"type": f"{name}.done", **position, "name": call.name, "arguments": call.arguments}
    item = _describe_call(call, call.arguments, "completed")
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def list_annotations(answer: Answer) -> list[Json]:
    """A file citation for each mark of the text.

    `index` is the offset of the mark. The fields beside OpenAI's are the number, the quote, and the
    attributes of the passage, with the seconds of the quote if they are known.
    """
    citations = {citation.number: citation for citation in answer.citations}
    annotations = []
    for mark in _MARK.finditer(answer.text):
        citation = citations.get(int(mark[1]))
        if citation is None:
            continue
        passage = citation.passage
        attributes = describe_attributes(passage)
        if citation.start is not None and citation.end is not None:
            attributes |= {"start": citation.start, "end": citation.end}
        annotations.append(
            {
                "type": "file_citation",
                "file_id": passage.document_id,
                "filename": name_file(passage.source, passage.metadata)["name"],
                "index": mark.start(),
                "number": citation.number,
                "quote": citation.quote,
                "attributes": attributes,
            }
        )
    return annotations


def _describe_usage(answer: Answer) -> Json:
    usage = count_usage(answer)
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
