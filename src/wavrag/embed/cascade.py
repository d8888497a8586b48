"""The cascade: speech is recognised, and its words are embedded as text.

The baseline that the paper compares with, and an embedder of its own. What recognises and what
embeds the words can each be another: `cascade:RECOGNISER,text=EMBEDDER`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from wavrag import config
from wavrag.embed.base import Embedder, EmbedderSpec, EmbedResult, check_inputs
from wavrag.embed.minilm import MiniLM
from wavrag.embed.moonshine import Moonshine
from wavrag.embed.recogniser import Recogniser
from wavrag.embed.runtime import Workers
from wavrag.errors import EmbedderError
from wavrag.types import EmbedInput, Float32, Role

NAME = "cascade"
TEXT = ",text="  # before the name of the text embedder
DEFAULT_PARTS = ("moonshine", "minilm")  # of the name `cascade`


class Cascade(Embedder):
    """A recogniser, Moonshine tiny by default, then a text embedder, all-MiniLM-L6-v2 by default.

    An item of text and sound is embedded as its text followed by the recognised words.
    """

    def __init__(
        self,
        recogniser: Recogniser | None = None,
        text_embedder: Embedder | None = None,
        threads: int | None = None,
    ) -> None:
        """Put the two together.

        Args:
            recogniser: what hears.
            text_embedder: what embeds the words.
            threads: clips heard at a time; by default one for each processor.

        Raises:
            EmbedderError: the text embedder does not embed text.
        """
        threads = threads or config.threads()
        self._recogniser = recogniser or Moonshine()
        self._text_embedder = text_embedder or MiniLM(threads)
        self._workers = Workers(threads)
        text = self._text_embedder.spec
        if "text" not in text.modalities:
            raise EmbedderError(
                f"{text.name} embeds no text, and a cascade embeds words: use a text embedder, such"
                " as minilm"
            )

    @cached_property
    def spec(self) -> EmbedderSpec:
        """What it is and can do: the text embedder's vectors, for what the recogniser hears."""
        heard, text = self._recogniser.spec, self._text_embedder.spec
        return replace(
            text,
            name=_name(heard.name, text.name),
            revision=f"{heard.revision}+{text.revision}",
            modalities=frozenset({"text", "audio"}),
            sampling_rate=heard.sampling_rate,
            max_audio_seconds=heard.max_seconds,
            languages=tuple(one for one in heard.languages if {one, "mul"} & set(text.languages)),
            licence=" AND ".join(dict.fromkeys((heard.licence, text.licence))),
            transcribes=True,
        )

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Embed texts and clips."""
        return self.embed_with_texts(inputs, role).vectors

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        """Embed texts and clips; a clip's words are those recognised, empty if there are none."""
        check_inputs(self.spec, inputs)
        words = self._workers.map(self._words, inputs)
        texts = [
            "\n".join(part for part in (item.text, heard) if part)
            for item, heard in zip(inputs, words, strict=True)
        ]
        return EmbedResult(
            self._text_embedder.embed([EmbedInput(text=text) for text in texts], role),
            tuple(
                item.text if item.clip is None else heard
                for item, heard in zip(inputs, words, strict=True)
            ),
        )

    def _words(self, item: EmbedInput) -> str:
        if item.clip is None:
            return ""
        # Without voice the recogniser invents words.
        return "" if item.clip.speech is False else self._recogniser.transcribe(item.clip)


def split_name(name: str) -> tuple[str, str]:
    """The recogniser and the text embedder of a cascade's name; what it leaves out by default.

    `cascade:whisper=FOLDER,text=st:ORG/NAME` names both.

    Raises:
        EmbedderError: one of them is empty.
    """
    heard, text = DEFAULT_PARTS
    rest = name.removeprefix(NAME)
    if not rest:
        return heard, text
    named, separator, given = rest.removeprefix(":").partition(TEXT)
    if not named or (separator and not given):
        raise EmbedderError(
            f"the embedder {name!r} lacks a part: write cascade:RECOGNISER or"
            " cascade:RECOGNISER,text=EMBEDDER, such as cascade:pocketsphinx,text=minilm"
        )
    return named, given or text


def _name(heard: str, text: str) -> str:
    """As short as `split_name` understands it."""
    name = NAME if (heard, text) == DEFAULT_PARTS else f"{NAME}:{heard}"
    return name if text == DEFAULT_PARTS[1] else f"{name}{TEXT}{text}"
