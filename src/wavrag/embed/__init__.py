"""Items to vectors: the embedder seam, and the embedders behind it."""

from wavrag.embed.assembly import assemble, recordings, token_spans
from wavrag.embed.base import (
    Embedder,
    EmbedderSpec,
    Views,
    WordsEmbedder,
    check_items,
    unit_rows,
    views_of,
)
from wavrag.embed.fake import FakeEmbedder
from wavrag.embed.lexicon import BLANK, LETTERS, NUMBER, Lexicon, spans
from wavrag.embed.minilm import MiniLM
from wavrag.embed.model_specs import ModelSpec, write_spec
from wavrag.embed.moonshine import moonshine_folder
from wavrag.embed.recogniser import Recogniser, load_recogniser
from wavrag.embed.registry import load_embedder
from wavrag.embed.runtime import Workers, load_session
from wavrag.embed.wavretriever import (
    MIN_SAMPLES,
    WAVRETRIEVER_SPEC,
    WAVRETRIEVER_WEIGHTS,
    WavRetrieverMini,
)

__all__ = [
    "BLANK",
    "LETTERS",
    "MIN_SAMPLES",
    "NUMBER",
    "WAVRETRIEVER_SPEC",
    "WAVRETRIEVER_WEIGHTS",
    "Embedder",
    "EmbedderSpec",
    "FakeEmbedder",
    "Lexicon",
    "MiniLM",
    "ModelSpec",
    "Recogniser",
    "Views",
    "WavRetrieverMini",
    "WordsEmbedder",
    "Workers",
    "assemble",
    "check_items",
    "load_embedder",
    "load_recogniser",
    "load_session",
    "moonshine_folder",
    "recordings",
    "spans",
    "token_spans",
    "unit_rows",
    "views_of",
    "write_spec",
]
