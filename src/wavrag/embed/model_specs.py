"""Contracts of embedding models: how each is asked, pooled, compared, and how much it hears.

A model that is loaded with another prompt or pooling than it was trained with works badly and
says nothing. So a model is loaded by its contract: a row of the table here, or a file beside its
weights. Knows what public pages state, and what they leave open; loads nothing.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from wavrag.errors import EmbedderError
from wavrag.types import Modality

SPEC_FILE = "wavrag_embedder.json"  # in the folder of a model that is not in the table

Pooling = Literal["last", "mean", "cls", "own"]  # own: the model's head gives the vectors


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The contract of a model.

    Attributes:
        name: ORG/NAME, as a hub knows it.
        dim: length of a vector.
        pooling: which hidden states become the vector.
        normalised: whether its vectors are compared as unit vectors.
        query_prompt: put before a query; empty for none.
        passage_prompt: put before a passage; empty for none.
        prompt_role: where the prompt goes: before the text, or as a message of a chat: `system`
            for a message of its own, `user` for the beginning of the item's own message.
        dtype: of the weights as published.
        sampling_rate: Hz.
        max_audio_seconds: longest recording that is heard whole; longer ones are refused.
        chunk_seconds: a longer recording goes in as several of at most so much; None for whole.
        max_text_tokens: longest text that is embedded in one piece, prompt not counted.
        modalities: what an item may hold.
        languages: ISO 639-1 codes that it was trained on; `mul` where a page says only that they
            are many.
        licence: SPDX identifier, or the licence's own name after `LicenseRef-`.
        vectors: one an item, or many (late interaction).
        trust_remote_code: whether its code comes with its weights.
        source: URL of the page that states this.
        text_suffix: put after an item without sound; empty for none.
        audio_suffix: put after an item with sound; empty for none.
        note: what to watch out for, and what the page leaves open.
    """

    name: str
    dim: int
    pooling: Pooling
    normalised: bool
    query_prompt: str
    passage_prompt: str
    prompt_role: Literal["prefix", "system", "user"]
    dtype: Literal["bfloat16", "float16", "float32"]
    sampling_rate: int
    max_audio_seconds: float
    chunk_seconds: float | None
    max_text_tokens: int
    modalities: frozenset[Modality]
    languages: tuple[str, ...]
    licence: str
    vectors: Literal["one", "many"]
    trust_remote_code: bool
    source: str
    text_suffix: str = ""
    audio_suffix: str = ""
    note: str = ""


_TEXT_AND_AUDIO: frozenset[Modality] = frozenset({"text", "audio"})
_MTEB = "https://github.com/embeddings-benchmark/mteb/blob/main/mteb/models/model_implementations/"

_QWEN2_AUDIO = ModelSpec(
    name="Qwen/Qwen2-Audio-7B",
    dim=4096,
    pooling="last",
    normalised=True,
    query_prompt="Represent the question for finding what answers it: ",
    passage_prompt="Represent the entry for being found: ",
    prompt_role="prefix",
    dtype="bfloat16",
    sampling_rate=16_000,
    max_audio_seconds=80.0,  # 2,000 tokens of 40 ms
    chunk_seconds=30.0,  # what the encoder hears at a time
    max_text_tokens=512,
    modalities=_TEXT_AND_AUDIO,
    languages=("en",),
    licence="Apache-2.0",
    vectors="one",
    trust_remote_code=False,
    source="https://arxiv.org/abs/2502.14727",
    note=(
        "A base to train WavRetriever on: without contrastive training it retrieves badly. The"
        " paper does not publish its instruction; the prompts are this project's. The input ends"
        " with `<|endoftext|>`, and the vector is that token's. The processor cuts a recording at"
        " 30 s and says nothing, so longer ones go in as several."
    ),
)

