"""Load embedders and recognisers by name."""

from __future__ import annotations

from collections.abc import Callable

from wavrag.embed.base import Embedder
from wavrag.embed.recogniser import Recogniser
from wavrag.errors import EmbedderError

# The builders import their modules themselves: loading one embedder must not import the libraries
# of all others, some of which are optional.


def _cascade(name: str = "cascade") -> Embedder:
    from wavrag.embed.cascade import Cascade, split_name

    recogniser, text_embedder = split_name(name)
    return Cascade(load_recogniser(recogniser), load_embedder(text_embedder))


def _wavretriever_mini() -> Embedder:
    from wavrag.embed.wavretriever import WavRetrieverMini

    return WavRetrieverMini()


def _minilm() -> Embedder:
    from wavrag.embed.minilm import MiniLM

    return MiniLM()


def _raw_moonshine() -> Embedder:
    from wavrag.embed.raw_moonshine import RawMoonshine

    return RawMoonshine()


def _fake() -> Embedder:
    from wavrag.embed.fake import FakeEmbedder

    return FakeEmbedder()


def _remote(name: str) -> Embedder:
    from wavrag.embed.remote import RemoteEmbedder, RemoteOptions

    return RemoteEmbedder(RemoteOptions.from_name(name))


def _clap(name: str) -> Embedder:
    from wavrag.embed.clap import load_clap

    return load_clap(name)


def _sentence_model(name: str) -> Embedder:
    from wavrag.embed.sentence_model import PREFIX, SentenceModel

    return SentenceModel(name.removeprefix(PREFIX))


EMBEDDERS: dict[str, Callable[[], Embedder]] = {
    "wavretriever-mini": _wavretriever_mini,
    "cascade": _cascade,
    "minilm": _minilm,
    "fake": _fake,
    "raw:moonshine": _raw_moonshine,
}

PREFIXES: dict[str, Callable[[str], Embedder]] = {
    "cascade:": _cascade,
    "clap:": _clap,
    "st:": _sentence_model,
    "http://": _remote,
    "https://": _remote,
}
"""Builders by prefix; they get the complete name."""


def load_embedder(name: str) -> Embedder:
    """Load an embedder by name.

    | name | embedder |
    |---|---|
    | `wavretriever-mini` | speech, sounds and text in one pass |
    | `cascade` (default) | transcribes speech with Moonshine, embeds the transcript with MiniLM |
    | `cascade:RECOGNISER`, `cascade:RECOGNISER,text=EMBEDDER` | a cascade of other models |
    | `minilm` | text only |
    | `clap:ORG/NAME`, `clap:FOLDER` | sounds and captions |
    | `st:ORG/NAME`, `st:FOLDER` | a sentence-transformers model |
    | `http://HOST:8000`, `http://HOST:8000#MODEL` | a model on a server |
    | `raw:moonshine` | encoder without contrastive training, for comparisons |
    | `fake` | no weights, for tests |

    Args:
        name: a name from the table; RECOGNISER is a name for `load_recogniser`, EMBEDDER another
            name from the table.

    Raises:
        EmbedderError: the name is unknown, or a dependency is not installed.

    Example:
        >>> from wavrag import load_embedder
        >>> load_embedder("fake").spec.dim
        64
    """
    for prefix, build_named in PREFIXES.items():
        if name.startswith(prefix):
            return build_named(name)
    try:
        build = EMBEDDERS[name]
    except KeyError:
        names = ", ".join(EMBEDDERS)
        raise EmbedderError(
            f"unknown embedder {name!r}: choose one of {names}, cascade:RECOGNISER (moonshine,"
            " pocketsphinx or whisper=FOLDER), clap:FOLDER, st:ORG/NAME, st:FOLDER, or the address"
            " of a server, http://HOST:8000#MODEL"
        ) from None
    return build()


def load_recogniser(name: str) -> Recogniser:
    """Load a recogniser by name.

    Args:
        name: `moonshine` (English, packaged), `whisper=FOLDER` (a Whisper model in the CTranslate2
            format) or `pocketsphinx` (English, small and weak).

    Raises:
        EmbedderError: the name is unknown, or the folder contains no model.
    """
    kind, _, folder = name.partition("=")
    if kind == "whisper" and folder:
        from wavrag.embed.whisper import Whisper

        return Whisper(folder)
    if name == "moonshine":
        from wavrag.embed.moonshine import Moonshine

        return Moonshine()
    if name == "pocketsphinx":
        from wavrag.embed.sphinx import PocketSphinx

        return PocketSphinx()
    raise EmbedderError(
        f"unknown recogniser {name!r}: choose moonshine, pocketsphinx or whisper=FOLDER, the folder"
        " of a Whisper model in the CTranslate2 format"
    )
