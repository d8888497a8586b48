"""All exceptions of WavRAG. Each message names the faulty input and the remedy.

WavRAGError
├── InputError              invalid input
│   ├── AudioError          a recording is not decodable or has no samples
│   ├── DocumentError       a text, HTML, Markdown or PDF file is not readable
│   ├── DownloadError       a URL cannot be fetched, or must not be
│   └── FilterError         a `--where` expression has a syntax error
├── EmbedderError           an embedder cannot be loaded, or its input is unsupported
├── StoreError              a knowledge base cannot be read or written
│   └── IndexMismatchError  a knowledge base has another embedder or format
├── GenerationError         a generator cannot be loaded or failed to answer
├── SpeechError             no speech engine is available, or a text cannot be spoken
└── MissingExtraError       an optional dependency is not installed
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class WavRAGError(Exception):
    """Base class of all errors raised on purpose; the message is suitable for end users."""


class InputError(WavRAGError):
    """Invalid input."""


class AudioError(InputError):
    """A recording is not decodable or has no samples."""


class DocumentError(InputError):
    """A text, HTML, Markdown or PDF file is not readable."""


class DownloadError(InputError):
    """A URL cannot be fetched within the limits, has a private address or is no feed."""


class FilterError(InputError):
    """A filter expression has a syntax error."""


class EmbedderError(WavRAGError):
    """An embedder cannot be loaded, or its input is unsupported."""


class StoreError(WavRAGError):
    """A knowledge base cannot be read or written."""


class IndexMismatchError(StoreError):
    """A knowledge base has another embedder or another format."""


class GenerationError(WavRAGError):
    """A generator cannot be loaded or failed to answer.

    Attributes:
        hits: hits for the question (`wavrag.types.Hit`), if the retrieval had finished.
    """

    hits: tuple[Any, ...] = ()


class SpeechError(WavRAGError):
    """No speech engine is available, or a text cannot be spoken."""


class MissingExtraError(WavRAGError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'wavrag[{extra}]'")
        self.extra = extra


def suggest_name(word: str, names: Iterable[str]) -> str:
    """The end of a message on an unknown name: `: did you mean X?`; empty if none is similar.

    Example:
        >>> suggest_name("infos", ["info", "list"])
        ': did you mean info?'
    """
    from difflib import get_close_matches

    matches = get_close_matches(word, list(names), n=1)
    return f": did you mean {matches[0]}?" if matches else ""
