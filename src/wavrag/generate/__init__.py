"""Messages to answers: the generator seam, prompts, citations, and the generators."""

from wavrag.generate.base import (
    AnswerEnd,
    AudioBudget,
    GenerateOptions,
    Generator,
    GeneratorSpec,
    Message,
    Part,
    QuestionPart,
    SourcePart,
    StopSignal,
    Stream,
    TextPart,
)
from wavrag.generate.citations import CitedText, attribute, parse_citations
from wavrag.generate.extractive import ExtractiveGenerator, ExtractiveOptions
from wavrag.generate.fake import FakeGenerator
from wavrag.generate.hearing import GeneratorInput, fit_audio
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
    "AnswerEnd",
    "AudioBudget",
    "CitedText",
    "ExtractiveGenerator",
    "ExtractiveOptions",
    "FakeGenerator",
    "GenerateOptions",
    "Generator",
    "GeneratorInput",
    "GeneratorSpec",
    "LocalGenerator",
    "LocalOptions",
    "MapReduceGenerator",
    "Message",
    "Part",
    "QuestionPart",
    "SourcePart",
    "StopSignal",
    "Stream",
    "TextPart",
    "answer_messages",
    "attribute",
    "chat",
    "content_words",
    "declines",
    "fit_audio",
    "load_generator",
    "parse_citations",
    "question_of",
    "render",
    "sources_of",
]
