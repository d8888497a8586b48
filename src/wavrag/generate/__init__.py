"""Messages to answers: the generator seam, prompts, citations, and the generators."""

from wavrag.generate.base import (
    GenerateOptions,
    Generator,
    Message,
    Part,
    QuestionPart,
    SourcePart,
    TextPart,
)
from wavrag.generate.citations import CitedText, attribute, parse_citations
from wavrag.generate.extractive import ExtractiveGenerator, ExtractiveOptions
from wavrag.generate.fake import FakeGenerator
from wavrag.generate.prompts import answer_messages, declines, render, sources_of
from wavrag.generate.registry import load_generator

__all__ = [
    "CitedText",
    "ExtractiveGenerator",
    "ExtractiveOptions",
    "FakeGenerator",
    "GenerateOptions",
    "Generator",
    "Message",
    "Part",
    "QuestionPart",
    "SourcePart",
    "TextPart",
    "answer_messages",
    "attribute",
    "declines",
    "load_generator",
    "parse_citations",
    "render",
    "sources_of",
]
