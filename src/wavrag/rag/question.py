"""The forms of a question."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from wavrag import audio
from wavrag.types import Clip, Query

# A string is text, never a file name: a question must not open files. A `Path` is a recording.
Question: TypeAlias = str | Clip | Path | Query


def as_query(question: Question, where: str | None = None) -> Query:
    """Convert a question of any form to a query.

    Args:
        question: text, a clip, the path of a recording, or a query.
        where: filter expression; it replaces the filter of the query.

    Raises:
        AudioError: the recording cannot be read.
    """
    match question:
        case Query():
            return question if where is None else Query(question.text, question.clip, where)
        case str():
            return Query(text=question, where=where)
        case Clip():
            return Query(clip=question, where=where)
        case _:
            return Query(clip=audio.load(question), where=where)
