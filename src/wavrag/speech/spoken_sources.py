"""Name the sources of an answer in a spoken sentence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from wavrag.speech.sentence_stream import spoken_text
from wavrag.types import Citation


def name_sources(citations: Iterable[Citation]) -> str:
    """Name each cited document once, with its page or its time in the recording.

    Example:
        >>> passage = Passage("a", 0, "At nine.", start=72.0, end=80.0, title="Harbour notes")
        >>> name_sources([Citation(1, passage)])
        'Source: Harbour notes, at one minute twelve seconds.'
    """
    names: dict[str, str] = {}
    for citation in citations:
        names.setdefault(citation.passage.source, _name(citation))
    if not names:
        return ""
    label = "Source" if len(names) == 1 else "Sources"
    return spoken_text(f"{label}: {'; '.join(names.values())}.")


def _name(citation: Citation) -> str:
    passage = citation.passage
    title = passage.title or PurePath(passage.source or passage.document_id).stem
    start = passage.start if citation.start is None else citation.start
    if start is not None:
        minutes, seconds = divmod(round(start), 60)
        time = [f"{value} {unit}" for value, unit in ((minutes, "min"), (seconds, "s")) if value]
        return f"{title}, at {' '.join(time) or 'the beginning'}"
    return title if passage.page is None else f"{title}, page {passage.page}"
