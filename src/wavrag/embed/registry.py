"""Embedders by name."""

from __future__ import annotations

from collections.abc import Callable

from wavrag.embed.base import Embedder
from wavrag.embed.recogniser import Recogniser
from wavrag.errors import EmbedderError


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
"""Builders of names that start so; they take the whole name."""


def load_embedder(name: str) -> Embedder:
    """The embedder of that name.

    Args:
        name: `wavretriever-mini` (hears in one pass), `cascade` (speech is recognised, its words
            are embedded), `minilm` (text only), `fake` (without weights, for tests),
            `raw:moonshine` (an untrained encoder, sound only, to compare with);
            `cascade:RECOGNISER` or `cascade:RECOGNISER,text=EMBEDDER`: a cascade of other parts,
            where RECOGNISER is `moonshine`, `pocketsphinx` or `whisper=FOLDER`
            (`wavrag.embed.recogniser`) and EMBEDDER any of these names that embeds text;
            `clap:ORG/NAME` or `clap:FOLDER`: sounds and captions (`wavrag.embed.clap`);
            `st:ORG/NAME` or `st:FOLDER`: a model that sentence-transformers runs
            (`wavrag.embed.sentence_model`); `http://HOST:8000#MODEL`: a model that a server
            embeds with (`wavrag.embed.remote`), without `#MODEL` the only one that it serves.

    Raises:
        EmbedderError: there is none of that name, or what it needs is not installed.
    """
    for prefix, build_named in PREFIXES.items():
        if name.startswith(prefix):
            return build_named(name)
    try:
        build = EMBEDDERS[name]
    except KeyError:
        known = ", ".join(EMBEDDERS)
        raise EmbedderError(
            f"no embedder is called {name!r}: choose one of {known}, cascade:RECOGNISER (moonshine,"
            " pocketsphinx or whisper=FOLDER), clap:FOLDER, st:ORG/NAME, st:FOLDER, or the address"
            " of a server, http://HOST:8000#MODEL"
        ) from None
    return build()


def load_recogniser(name: str) -> Recogniser:
    """The recogniser of that name.

    Args:
        name: `moonshine` (tiny, English, in the package), `whisper=FOLDER` (a Whisper model in
            the CTranslate2 format) or `pocketsphinx` (English, small and weak).

    Raises:
        EmbedderError: there is none of that name, or its folder is not a model's.
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
        f"no recogniser is called {name!r}: choose moonshine, pocketsphinx or whisper=FOLDER, where"
        " FOLDER holds a Whisper model in the CTranslate2 format"
    )
