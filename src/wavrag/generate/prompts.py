"""Messages that ask for a cited answer, and how models that read are shown them.

Pure functions on the parts of `wavrag.generate.base`. A source keeps its structure until `render`
turns it into a numbered line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from wavrag.errors import GenerationError
from wavrag.generate.base import Message, Part, QuestionPart, SourcePart, TextPart
from wavrag.types import Clip, Hit, Passage

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
    question: QuestionPart, hits: Sequence[Hit], clips: Sequence[Clip | None] | None = None
) -> list[Message]:
    """What to send to a generator: the sources from [1] on, the instruction and the question.

    Args:
        question: what is asked.
        hits: sources, best first.
        clips: for generators that hear, the sound of each hit; None where a hit has none.
    """
    sounds = clips if clips is not None else [None] * len(hits)
    sources = [
        SourcePart(number, hit, clip)
        for number, (hit, clip) in enumerate(zip(hits, sounds, strict=True), start=1)
    ]
    return [
        Message("system", (TextPart(SYSTEM),)),
        Message("user", (*sources, TextPart(INSTRUCTION), question)),
    ]


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
    """All sources in the messages, in their order."""
    return [part for message in messages for part in message.parts if isinstance(part, SourcePart)]


def drop_source(messages: Sequence[Message], number: int) -> list[Message]:
    """The messages without the source of that number; the others keep theirs."""
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

    A source is `[1] (audio, title, 12:03.4-12:19.0) words` or `[2] (text, title, page 3) words`.

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
    passage = part.hit.passage
    place = place_of(passage)
    about = ", ".join(filter(None, (passage.modality, title_of(passage), place)))
    words = " ".join(without_marks(passage.text or "").split())
    return f"[{part.number}] ({about}) {words or 'sound without words'}"


def title_of(passage: Passage) -> str:
    """The title of the passage's document, or the name of its file."""
    return passage.title or PurePath(passage.source or passage.document_id).name


def place_of(passage: Passage) -> str:
    """The seconds of a recording's passage; page and section of a text's, if it has any."""
    if passage.modality == "audio":
        return passage.place
    page = f"page {passage.page}" if passage.page is not None else ""
    return ", ".join(filter(None, (page, passage.section)))


def without_marks(text: str) -> str:
    """Text of a source whose own `[12]` reads `(12)`, so that it is not taken for a citation."""
    return _NUMBER_IN_BRACKETS.sub(r"(\1)", text)


def declines(answer: str) -> bool:
    """Whether a model's answer is that the sources do not answer the question."""
    return _DECLINES.match(answer) is not None
