"""Generators by name."""

from __future__ import annotations

from wavrag.arguments import check_type
from wavrag.errors import GenerationError
from wavrag.generate.base import Generator
from wavrag.generate.extractive import ExtractiveGenerator

GENERATORS = (
    "extractive",
    "local",
    "local:/path/to/model.gguf",
    "qwen2-audio:FOLDER",
    "openai:MODEL",
    "map-reduce:NAME",
    "fake",
)
_ARGUMENTS = {
    "local": "the path of a GGUF model",
    "openai": "the name of a model",
    "qwen2-audio": "a folder, or ORG/NAME on the hub,",
}


def load_generator(name: str) -> Generator:
    """Load a generator by name.

    Args:
        name: `extractive` (quotes), `local` (SmolLM2 in this process), `local:PATH` (another GGUF
            model), `qwen2-audio:FOLDER` (Qwen2-Audio in this process, from a folder or the hub),
            `openai:MODEL` (an OpenAI-compatible endpoint; `openai:MODEL+audio` sends audio to it,
            `openai:MODEL+text` only text), `fake` (for tests), or `map-reduce:NAME` (reads each
            source separately with another generator).

    Raises:
        GenerationError: the name is unknown, or the model, address or key is missing.
        MissingExtraError: a required package is not installed.

    Example:
        >>> load_generator("extractive").spec.quotes
        True
    """
    check_type(name, str, "the generator")
    kind, separator, argument = name.partition(":")
    if kind in _ARGUMENTS and separator and not argument:
        raise GenerationError(f"the generator {name!r} lacks {_ARGUMENTS[kind]} after the colon")
    match kind, argument:
        case "map-reduce", inner if inner:
            from wavrag.generate.map_reduce import MapReduceGenerator

            generator = load_generator(inner)
            if generator.spec.quotes:
                # A quoting generator weights words by the number of sentences with them.
                raise GenerationError(
                    f"the generator {inner!r} quotes, and ranks its sources together: map-reduce"
                    " needs a generator that writes, such as map-reduce:local"
                )
            return MapReduceGenerator(generator)
        case "extractive", "":
            return ExtractiveGenerator()
        case "fake", "":
            from wavrag.generate.fake import FakeGenerator

            return FakeGenerator()
        case "local", path:
            from wavrag.generate.local import LocalGenerator

            return LocalGenerator(path or None)
        case "qwen2-audio", model if model:
            from wavrag.generate.qwen2_audio import Qwen2AudioGenerator

            return Qwen2AudioGenerator(model)
        case "openai", model if model:
            from wavrag.generate.openai import OpenAIGenerator

            return OpenAIGenerator(model)
    names = ", ".join(GENERATORS)
    raise GenerationError(f"no generator is called {name!r}: choose one of {names}")
