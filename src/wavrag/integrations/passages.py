"""Questions and passages in the forms that several frameworks share."""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from wavrag import Clip, Hit, InputError, Passage, Query
from wavrag.audio import load

# Text, a clip, the path of a recording, or a query: as in `WavRAG.search`.
Question: TypeAlias = str | Clip | Path | Query
MAX_QUESTION_SECONDS = 120.0  # of a spoken question, which is decoded in memory


class RecordingFile(io.BytesIO):
    """A recording in memory."""

    name = "the recording"  # shown in error messages instead of a file name


def decode_base64(data: str) -> io.BytesIO:
    """The file in a base64 text.

    Raises:
        InputError: the text is not valid base64.
    """
    try:
        return RecordingFile(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"the recording is not valid base64 ({error}): encode the file again"
        ) from error


def load_question(file: io.BytesIO | Path) -> Clip:
    """Decode a spoken question.

    Raises:
        AudioError: the recording cannot be decoded.
        InputError: it is longer than `MAX_QUESTION_SECONDS`.
    """
    # One second past the limit is enough to know, and bounds the memory of a long recording.
    clip = load(file, end=MAX_QUESTION_SECONDS + 1)
    if clip.duration > MAX_QUESTION_SECONDS:
        raise InputError(
            f"the recording is longer than {MAX_QUESTION_SECONDS:g} s: ask a shorter question"
        )
    return clip


def read_tool_query(text: str, audio: str | None) -> Query:
    """The query of a model that calls a tool, with a text, a recording in base64, or both.

    Raises:
        AudioError: the recording cannot be decoded.
        InputError: there is no query, or the recording is not valid base64 or too long.
    """
    clip = load_question(decode_base64(audio)) if audio else None
    if not text.strip() and clip is None:
        raise InputError("there is no query: give query, audio, or both")
    return Query(text.strip() or None, clip)


def format_hits(hits: Sequence[Hit]) -> str:
    """Hits as a text for a model, each with its source and location."""
    blocks = [
        f"[{hit.rank}] {hit.passage.title}, {hit.passage.location}\n{hit.passage.text or ''}"
        for hit in hits
    ]
    return "\n\n".join(blocks) or "no passages found"


def describe_question(question: Question) -> str:
    """A question as text, for logs and traces: samples would fill them."""
    match question:
        case str():
            return question
        case Query(text=str(text)):
            return text
        case Query(clip=Clip() as clip) | (Clip() as clip):
            return f"recording of {clip.duration:.1f} s"
        case os.PathLike():
            return os.fspath(question)
    return ""


def passage_metadata(passage: Passage) -> dict[str, Any]:
    """The metadata of a passage, and its origin; times in seconds, absent fields left out."""
    fields = {
        "document_id": passage.document_id, "title": passage.title, "source": passage.source,
        "location": passage.location, "start": passage.start, "end": passage.end,
        "speaker": passage.speaker, "section": passage.section or None, "page": passage.page,
    }  # fmt: skip
    return dict(passage.metadata) | {k: value for k, value in fields.items() if value is not None}


def hit_metadata(hit: Hit) -> dict[str, Any]:
    """The metadata of a hit's passage, with its rank and score."""
    return passage_metadata(hit.passage) | {"rank": hit.rank, "score": hit.score}
