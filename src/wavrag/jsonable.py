"""The shape that results have in JSON, the same on the command line and wherever else."""

from __future__ import annotations

from typing import Any

from wavrag.types import Answer, Citation, Hit, Passage, ReasoningPath, Support


def passage_dict(passage: Passage) -> dict[str, Any]:
    """A passage; times in seconds, offsets in characters; only what applies to its modality."""
    if passage.modality == "audio":
        place: dict[str, Any] = {"start": passage.start, "end": passage.end}
    else:
        place = {
            "char_start": passage.char_start,
            "char_end": passage.char_end,
            "section": passage.section,
            "page": passage.page,
        }
    return {
        "id": passage.id,
        "document_id": passage.document_id,
        "modality": passage.modality,
        "source": passage.source,
        "title": passage.title,
        "location": passage.location,
        **place,
        "text": passage.text,
        "metadata": dict(passage.metadata),
    }


def hit_dict(hit: Hit) -> dict[str, Any]:
    """A hit: its rank and scores, then its passage."""
    legs = {leg: round(score, 4) for leg, score in hit.legs.items()}
    return {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "legs": legs,
        **passage_dict(hit.passage),
    }


def citation_dict(citation: Citation) -> dict[str, Any]:
    """A citation: its number and quote, then its passage."""
    return {
        "number": citation.number,
        "quote": citation.quote,
        **passage_dict(citation.passage),
    }


def path_dict(path: ReasoningPath) -> dict[str, Any]:
    """A path of reasoning; `tokens` is null where the generator reports none."""
    return {
        "text": path.text,
        "answer": path.answer,
        "finished": path.finished,
        "error": path.error,
        "ms": round(path.ms, 1),
        "tokens": {"in": path.usage.input, "out": path.usage.output} if path.usage else None,
    }


def support_dict(support: Support) -> dict[str, Any]:
    """Whether what a sentence cites says it; offsets in characters of the answer."""
    return {
        "start": support.start,
        "end": support.end,
        "text": support.text,
        "cited": list(support.cited),
        "checkable": support.checkable,
        "supported": support.supported,
    }


def answer_dict(answer: Answer) -> dict[str, Any]:
    """An answer with all that it rests on."""
    return {
        "question": answer.question,
        "searched": answer.searched,
        "answer": answer.text,
        "found": answer.found,
        "abstained": (
            {"reason": answer.abstained.reason, "detail": answer.abstained.detail}
            if answer.abstained
            else None
        ),
        "withheld": answer.withheld,
        "citations": [citation_dict(citation) for citation in answer.citations],
        "support": [support_dict(one) for one in answer.support],
        "generator": answer.generator,
        "paths": [path_dict(path) for path in answer.paths],
        "chosen": answer.chosen,
        "chosen_by": answer.chosen_by,
        "saved": answer.saved,
        "invented_citations": answer.invented_citations,
        "timings_ms": milliseconds(answer.timings),
        "usage": {stage: dict(tokens) for stage, tokens in answer.usage.items()},
        "cost": answer.cost,
        "hits": [
            hit_dict(hit) | {"given": given}
            for hit, given in zip(answer.hits, answer.given, strict=True)
        ],
    }


def milliseconds(timings: Any) -> dict[str, float]:
    """Timings to a tenth of a millisecond."""
    return {stage: round(value, 1) for stage, value in timings.items()}
