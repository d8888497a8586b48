"""The cascade: speech is recognised, and its words are embedded as text.

The baseline that the paper compares with, and an embedder of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wavrag import config
from wavrag.embed import minilm, moonshine
from wavrag.embed.base import EmbedderSpec, Views, check_items
from wavrag.embed.minilm import MiniLM
from wavrag.embed.moonshine import Moonshine
from wavrag.embed.runtime import Workers
from wavrag.types import Float32, Item, Role

SPEC = replace(
    minilm.SPEC,
    name="cascade",
    revision=f"{moonshine.REVISION}+{minilm.REVISION}",
    modalities=frozenset({"text", "audio"}),
    sampling_rate=moonshine.SAMPLE_RATE,
    max_audio_seconds=moonshine.MAX_SECONDS,
    licence="MIT AND Apache-2.0",
    gives_words=True,
)


class Cascade:
    """Moonshine tiny, then all-MiniLM-L6-v2.

    An item of text and sound is embedded as its text followed by the recognised words.
    """

    def __init__(self, threads: int | None = None) -> None:
        threads = threads or config.threads()
        self._recogniser = Moonshine()
        self._text_embedder = MiniLM(threads)
        self._workers = Workers(threads)

    @property
    def spec(self) -> EmbedderSpec:
        """What it is and can do."""
        return SPEC

    def load(self) -> None:
        """Read the weights of both models now rather than at the first item."""
        self._recogniser.load()
        self._text_embedder.load()

    def embed(self, items: Sequence[Item], role: Role) -> Float32:
        """Embed texts and clips."""
        return self.views(items, role).vectors

    def views(self, items: Sequence[Item], role: Role) -> Views:
        """Embed texts and clips; a clip's words are those recognised, empty if there are none."""
        check_items(SPEC, items)
        words = self._workers.map(self._words, items)
        texts = [
            "\n".join(part for part in (item.text, heard) if part)
            for item, heard in zip(items, words, strict=True)
        ]
        return Views(
            self._text_embedder.embed_texts(texts),
            tuple(
                item.text if item.clip is None else heard
                for item, heard in zip(items, words, strict=True)
            ),
        )

    def _words(self, item: Item) -> str:
        if item.clip is None:
            return ""
        # Without voice the recogniser invents words.
        return "" if item.clip.speech is False else self._recogniser.transcribe(item.clip)
