"""Prompts for cited answers, and their rendering as text.

Pure functions on the message parts of `wavrag.generate.base`. Sources stay structured until
`render` turns them into numbered lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TypeVar

from wavrag.errors import GenerationError
from wavrag.generate.base import Message, MessagePart, QuestionPart, SourcePart, TextPart
from wavrag.text import CELL_SEPARATOR
from wavrag.types import Clip, HistoryTurn, Hit, Passage

T = TypeVar("T")

NO_ANSWER = "I don't know."
SYSTEM = "You answer questions from sources."
# It follows the sources, because small models forget instructions in front of them. It contains no
# example of a mark, because they would copy it.
INSTRUCTION = (
    "Answer in one short sentence, only from the sources above, and end it with the number of the"
    f" source in brackets. If they do not answer it, say: {NO_ANSWER}"
)
# Without it, a model says that the sources do not answer, instead of calling a tool.
TOOL_INSTRUCTION = (
    "You can call tools as well, if they help with the question. An answer from their results needs"
    " no number."
)

_NUMBER_IN_BRACKETS = re.compile(r"\[(\s*\d[\d\s,;\u2013-]*)\]")
_ROW = re.compile(rf"^(.*{re.escape(CELL_SEPARATOR)}.*)$", re.MULTILINE)
_DECLINES = re.compile(r"\W*i (?:do not|don['\u2019]t) know\b", re.IGNORECASE)


def answer_messages(
    question: QuestionPart,
    hits: Sequence[Hit],
    clips: Sequence[Clip | None] | None = None,
    *,
    facts: Sequence[str] | None = None,
    history: Sequence[HistoryTurn] = (),
    instructions: str = "",
    tools: bool = False,
) -> list[Message]:
    """Build the prompt of a cited answer: history, sources, instruction, question.

    Sources are numbered by rank from 1, and ordered by `second_best_last`.

    Args:
        question: the question.
        hits: sources, best first.
        clips: audio of each hit, for audio-capable generators; None for text.
        facts: measurements of each hit's audio in words; empty for text.
        history: earlier turns, oldest first.
        instructions: further instructions of the user.
        tools: True if the generator can call tools.

    Example:
        >>> hit = Hit(Passage("timetable.md", 0, "The ferry leaves at nine."), 1, 1.0, {})
        >>> messages = answer_messages(QuestionPart("When does the ferry leave?"), [hit])
        >>> [message.role for message in messages]
        ['system', 'user']
    """
    clips = clips if clips is not None else [None] * len(hits)
    facts = facts if facts is not None else [""] * len(hits)
    sources = [
        SourcePart(number, hit, clip, fact)
        for number, (hit, clip, fact) in enumerate(zip(hits, clips, facts, strict=True), start=1)
    ]
    system = [TextPart(text) for text in (SYSTEM, instructions) if text]
    messages = [Message("system", tuple(system))]
    for turn in history:
        messages.append(Message("user", (QuestionPart(turn.question),)))
        messages.append(Message("assistant", (TextPart(turn.answer or NO_ANSWER),)))
    instruction = f"{INSTRUCTION} {TOOL_INSTRUCTION}" if tools else INSTRUCTION
    prompt = Message("user", (*second_best_last(sources), TextPart(instruction), question))
    return [*messages, prompt]


def second_best_last(ranking: Sequence[T]) -> list[T]:
    """Reorder sources for a prompt: the best first, the second best last.

    Models use the middle of a prompt least (Liu et al., "Lost in the Middle", arXiv 2307.03172).
    """
    return [*ranking[:1], *ranking[2:], *ranking[1:2]]


def find_question(messages: Sequence[Message]) -> QuestionPart:
    """Return the last question of the messages.

    Raises:
        GenerationError: there is none.
    """
    for message in reversed(messages):
        for message_part in reversed(message.parts):
            if isinstance(message_part, QuestionPart):
                return message_part
    raise GenerationError("the messages hold no question: make them with answer_messages")


def list_sources(messages: Sequence[Message]) -> list[SourcePart]:
    """Return all sources of the messages by number, the best first."""
    sources = [
        source for message in messages for source in message.parts if isinstance(source, SourcePart)
    ]
    return sorted(sources, key=lambda source: source.number)


def replace_sources(messages: Sequence[Message], sources: Sequence[SourcePart]) -> list[Message]:
    """Put sources in the positions of those with their numbers, and remove all others."""
    by_number = {source.number: source for source in sources}
    output = []
    for message in messages:
        parts = (
            by_number.get(part.number) if isinstance(part, SourcePart) else part
            for part in message.parts
        )
        output.append(Message(message.role, tuple(part for part in parts if part is not None)))
    return output


def chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Render messages for chat completions: role and content."""
    return [{"role": message.role, "content": render(message.parts)} for message in messages]


def render(parts: Sequence[MessagePart]) -> str:
    """Render message parts as text for a model that reads.

    A source is its label and, on the next line, its text.

    Raises:
        GenerationError: the question is a recording without a transcript.
    """
    return "\n\n".join(_render_part(part) for part in parts)


def _render_part(message_part: MessagePart) -> str:
    if isinstance(message_part, TextPart):
        return message_part.text
    if isinstance(message_part, QuestionPart):
        if message_part.text is None:
            raise GenerationError(
                "the question is a recording without words, and this generator reads text only:"
                " use the extractive generator, or an embedder that recognises words"
            )
        return f"Question: {message_part.text.strip()}"
    words = _one_line(without_marks(message_part.hit.passage.text or ""))
    return f"{label(message_part)}\n{words or '(sound without words)'}"


def _one_line(text: str) -> str:
    """Join lines, except rows of tables: joined, a cell could belong to the row before."""
    lines = (" ".join(line.split()) for line in _ROW.split(text))
    return "\n".join(filter(None, lines))


def label(source: SourcePart) -> str:
    """Label of a source in a prompt.

    `[1] document "Timetable", page 3, Winter`, or `[2] recording "harbour notes", 0:13.5-0:27.8,
    speech, 14.3 s, quiet (-38 dBFS)` with the measurements of its audio. Bracketed numbers in
    titles and headings are rewritten, so that the label holds one mark.
    """
    passage = source.hit.passage
    title = without_marks(" ".join(get_title(passage).replace('"', "'").split()))
    kind = "recording" if passage.modality == "audio" else "document"
    location = without_marks(" ".join(get_location(passage).split()))
    name = passage.speaker
    if name is None and passage.modality == "audio":
        name = str(passage.metadata.get("speaker", ""))
    speaker = without_marks(f"speaker {' '.join(name.split())}") if name else ""
    fields = (f'{kind} "{title}"', location, speaker, without_marks(source.facts))
    return f"[{source.number}] {', '.join(filter(None, fields))}"


def get_title(passage: Passage) -> str:
    """Title of the passage's document, or its file name."""
    return passage.title or PurePath(passage.source or passage.document_id).name


def get_location(passage: Passage) -> str:
    """Time span of a recording or a transcript; page and section of other text, if any."""
    if passage.start is not None:
        return passage.location
    page = f"page {passage.page}" if passage.page is not None else ""
    return ", ".join(filter(None, (page, passage.section)))


def without_marks(text: str) -> str:
    """Rewrite `[12]` in the text of a source as `(12)`, so that it is not read as a citation."""
    return _NUMBER_IN_BRACKETS.sub(r"(\1)", text)


def is_refusal(answer: str) -> bool:
    """True if an answer says that the sources do not contain it."""
    return _DECLINES.match(answer) is not None
