"""Embedders by name."""

from __future__ import annotations

from collections.abc import Callable

from wavrag.embed.base import Embedder
from wavrag.errors import EmbedderError


def _cascade() -> Embedder:
    from wavrag.embed.cascade import Cascade

    return Cascade()


def _wavretriever_mini() -> Embedder:
    from wavrag.embed.wavretriever import WavRetrieverMini

    return WavRetrieverMini()


def _minilm() -> Embedder:
    from wavrag.embed.minilm import MiniLM

    return MiniLM()


def _fake() -> Embedder:
    from wavrag.embed.fake import FakeEmbedder

    return FakeEmbedder()


EMBEDDERS: dict[str, Callable[[], Embedder]] = {
    "wavretriever-mini": _wavretriever_mini,
    "cascade": _cascade,
    "minilm": _minilm,
    "fake": _fake,
}


def load_embedder(name: str) -> Embedder:
    """The embedder of that name.

    Args:
        name: `wavretriever-mini` (hears in one pass), `cascade` (speech is recognised, its words
            are embedded), `minilm` (text only) or `fake` (without weights, for tests).

    Raises:
        EmbedderError: there is none of that name, or what it needs is not installed.
    """
    try:
        build = EMBEDDERS[name]
    except KeyError:
        known = ", ".join(EMBEDDERS)
        raise EmbedderError(f"no embedder is called {name!r}: choose one of {known}") from None
    return build()