_LCO_3B = ModelSpec(
    name="LCO-Embedding/LCO-Embedding-Omni-3B",
    dim=2048,
    pooling="last",
    normalised=True,
    query_prompt="",
    passage_prompt="",
    prompt_role="user",
    dtype="bfloat16",
    sampling_rate=16_000,
    max_audio_seconds=300.0,
    chunk_seconds=None,
    max_text_tokens=300,
    modalities=_TEXT_AND_AUDIO,
    languages=("en",),
    licence="MIT",
    vectors="one",
    trust_remote_code=False,
    source="https://github.com/LCO-Embedding/LCO-Embedding",
    text_suffix="\nSummarize the above text in one word:",
    audio_suffix="\nSummarize the above audio in one word:",
    note=(
        "The suffix ends the user's message, after recording and text, and the vector is the last"
        " token of the chat with its generation prompt, padded on the left. There is no system"
        " message: one changes the vectors. The authors cut texts at 300 tokens. Left open:"
        " whether the published chat template adds the suffix by itself (it belongs there once);"
        " how well long recordings work (300 s is where the processor of Qwen2.5-Omni, its base,"
        " cuts; MTEB gave it 10 s at first); and the licence, which is as MTEB records it: check"
        " that of the base as well."
    ),
)

_CLAP = ModelSpec(
    name="laion/clap-htsat-unfused",
    dim=512,
    pooling="own",
    normalised=True,
    query_prompt="",
    passage_prompt="",
    prompt_role="prefix",
    dtype="float32",
    sampling_rate=48_000,
    max_audio_seconds=10.0,
    chunk_seconds=None,
    max_text_tokens=510,
    modalities=_TEXT_AND_AUDIO,
    languages=("en",),
    licence="Apache-2.0",
    vectors="one",
    trust_remote_code=False,
    source="https://huggingface.co/laion/clap-htsat-unfused",
    note=(
        "Of a recording over 10 s the feature extractor takes 10 s at a random place (rand_trunc)"
        " and says nothing, so two runs differ. It hears 48 kHz, not 16 kHz. Two towers: an item"
        " is text or sound, not both. Trained to match sounds with captions, not to find what is"
        " said. Left open: how long a caption may be; the text tower has 512 places. MTEB records"
        " the licence as MIT, the hub as Apache-2.0."
    ),
)

