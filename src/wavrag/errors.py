"""One tree of errors. Every message names what was wrong with which input, and what to do.

WavRAGError
├── InputError              something given to WavRAG cannot be used
│   ├── AudioError          a recording that cannot be decoded or has no samples
│   ├── DocumentError       a text, HTML, Markdown or PDF file that cannot be read
│   └── FilterError         a `--where` expression that cannot be understood
├── EmbedderError           an embedder that cannot be loaded, or was asked for what it cannot do
├── StoreError              a knowledge base that cannot be read or written
│   └── IndexMismatchError  a knowledge base made by another embedder or format
├── GenerationError         a generator that cannot be loaded or failed to answer
├── SpeechError             nothing here can speak, or a text that cannot be spoken
└── MissingExtraError       a part that an optional extra brings is not installed
"""

from __future__ import annotations

from typing import Any


class WavRAGError(Exception):
    """Base of every error that WavRAG raises on purpose; its message is fit to be shown."""


class InputError(WavRAGError):
    """Something given to WavRAG cannot be used."""


class AudioError(InputError):
    """A recording cannot be decoded or has no samples."""


class DocumentError(InputError):
    """A text, HTML, Markdown or PDF file cannot be read."""


class FilterError(InputError):
    """A filter expression cannot be understood."""


class EmbedderError(WavRAGError):
    """An embedder cannot be loaded, or was asked for what it cannot do."""


class StoreError(WavRAGError):
    """A knowledge base cannot be read or written."""


class IndexMismatchError(StoreError):
    """A knowledge base was made by another embedder, or in another format."""


class GenerationError(WavRAGError):
    """A generator cannot be loaded or failed to answer.

    Attributes:
        hits: what was found for the question (`wavrag.types.Hit`), where that had been done.
    """

    hits: tuple[Any, ...] = ()


class SpeechError(WavRAGError):
    """Nothing here can speak, or a text cannot be spoken."""


class MissingExtraError(WavRAGError):
    """A part that an optional extra brings is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra: pip install 'wavrag[{extra}]'")
        self.extra = extra
