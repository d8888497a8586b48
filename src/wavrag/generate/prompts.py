"""Messages that ask for a cited answer, and how models that read are shown them.

Pure functions on the parts of `wavrag.generate.base`. A source keeps its structure until `render`
turns it into a numbered line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TypeVar

from wavrag.errors import GenerationError
from wavrag.generate.base import Message, Part, QuestionPart, SourcePart, TextPart
from wavrag.types import Clip, HistoryTurn, Hit, Passage

T = TypeVar("T")

NO_ANSWER = "I don't know."
SYSTEM = "You answer questions from sources."
# It stands after the sources, because small models forget what stands before them, and shows no
# mark as an example, because they copy it.
INSTRUCTION = (
    "Answer in one short sentence, only from the sources above, and end it with the number of the"
    f" source in brackets. If they do not answer it, say: {NO_ANSWER}"
)

_NUMBER_IN_BRACKETS = re.compile(r"\[(\s*\d[\d\s,;\u2013-]*)\]")
_DECLINES = re.compile(r"\W*i (?:do not|don['\u2019]t) know\b", re.IGNORECASE)


def answer_messages(
    question: QuestionPart,
    hits: Sequence[Hit],
    clips: Sequence[Clip | None] | None = None,
    *,
    facts: Sequence[str] | None = None,
    history: Sequence[HistoryTurn] = (),
) -> list[Message]:
    """What to send to a generator: earlier turns, the sources, the instruction and the question.

    Sources are numbered by rank, from [1] on, and stand in the order of `second_best_last`.

    Args:
        question: what is asked.
        hits: sources, best first.
        clips: for generators that hear, the sound of each hit; None where a hit has none.
        facts: what was measured of each hit's sound, in words; empty for text.
        history: earlier turns, the oldest first; `bounded` says how many are worth telling.
    """
    sounds = clips if clips is not None else [None] * len(hits)
    told = facts if facts is not None else [""] * len(hits)
    sources = [
        SourcePart(number, hit, clip, fact)
        for number, (hit, clip, fact) in enumerate(zip(hits, sounds, told, strict=True), start=1)
    ]
    earlier = [
        message
        for turn in history
        for message in (
            Message("user", (QuestionPart(turn.question),)),
            Message("assistant", (TextPart(turn.answer or NO_ANSWER),)),
        )
    ]
    return [
        Message("system", (TextPart(SYSTEM),)),
        *earlier,
        Message("user", (*second_best_last(sources), TextPart(INSTRUCTION), question)),
    ]


def second_best_last(ranked: Sequence[T]) -> list[T]:
    """The order in a prompt: the best first, the second best last, where models read best.

    Liu et al., "Lost in the Middle" (arXiv 2307.03172): what stands between is used least.
    """
    return [*ranked[:1], *ranked[2:], *ranked[1:2]]


def question_of(messages: Sequence[Message]) -> QuestionPart:
    """The last question in the messages.

    Raises:
        GenerationError: there is none.
    """
    parts = [part for message in messages for part in message.parts]
    for part in reversed(parts):
        if isinstance(part, QuestionPart):
            return part
    raise GenerationError("the messages hold no question: make them with answer_messages")


def sources_of(messages: Sequence[Message]) -> list[SourcePart]:
    """All sources in the messages, by number: the best first."""
    parts = (part for message in messages for part in message.parts)
    found = [part for part in parts if isinstance(part, SourcePart)]
    return sorted(found, key=lambda source: source.number)


def drop_source(messages: Sequence[Message], number: int) -> list[Message]:
    """The messages without the source of that number; the others keep theirs and their places."""
    return [
        Message(
            message.role,
            tuple(
                part
                for part in message.parts
                if not (isinstance(part, SourcePart) and part.number == number)
            ),
        )
        for message in messages
    ]


def chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as chat completions take them: role and rendered content."""
    return [{"role": message.role, "content": render(message.parts)} for message in messages]


def render(parts: Sequence[Part]) -> str:
    """Parts as text for a model that reads.

    A source is its label and, on the next line, its words.

    Raises:
        GenerationError: the question is a recording without words.
    """
    return "\n\n".join(_render_part(part) for part in parts)


def _render_part(part: Part) -> str:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, QuestionPart):
        if part.text is None:
            raise GenerationError(
                "the question is a recording without words, and this generator reads text only:"
                " use the extractive generator, or an embedder that recognises words"
            )
        return f"Question: {part.text.strip()}"
    words = " ".join(without_marks(part.hit.passage.text or "").split())
    return f"{label(part)}\n{words or '(sound without words)'}"


def label(source: SourcePart) -> str:
    """The name of a source in a prompt, so that a sound is not taken for another source's.

    `[1] document "Timetable", page 3, Winter`, or `[2] recording "harbour notes", 0:13.5-0:27.8,
    speech, 14.3 s, quiet (-38 dBFS)`, where all that stands after the time was measured. What could
    be taken for a mark is none any more.
    """
    passage = source.hit.passage
    title = without_marks(" ".join(title_of(passage).replace('"', "'").split()))
    kind = "recording" if passage.modality == "audio" else "document"
    place = without_marks(" ".join(location_of(passage).split()))
    speaker = _speaker(passage) if passage.modality == "audio" else ""
    parts = (f'{kind} "{title}"', place, speaker, without_marks(source.facts))
    return f"[{source.number}] {', '.join(filter(None, parts))}"


def _speaker(passage: Passage) -> str:
    """Who speaks, where the recording was indexed with it: `speaker Ada`."""
    name = passage.metadata.get("speaker")
    return without_marks(f"speaker {' '.join(str(name).split())}") if name else ""


def title_of(passage: Passage) -> str:
    """The title of the passage's document, or the name of its file."""
    return passage.title or PurePath(passage.source or passage.document_id).name


def location_of(passage: Passage) -> str:
    """The seconds of a recording's passage; page and section of a text's, if it has any."""
    if passage.modality == "audio":
        return passage.location
    page = f"page {passage.page}" if passage.page is not None else ""
    return ", ".join(filter(None, (page, passage.section)))


def without_marks(text: str) -> str:
    """Text of a source whose own `[12]` reads `(12)`, so that it is not taken for a citation."""
    return _NUMBER_IN_BRACKETS.sub(r"(\1)", text)


def declines(answer: str) -> bool:
    """Whether a model's answer is that the sources do not answer the question."""
    return _DECLINES.match(answer) is not None