_ROWS: tuple[ModelSpec, ...] = (
    _QWEN2_AUDIO,
    replace(
        _QWEN2_AUDIO,
        name="Qwen/Qwen2-Audio-7B-Instruct",
        note=(
            "As Qwen/Qwen2-Audio-7B, of which it is the chat model. Its own chat template writes a"
            " system message and ends a turn with `<|im_end|>`; the recipe replaces it. The paper"
            " does not say which of the two it trained."
        ),
    ),
    ModelSpec(
        name="google/embeddinggemma-2",
        dim=768,
        pooling="mean",
        normalised=True,
        query_prompt="task: search result | query: ",
        passage_prompt="title: none | text: ",
        prompt_role="prefix",
        dtype="bfloat16",
        sampling_rate=16_000,
        max_audio_seconds=30.0,
        chunk_seconds=None,
        max_text_tokens=8192,
        modalities=_TEXT_AND_AUDIO,
        languages=("mul",),
        licence="Apache-2.0",
        vectors="one",
        trust_remote_code=False,
        source="https://github.com/huggingface/transformers/blob/main/docs/source/en/model_doc/embedding_gemma2.md",
        note=(
            "The feature extractor cuts a recording at 30 s and says nothing, although the window"
            " of 8,192 tokens, which prompt, text and sound share, has room for 5.5 minutes. The"
            " prompt belongs to sound as well: there sentence-transformers hands it on as a system"
            " message, which the chat template puts between recording and text. The mean is over"
            " all tokens, the prompt's too, padded on the right. Never in float16, where it gives"
            " NaN. A title goes in the place of `none`. Left open: the list of its 100 languages,"
            " and which prompt suits a spoken question (there is also `task: question answering |"
            " query: `)."
        ),
    ),
    _LCO_3B,
    replace(_LCO_3B, name="LCO-Embedding/LCO-Embedding-Omni-7B", dim=3584),
    ModelSpec(
        name="BidirLM/BidirLM-Omni-2.5B-Embedding",
        dim=2048,
        pooling="mean",
        normalised=True,
        query_prompt="Given a question, retrieve passages that answer the question",
        passage_prompt="",
        prompt_role="system",
        dtype="bfloat16",
        sampling_rate=16_000,
        max_audio_seconds=30.0,
        chunk_seconds=None,
        max_text_tokens=512,
        modalities=_TEXT_AND_AUDIO,
        languages=tuple(
            "af am ar az be bg bn bs ca ceb cs cy da de el en es et eu fa fi fr ga gl gu ha he hi"
            " hr ht hu hy id ig is it ja jv ka kk kn ko ky lt lv mg mk ml mr ms mt my nb ne nl nso"
            " ny pa pl ps pt ro ru sd si sk sl sn so sq sr su sv sw ta te th tl tr uk ur vi wo xh"
            " yo zh zu".split()
        ),
        licence="Apache-2.0",
        vectors="one",
        trust_remote_code=True,
        source=_MTEB + "bidirlm_omni_models.py",
        note=(
            "Runs code that comes with the weights. Passages get no instruction; a query gets one"
            " for its task, here that of MTEB for questions. Attention goes both ways, and the"
            " mean is over all tokens, those of the chat template too. Its processor cuts nothing,"
            " but MTEB gave it at most 30 s. Left open: whether an instruction before a"
            " bare text is a system message or a prefix, how it does beyond 30 s, and the"
            " languages that it hears; those listed are of its text."
        ),
    ),
    ModelSpec(
        name="Tevatron/OmniEmbed-v0.1",
        dim=3584,
        pooling="last",
        normalised=True,
        query_prompt="Query: ",
        passage_prompt="",
        prompt_role="user",
        dtype="bfloat16",
        sampling_rate=16_000,
        max_audio_seconds=300.0,
        chunk_seconds=None,
        max_text_tokens=512,
        modalities=_TEXT_AND_AUDIO,
        languages=("mul",),
        licence="MIT",
        vectors="one",
        trust_remote_code=True,
        source=_MTEB + "tevatron_omni_embed_models.py",
        note=(
            "The input is the chat with its generation prompt and then `<|endoftext|>`, padded on"
            " the left; the vector is that token's. `Query: ` begins the text of the user's"
            " message: as a system message it is another input. An adapter (LoRA) on the thinker"
            " of Qwen2.5-Omni-7B. Left open: whether a prompt stands before a spoken query, how"
            " well long recordings work (300 s is where the processor cuts), whether its remote"
            " code is still needed, and its languages beyond `multilingual`."
        ),
    ),
    ModelSpec(
        name="vidore/colqwen-omni-v0.1",
        dim=128,
        pooling="own",
        normalised=True,
        query_prompt="Query: ",
        passage_prompt="",
        prompt_role="user",
        dtype="bfloat16",
        sampling_rate=16_000,
        max_audio_seconds=300.0,
        chunk_seconds=None,
        max_text_tokens=32_768,
        modalities=_TEXT_AND_AUDIO,
        languages=("en",),
        licence="MIT",
        vectors="many",
        trust_remote_code=False,
        source="https://huggingface.co/blog/manu/colqwen-omni-omnimodal-retrieval",
        audio_suffix="Describe the content.",
        note=(
            "Gives a vector a token, some 800 for 30 s of sound, compared by MaxSim: a knowledge"
            " base with one vector a passage cannot hold it. Queries end with ten `<|endoftext|>`,"
            " and the system message is Qwen's own. Trained on pages of documents only; its"
            " authors cut recordings into 30 s and advise against production. Left open: whether"
            " `Query: ` still belongs before a query, as versions of its library differ."
        ),
    ),
    _CLAP,
    replace(
        _CLAP,
        name="laion/larger_clap_general",
        source=_MTEB + "clap_models.py",
    ),
    replace(
        _CLAP,
        name="laion/larger_clap_music_and_speech",
        source=_MTEB + "clap_models.py",
        note=(
            "As laion/clap-htsat-unfused. Left open: its way of cutting, taken here from"
            " larger_clap_general."
        ),
    ),
)

