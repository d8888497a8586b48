"""Generators by name."""

from __future__ import annotations

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
_NEEDED = {
    "local": "the path of a GGUF model",
    "openai": "the name of a model",
    "qwen2-audio": "a folder, or ORG/NAME on the hub,",
}


def load_generator(spec: str) -> Generator:
    """The generator of that name.

    Args:
        spec: `extractive` (quotes), `local` (SmolLM2 in this process), `local:PATH` (another GGUF
            model), `qwen2-audio:FOLDER` (a Qwen2-Audio in this process, from a folder or the hub),
            `openai:MODEL` (an OpenAI-compatible endpoint; `openai:MODEL+audio` is given sound, and
            `openai:MODEL+text` words only), `fake` (for tests), or `map-reduce:` before
            one that writes: each source is read alone.

    Raises:
        GenerationError: there is none of that name, or it lacks its model, address or key.
        MissingExtraError: what it needs is not installed.
    """
    kind, separator, rest = spec.partition(":")
    if kind in _NEEDED and separator and not rest:
        raise GenerationError(f"the generator {spec!r} lacks {_NEEDED[kind]} after the colon")
    match kind, rest:
        case "map-reduce", inner if inner:
            return _map_reduce(inner)
        case "extractive", "":
            return ExtractiveGenerator()
        case "fake", "":
            from wavrag.generate.fake import FakeGenerator

            return FakeGenerator()
        case "local", path:
            from wavrag.generate.local import LocalGenerator

            return LocalGenerator(path or None)
        case "qwen2-audio", place if place:
            from wavrag.generate.qwen2_audio import Qwen2AudioGenerator

            return Qwen2AudioGenerator(place)
        case "openai", model if model:
            from wavrag.generate.openai import OpenAIGenerator

            return OpenAIGenerator(model)
    known = ", ".join(GENERATORS)
    raise GenerationError(f"no generator is called {spec!r}: choose one of {known}")


def _map_reduce(spec: str) -> Generator:
    """One that reads each source alone; what quotes ranks its sources together, and cannot."""
    from wavrag.generate.map_reduce import MapReduceGenerator

    generator = load_generator(spec)
    if generator.spec.quotes:
        raise GenerationError(
            f"the generator {spec!r} quotes, and weighs its sources together: map-reduce takes one"
            " that writes, such as map-reduce:local"
        )
    return MapReduceGenerator(generator)
