"""Generators: messages in, answers out.

`base` defines the seam, `prompts` builds and renders messages, `audio_input` chooses the clips for
models that hear, and `citation_marks` parses the marks of an answer.
"""

from wavrag.generate.audio_input import GeneratorInput, fit_audio
from wavrag.generate.base import (
    AnswerEnd,
    AudioBudget,
    GenerateOptions,
    Generator,
    GeneratorSpec,
    Message,
    QuestionPart,
    SourcePart,
    StopSignal,
    Stream,
    TextPart,
    Tool,
    ToolResult,
)
from wavrag.generate.citation_marks import attribute, parse_citations
from wavrag.generate.extractive import ExtractiveGenerator, find_short_answer, rank_quotes
from wavrag.generate.fake import FakeGenerator
from wavrag.generate.local import LocalGenerator, LocalOptions
from wavrag.generate.map_reduce import MapReduceGenerator
from wavrag.generate.prompts import (
    INSTRUCTION,
    NO_ANSWER,
    answer_messages,
    chat,
    find_question,
    is_refusal,
    list_sources,
    render,
    without_marks,
)
from wavrag.generate.registry import load_generator
from wavrag.generate.words import content_words

__all__ = [
    "INSTRUCTION",
    "NO_ANSWER",
    "AnswerEnd",
    "AudioBudget",
    "ExtractiveGenerator",
    "FakeGenerator",
    "GenerateOptions",
    "Generator",
    "GeneratorInput",
    "GeneratorSpec",
    "LocalGenerator",
    "LocalOptions",
    "MapReduceGenerator",
    "Message",
    "QuestionPart",
    "SourcePart",
    "StopSignal",
    "Stream",
    "TextPart",
    "Tool",
    "ToolResult",
    "answer_messages",
    "attribute",
    "chat",
    "content_words",
    "find_question",
    "find_short_answer",
    "fit_audio",
    "is_refusal",
    "list_sources",
    "load_generator",
    "parse_citations",
    "rank_quotes",
    "render",
    "without_marks",
]  # fmt: skip