MODELS: Mapping[str, ModelSpec] = MappingProxyType({spec.name: spec for spec in _ROWS})


def spec_for(name: str) -> ModelSpec:
    """The contract of a known model.

    Raises:
        EmbedderError: it is not in the table.
    """
    try:
        return MODELS[name]
    except KeyError:
        known = ", ".join(MODELS)
        raise EmbedderError(
            f"the contract of model {name!r} is not known (known: {known}): put a {SPEC_FILE} into"
            " its folder, or name the known model that the folder holds, st:FOLDER#ORG/NAME"
        ) from None


def spec_from_file(path: str | os.PathLike[str]) -> ModelSpec:
    """The contract in a JSON file whose keys are exactly the fields of `ModelSpec`.

    Args:
        path: the file, or the folder of a model that has one.

    Raises:
        EmbedderError: it cannot be read, a key is unknown or missing, or a value cannot be right.
    """
    path = _file(path)
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EmbedderError(f"{path} cannot be read as a model's contract: {error}") from error
    if not isinstance(row, dict):
        raise EmbedderError(f"{path} holds no JSON object")
    kinds = get_type_hints(ModelSpec)
    for key in row:
        if key not in kinds:
            raise EmbedderError(f"{path} has an unknown key {key!r}: use {', '.join(kinds)}")
    for key, kind in kinds.items():
        if key not in row:
            raise EmbedderError(f"{path} lacks the key {key!r}")
        if not _fits(row[key], kind):
            raise EmbedderError(f"{path}: {key} is {row[key]!r}, which is not {_words(kind)}")
    spec = ModelSpec(
        **row | {"modalities": frozenset(row["modalities"]), "languages": tuple(row["languages"])}
    )
    wrong = contradiction(spec)
    if wrong:
        raise EmbedderError(f"{path}: {wrong}")
    return spec


def write_spec(spec: ModelSpec, path: str | os.PathLike[str]) -> None:
    """Write a contract to a file, or into the folder of its model."""
    row = asdict(spec) | {"modalities": sorted(spec.modalities)}
    _file(path).write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def contradiction(spec: ModelSpec) -> str | None:
    """What cannot be true of any model, naming the key; None where there is nothing."""
    for field in fields(spec):
        value = getattr(spec, field.name)
        if type(value) in (int, float) and not (value > 0 and math.isfinite(value)):
            return f"{field.name} is {value}: it must be above 0 and finite"
    for key in ("name", "modalities", "languages", "licence"):
        if not getattr(spec, key):
            return f"{key} is empty"
    if spec.chunk_seconds is not None and spec.chunk_seconds > spec.max_audio_seconds:
        return (
            f"chunk_seconds is {spec.chunk_seconds:g}, above max_audio_seconds,"
            f" {spec.max_audio_seconds:g}"
        )
    return None


def _file(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path / SPEC_FILE if path.is_dir() else path


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON can stand for a field of that type."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in args
    if origin is UnionType:
        return any(_fits(value, each) for each in args)
    if origin in (frozenset, tuple):
        return isinstance(value, list) and all(_fits(each, args[0]) for each in value)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind


def _words(kind: Any) -> str:
    """A field's type, for people who write JSON."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(args)
    if origin is UnionType:
        return " or ".join(_words(each) for each in args)
    if origin in (frozenset, tuple):
        return f"a list, each {_words(args[0])}"
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(kind, "null")
