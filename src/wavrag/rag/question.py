"""What can be asked."""

from __future__ import annotations

from pathlib import Path

from wavrag import audio
from wavrag.types import Clip, Query

Question = str | Clip | Path | Query  # a string is words; a pathlib.Path names a recording


def as_query(question: Question, where: str | None = None) -> Query:
    """A question of any kind as a query; `where` replaces the query's own filter.

    Raises:
        AudioError: the recording that a path names cannot be read.
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
