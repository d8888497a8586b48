"""Load embedders, recognisers and rerankers by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from wavrag.arguments import check_type
from wavrag.embed.base import Embedder
from wavrag.embed.cross_encoder import CrossEncoder, OnnxCrossEncoder, SentenceCrossEncoder
from wavrag.embed.fake import FakeReranker
from wavrag.embed.recogniser import Recogniser
from wavrag.errors import EmbedderError

# The builders import their modules themselves: loading one embedder must not import the libraries
# of all others, some of which are optional.


def _create(module: str, class_name: str, **options: bool) -> Embedder:
    embedder: Embedder = getattr(import_module(f"wavrag.embed.{module}"), class_name)(**options)
    return embedder


def _cascade(name: str) -> Embedder:
    from wavrag.embed.cascade import Cascade

    recogniser, text_embedder = _split_cascade(name)
    return Cascade(load_recogniser(recogniser), load_embedder(text_embedder))


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
    "wavretriever": partial(_create, "wavretriever", "WavRetriever"),
    "wavretriever-fast": partial(_create, "wavretriever", "WavRetriever", fast=True),
    "cascade": partial(_cascade, "cascade"),
    "minilm": partial(_create, "minilm", "MiniLM"),
    "fake": partial(_create, "fake", "FakeEmbedder"),
    "raw:moonshine": partial(_create, "raw_moonshine", "RawMoonshine"),
}
PACKAGED_RECOGNISERS = ("moonshine", "pocketsphinx")
CASCADE, REMOTE = "cascade:", ("http://", "https://")
RECOGNISERS = (
    "moonshine, pocketsphinx, transformers:ORG/NAME, transformers:FOLDER, or whisper:FOLDER with a"
    " model in the CTranslate2 format"
)
# Builders by prefix; they get the complete name.
BUILDERS: dict[str, Callable[[str], Embedder]] = {
    CASCADE: _cascade, "clap:": _clap, "st:": _sentence_model, **dict.fromkeys(REMOTE, _remote),
}  # fmt: skip


def needs_consent(name: str) -> bool:
    """True if an embedder is a server, or a model outside the package.

    Example:
        >>> needs_consent("http://box:8000#model"), needs_consent("wavretriever")
        (True, False)
    """
    if name.startswith(CASCADE):
        recogniser, text_embedder = _split_cascade(name)
        return recogniser not in PACKAGED_RECOGNISERS or needs_consent(text_embedder)
    return name.startswith(tuple(BUILDERS))


def is_stored_name(name: str) -> bool:
    """True if a knowledge base stores such names, without options of the user's machine."""
    from wavrag.embed.remote_options import RemoteOptions

    if name.startswith(CASCADE):
        return is_stored_name(_split_cascade(name)[1])
    if name.startswith(REMOTE):
        options = RemoteOptions.from_name(name)
        return options.model is not None and options.name(options.model) == name
    return True


def _split_cascade(name: str) -> tuple[str, str]:
    from wavrag.embed.cascade import split_name

    return split_name(name)


def load_embedder(name: str) -> Embedder:
    """Load an embedder by name.

    | name | embedder |
    |---|---|
    | `wavretriever` (default) | speech, heard with the words of the knowledge base; sounds; text |
    | `wavretriever-fast` | the same without a decoder |
    | `cascade` | transcribes speech with Moonshine, embeds the transcript with MiniLM |
    | `cascade:asr=RECOGNISER,text=EMBEDDER` | a cascade of other models; either may be left out |
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
    check_type(name, str, "the embedder")
    for prefix, build in BUILDERS.items():
        if name.startswith(prefix):
            return build(name)
    if name not in EMBEDDERS:
        names = ", ".join(EMBEDDERS)
        raise EmbedderError(
            f"unknown embedder {name!r}: choose one of {names}, cascade:asr=RECOGNISER"
            f",text=EMBEDDER (recognisers: {RECOGNISERS}), clap:FOLDER, st:ORG/NAME, st:FOLDER, or"
            " the address of a server, http://HOST:8000#MODEL"
        )
    return EMBEDDERS[name]()


def load_recogniser(name: str) -> Recogniser:
    """Load a recogniser by name.

    Args:
        name: `moonshine` (English, packaged), `whisper:FOLDER` (a Whisper model in the CTranslate2
            format), `transformers:ORG/NAME` or `transformers:FOLDER` (a speech recognition model of
            transformers), or `pocketsphinx` (English, small and weak). `@LANGUAGE` after a folder
            or ORG/NAME states the language of the speech, such as `whisper:FOLDER@de`.

    Raises:
        EmbedderError: the name is unknown, or the folder contains no model.
    """
    kind, _, location = name.partition(":")
    if kind == "whisper" and location:
        from wavrag.embed.whisper import Whisper

        return Whisper(location)
    if kind == "transformers" and location:
        from wavrag.embed.transformers_recogniser import TransformersRecogniser

        return TransformersRecogniser(location)
    if name == "moonshine":
        from wavrag.embed.moonshine import Moonshine

        return Moonshine()
    if name == "pocketsphinx":
        from wavrag.embed.sphinx import PocketSphinx

        return PocketSphinx()
    raise EmbedderError(f"unknown recogniser {name!r}: choose one of {RECOGNISERS}")


def load_reranker(name: str) -> CrossEncoder | FakeReranker:
    """Load a reranker by name.

    Args:
        name: `st:ORG/NAME` or `st:FOLDER` (a cross-encoder of sentence-transformers),
            `onnx:FOLDER` (`model.onnx` and `tokenizer.json`), or `fake` (no weights, for tests).

    Raises:
        EmbedderError: the name is unknown, or the folder has no model.

    Example:
        >>> load_reranker("fake").score("bee dance", ["Bees dance.", "A bee"]).tolist()
        [0.5, 0.5]
    """
    check_type(name, str, "the reranker")
    kind, _, location = name.partition(":")
    if name == "fake":
        return FakeReranker()
    if kind == "st" and location:
        return SentenceCrossEncoder(location)
    if kind == "onnx" and location:
        return OnnxCrossEncoder(location)
    raise EmbedderError(
        f"unknown reranker {name!r}: choose st:ORG/NAME, st:FOLDER or onnx:FOLDER, the folder of a"
        " cross-encoder"
    )
