"""Messages to answers: the generator seam, prompts, citations, and the generators."""

from wavrag.generate.base import (
    Ended,
    GenerateOptions,
    Generator,
    Message,
    Part,
    QuestionPart,
    SourcePart,
    Stop,
    Stream,
    TextPart,
)
from wavrag.generate.citations import CitedText, attribute, parse_citations
from wavrag.generate.extractive import ExtractiveGenerator, ExtractiveOptions
from wavrag.generate.fake import FakeGenerator
from wavrag.generate.hearing import GivenMessages, as_given, hearing_of
from wavrag.generate.local import LocalGenerator, LocalOptions
from wavrag.generate.map_reduce import MapReduceGenerator
from wavrag.generate.prompts import (
    INSTRUCTION,
    NO_ANSWER,
    answer_messages,
    chat,
    declines,
    question_of,
    render,
    sources_of,
)
from wavrag.generate.registry import load_generator
from wavrag.generate.words import content_words

__all__ = [
    "INSTRUCTION",
    "NO_ANSWER",
    "CitedText",
    "Ended",
    "ExtractiveGenerator",
    "ExtractiveOptions",
    "FakeGenerator",
    "GenerateOptions",
    "Generator",
    "GivenMessages",
    "LocalGenerator",
    "LocalOptions",
    "MapReduceGenerator",
    "Message",
    "Part",
    "QuestionPart",
    "SourcePart",
    "Stop",
    "Stream",
    "TextPart",
    "answer_messages",
    "as_given",
    "attribute",
    "chat",
    "content_words",
    "declines",
    "hearing_of",
    "load_generator",
    "parse_citations",
    "question_of",
    "render",
    "sources_of",
]
