"""Specs of embedding models: prompts, pooling, similarity and input limits; loads no weights.

With another prompt or pooling than in training, a model gives bad vectors without any error. So
every model is loaded by its spec: a row of the table below, or a file beside the weights. The table
states the published facts and names those that are not published.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from wavrag.embed.validation import describe_problem
from wavrag.errors import EmbedderError
from wavrag.types import Modality

SPEC_FILE = "wavrag_embedder.json"  # in the folder of a model outside the table

Pooling = Literal["last", "mean", "cls", "own"]  # own: the model's own head yields the vectors


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything needed to run a model as it was trained."""

    name: str  # ORG/NAME on the hub
    dim: int  # length of a vector
    pooling: Pooling  # hidden states that become the vector
    normalised: bool  # True if vectors are compared as unit vectors
    query_prompt: str  # prompt before a query; empty for none
    passage_prompt: str  # prompt before a passage; empty for none
    # Position of the prompt: before the text, in a system message, or first in the user message.
    prompt_role: Literal["prefix", "system", "user"]
    dtype: Literal["bfloat16", "float16", "float32"]  # of the published weights
    sampling_rate: int  # Hz
    max_audio_seconds: float  # longer recordings are rejected
    # Recordings are split into chunks of at most this length, all in one input; None for no chunks.
    chunk_seconds: float | None
    max_text_tokens: int  # longest text for one forward pass, without the prompt
    modalities: frozenset[Modality]
    languages: tuple[str, ...]  # ISO 639-1 codes of the training languages; `mul` for many
    licence: str  # SPDX identifier, or `LicenseRef-` and the name of the licence
    vectors: Literal["one", "many"]  # `one` per input, or `many` (late interaction)
    trust_remote_code: bool  # True if the model runs code shipped with the weights
    source: str  # URL of the page with these facts
    text_suffix: str = ""  # suffix of an input without audio; empty for none
    audio_suffix: str = ""  # suffix of an input with audio; empty for none
    note: str = ""  # pitfalls and unpublished facts


_TEXT: frozenset[Modality] = frozenset({"text"})
_TEXT_AND_AUDIO: frozenset[Modality] = frozenset({"text", "audio"})
_MTEB = "https://github.com/embeddings-benchmark/mteb/blob/main/mteb/models/model_implementations/"

_QWEN2_AUDIO = ModelSpec(
    name="Qwen/Qwen2-Audio-7B", dim=4096, pooling="last", normalised=True,
    query_prompt="Represent the question for finding what answers it: ",
    passage_prompt="Represent the entry for being found: ", prompt_role="prefix", dtype="bfloat16",
    sampling_rate=16_000, max_audio_seconds=80.0,  # 2,000 tokens of 40 ms
    chunk_seconds=30.0,  # the encoder takes 30 s
    max_text_tokens=512, modalities=_TEXT_AND_AUDIO, languages=("en",), licence="Apache-2.0",
    vectors="one", trust_remote_code=False, source="https://arxiv.org/abs/2502.14727",
    note=(
        "The base model of WavRetriever: without contrastive training it retrieves badly. The paper"
        " does not publish its instruction; the prompts are this project's. The input ends with"
        " `<|endoftext|>`, and the vector is the hidden state of that token. The processor silently"
        " truncates a recording at 30 s, so longer ones are passed in chunks."
    ),
)  # fmt: skip

_LCO_3B = ModelSpec(
    name="LCO-Embedding/LCO-Embedding-Omni-3B", dim=2048, pooling="last", normalised=True,
    query_prompt="", passage_prompt="", prompt_role="user", dtype="bfloat16", sampling_rate=16_000,
    max_audio_seconds=300.0,  # the processor of its base truncates here
    chunk_seconds=None, max_text_tokens=300,  # the authors truncate here
    modalities=_TEXT_AND_AUDIO, languages=("en",), licence="MIT", vectors="one",
    trust_remote_code=False, source="https://github.com/LCO-Embedding/LCO-Embedding",
    text_suffix="\nSummarize the above text in one word:",
    audio_suffix="\nSummarize the above audio in one word:",
    note=(
        "The suffix ends the user message, after recording and text. The vector is the last token"
        " of the chat with its generation prompt, padded on the left. A system message would change"
        " the vectors. The authors truncate texts at 300 tokens. Not published: whether the chat"
        " template adds the suffix by itself (it must appear once); the quality on long recordings"
        " (the processor of its base, Qwen2.5-Omni, truncates at 300 s; MTEB used 10 s at first)."
        " The licence is as recorded by MTEB: check the licence of the base model, too."
    ),
)  # fmt: skip

_CLAP = ModelSpec(
    name="laion/clap-htsat-unfused", dim=512, pooling="own", normalised=True, query_prompt="",
    passage_prompt="", prompt_role="prefix", dtype="float32", sampling_rate=48_000,
    max_audio_seconds=10.0,  # the feature extractor truncates here
    chunk_seconds=None, max_text_tokens=510,  # 512 positions without the special tokens
    modalities=_TEXT_AND_AUDIO, languages=("en",), licence="Apache-2.0", vectors="one",
    trust_remote_code=False, source="https://huggingface.co/laion/clap-htsat-unfused",
    note=(
        "The feature extractor silently takes 10 s at a random position of a longer recording"
        " (`rand_trunc`), so two runs differ. The sample rate is 48 kHz, not 16 kHz. Two towers: an"
        " input is text or audio, not both. Trained to match sounds with captions, not to find"
        " speech by its content. Not published: the longest caption; the text tower has 512"
        " positions. MTEB records the licence as MIT, the hub as Apache-2.0."
    ),
)  # fmt: skip

_GEMMA_300M = ModelSpec(
    name="google/embeddinggemma-300m", dim=768, pooling="mean", normalised=True,
    query_prompt="task: search result | query: ", passage_prompt="title: none | text: ",
    prompt_role="prefix", dtype="float32",
    # Text only: sample rate and length have no meaning.
    sampling_rate=16_000, max_audio_seconds=30.0, chunk_seconds=None,
    max_text_tokens=2_000,  # the context of 2,048 tokens includes the prompt
    modalities=_TEXT, languages=("mul",), licence="LicenseRef-Gemma", vectors="one",
    trust_remote_code=False, source="https://huggingface.co/google/embeddinggemma-300m",
    note=(
        "308 million parameters, more than 100 languages; at its release the best text model under"
        " 500 million parameters on MTEB. Two dense layers follow the mean, so load it as a"
        " sentence-transformers model. Never use float16. The download needs an account on the hub"
        " that has accepted Google's terms of use. A title replaces `none`."
    ),
)  # fmt: skip

_E5_BASE = replace(
    _GEMMA_300M, name="intfloat/multilingual-e5-base", query_prompt="query: ",
    passage_prompt="passage: ",
    max_text_tokens=500,  # 512 with prompt and special tokens
    licence="MIT", source="https://huggingface.co/intfloat/multilingual-e5-base",
    note=(
        "278 million parameters, 94 languages. Without its prompts the quality drops, according to"
        " the authors. Cosines lie between .7 and 1."
    ),
)  # fmt: skip

_ROWS: tuple[ModelSpec, ...] = (
    _GEMMA_300M,
    replace(
        _GEMMA_300M, name="Qwen/Qwen3-Embedding-0.6B", dim=1024, pooling="last",
        query_prompt=(
            "Instruct: Given a web search query, retrieve relevant passages that answer the query\n"
            "Query:"
        ),
        passage_prompt="", dtype="bfloat16", max_text_tokens=8_192, licence="Apache-2.0",
        source="https://huggingface.co/Qwen/Qwen3-Embedding-0.6B",
        note=(
            "596 million parameters, more than 100 languages, better than EmbeddingGemma on MTEB"
            " and slower. The context is 32,768 tokens; the limit here is that of its"
            " published examples. Padded on the left. No space follows `Query:`."
        ),
    ),
    replace(
        _GEMMA_300M, name="BAAI/bge-m3", dim=1024, pooling="cls", query_prompt="",
        passage_prompt="", max_text_tokens=8_000, licence="MIT",
        source="https://huggingface.co/BAAI/bge-m3",
        note=(
            "568 million parameters, more than 100 languages. Only the dense vectors are used, not"
            " its sparse and multi-vector ones."
        ),
    ),
    replace(
        _GEMMA_300M, name="Alibaba-NLP/gte-multilingual-base", pooling="cls", query_prompt="",
        passage_prompt="", max_text_tokens=8_000, licence="Apache-2.0", trust_remote_code=True,
        source="https://huggingface.co/Alibaba-NLP/gte-multilingual-base",
        note="305 million parameters, more than 70 languages. Runs code shipped with the weights.",
    ),
    _E5_BASE,
    replace(
        _E5_BASE, name="intfloat/multilingual-e5-small", dim=384,
        source="https://huggingface.co/intfloat/multilingual-e5-small",
        note="118 million parameters; the notes on multilingual-e5-base apply.",
    ),
    _QWEN2_AUDIO,
    replace(
        _QWEN2_AUDIO,
        name="Qwen/Qwen2-Audio-7B-Instruct",
        note=(
            "The chat model of Qwen/Qwen2-Audio-7B; the same notes apply. Its chat template adds a"
            " system message and ends a turn with `<|im_end|>`; the recipe replaces it. The paper"
            " does not say which of the two models it trained."
        ),
    ),
    ModelSpec(
        name="google/embeddinggemma-2", dim=768, pooling="mean", normalised=True,
        query_prompt="task: search result | query: ", passage_prompt="title: none | text: ",
        prompt_role="prefix", dtype="bfloat16", sampling_rate=16_000,
        max_audio_seconds=30.0,  # the feature extractor truncates here
        chunk_seconds=None, max_text_tokens=8192,  # context, shared with prompt and audio
        modalities=_TEXT_AND_AUDIO, languages=("mul",), licence="Apache-2.0", vectors="one",
        trust_remote_code=False,
        source="https://github.com/huggingface/transformers/blob/main/docs/source/en/model_doc/embedding_gemma2.md",
        note=(
            "The feature extractor silently truncates a recording at 30 s, although the context of"
            " 8,192 tokens for prompt, text and audio has room for 5.5 minutes. Audio takes the"
            " prompt, too: sentence-transformers passes it as a system message, and the chat"
            " template puts it between recording and text. The mean is over all tokens including"
            " the prompt, padded on the right. Never use float16: it yields NaN. A title replaces"
            " `none`. Not published: the list of its 100 languages, and the best prompt for a"
            " spoken question (another is `task: question answering | query: `)."
        ),
    ),
    _LCO_3B,
    replace(_LCO_3B, name="LCO-Embedding/LCO-Embedding-Omni-7B", dim=3584),
    ModelSpec(
        name="BidirLM/BidirLM-Omni-2.5B-Embedding", dim=2048, pooling="mean", normalised=True,
        query_prompt="Given a question, retrieve passages that answer the question",
        passage_prompt="", prompt_role="system", dtype="bfloat16", sampling_rate=16_000,
        max_audio_seconds=30.0,  # as evaluated by MTEB
        chunk_seconds=None, max_text_tokens=512, modalities=_TEXT_AND_AUDIO,
        languages=tuple(
            "af am ar az be bg bn bs ca ceb cs cy da de el en es et eu fa fi fr ga gl gu ha he hi"
            " hr ht hu hy id ig is it ja jv ka kk kn ko ky lt lv mg mk ml mr ms mt my nb ne nl nso"
            " ny pa pl ps pt ro ru sd si sk sl sn so sq sr su sv sw ta te th tl tr uk ur vi wo xh"
            " yo zh zu".split()
        ),
        licence="Apache-2.0", vectors="one", trust_remote_code=True,
        source=_MTEB + "bidirlm_omni_models.py",
        note=(
            "Runs code shipped with the weights. Passages get no instruction; a query gets the"
            " instruction of its task, here MTEB's for questions. Attention is bidirectional, and"
            " the mean is over all tokens including the chat template. Its processor does not"
            " truncate, but MTEB used at most 30 s. Not published: whether the instruction for"
            " plain text is a system message or a prefix, the quality beyond 30 s, and the spoken"
            " languages; the list is that of its text model."
        ),
    ),
    ModelSpec(
        name="Tevatron/OmniEmbed-v0.1", dim=3584, pooling="last", normalised=True,
        query_prompt="Query: ", passage_prompt="", prompt_role="user", dtype="bfloat16",
        sampling_rate=16_000, max_audio_seconds=300.0, chunk_seconds=None, max_text_tokens=512,
        modalities=_TEXT_AND_AUDIO, languages=("mul",),  # published as "multilingual"
        licence="MIT", vectors="one", trust_remote_code=True,
        source=_MTEB + "tevatron_omni_embed_models.py",
        note=(
            "The input is the chat with its generation prompt and then `<|endoftext|>`, padded on"
            " the left; the vector is the hidden state of that token. `Query: ` starts the text of"
            " the user message; a system message would be a different input. A LoRA adapter on the"
            " thinker of Qwen2.5-Omni-7B. Not published: whether a spoken query takes the prompt,"
            " the quality on long recordings (the processor truncates at 300 s), whether the remote"
            " code is still needed, and the languages behind `multilingual`."
        ),
    ),
    ModelSpec(
        name="vidore/colqwen-omni-v0.1", dim=128, pooling="own", normalised=True,
        query_prompt="Query: ", passage_prompt="", prompt_role="user", dtype="bfloat16",
        sampling_rate=16_000, max_audio_seconds=300.0, chunk_seconds=None, max_text_tokens=32_768,
        modalities=_TEXT_AND_AUDIO, languages=("en",), licence="MIT",
        vectors="many",  # `SentenceModel` rejects the model for this reason
        trust_remote_code=False,
        source="https://huggingface.co/blog/manu/colqwen-omni-omnimodal-retrieval",
        audio_suffix="Describe the content.",
        note=(
            "Yields one vector per token, about 800 for 30 s of audio, compared by MaxSim: a"
            " knowledge base with one vector per passage cannot store them. Queries end with ten"
            " `<|endoftext|>`, and the system message is Qwen's default. Trained on document pages"
            " only; the authors cut recordings into 30 s and advise against production use. Not"
            " published: whether a query still takes `Query: `; the versions of its library differ."
        ),
    ),
    _CLAP,
    replace(_CLAP, name="laion/larger_clap_general", source=_MTEB + "clap_models.py"),
    replace(
        _CLAP,
        name="laion/larger_clap_music_and_speech",
        source=_MTEB + "clap_models.py",
        note=(
            "The notes on laion/clap-htsat-unfused apply. Not published: its truncation, assumed to"
            " be that of larger_clap_general."
        ),
    ),
)  # fmt: skip

# Read-only: a changed spec would silently change vectors everywhere.
MODELS: Mapping[str, ModelSpec] = MappingProxyType({spec.name: spec for spec in _ROWS})


# Commits on the hub: what their owners publish later is not loaded. Source: the registry of MTEB.
REVISIONS: Mapping[str, str] = MappingProxyType({
    "google/embeddinggemma-300m": "64614b0b8b64f0c6c1e52b07e4e9a4e8fe4d2da2",
    "Qwen/Qwen3-Embedding-0.6B": "b22da495047858cce924d27d76261e96be6febc0",
    "BAAI/bge-m3": "5617a9f61b028005a4858fdac845db406aefb181",
    "Alibaba-NLP/gte-multilingual-base": "ca1791e0bcc104f6db161f27de1340241b13c5a4",
    "intfloat/multilingual-e5-base": "d13f1b27baf31030b7fd040960d60d909913633f",
    "intfloat/multilingual-e5-small": "fd1525a9fd15316a2d503bf26ab031a61d056e98",
    "Qwen/Qwen2-Audio-7B": "dd84470756e6277a71d4d7188773a43cde92696e",
    "google/embeddinggemma-2": "914f7f89142e33e77833254d9c9b90c3cef7303b",
    "LCO-Embedding/LCO-Embedding-Omni-3B": "eea763cfaf673e955ae86c64968896a3fea70189",
    "LCO-Embedding/LCO-Embedding-Omni-7B": "3d38f58aae1253a4443b1270b0767f1e533936cf",
    "BidirLM/BidirLM-Omni-2.5B-Embedding": "4d8a7d34095ef8c4ab760744015825b809756dfe",
    "Tevatron/OmniEmbed-v0.1": "fa8be315e74d07f563b07c0d053525de6dc7eda8",
    "laion/clap-htsat-unfused": "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
    "laion/larger_clap_general": "ada0c23a36c4e8582805bb38fec3905903f18b41",
    "laion/larger_clap_music_and_speech": "195c3a3e68faebb3e2088b9a79e79b43ddbda76b",
})  # fmt: skip

# Commits of the code, where the files of a model name another repository for it: new-impl.
CODE_REVISIONS: Mapping[str, str] = MappingProxyType(
    {"Alibaba-NLP/gte-multilingual-base": "40ced75c3017eb27626c9d4ea981bde21a2662f4"}
)


def spec_for(name: str) -> ModelSpec:
    """Return the spec of a model in the table.

    Raises:
        EmbedderError: the model is not in the table.
    """
    try:
        return MODELS[name]
    except KeyError:
        names = ", ".join(MODELS)
        raise EmbedderError(
            f"the spec of model {name!r} is unknown (known models: {names}): put a {SPEC_FILE} into"
            " its folder, or name the known model in the folder as st:FOLDER#ORG/NAME"
        ) from None


def spec_from_file(path: str | os.PathLike[str]) -> ModelSpec:
    """Read a spec from a JSON file, or its model folder; the keys are the fields of `ModelSpec`.

    Raises:
        EmbedderError: the file cannot be read, a key is unknown or missing, or a value is invalid.
    """
    from pydantic import TypeAdapter, ValidationError

    path = _spec_path(path)
    try:
        text = path.read_text(encoding="utf-8")
        row = json.loads(text)
    except (OSError, ValueError) as error:
        raise EmbedderError(f"{path} is not a readable model spec: {error}") from error
    if not isinstance(row, dict):
        raise EmbedderError(f"{path} contains no JSON object")
    keys = [field.name for field in fields(ModelSpec)]
    # Fields with a default are required in a file, too: a forgotten suffix would go unnoticed.
    for key in row:
        if key not in keys:
            raise EmbedderError(f"{path} has an unknown key {key!r}: use {', '.join(keys)}")
    for key in keys:
        if key not in row:
            raise EmbedderError(f"{path} lacks the key {key!r}")
    try:
        # Strict: JSON has types of its own, so "512" for a number is a mistake.
        spec = TypeAdapter(ModelSpec).validate_json(text, strict=True)
    except ValidationError as error:
        raise EmbedderError(f"{path}: {describe_problem(error)}") from error
    problem = contradiction(spec)
    if problem:
        raise EmbedderError(f"{path}: {problem}")
    return spec


def write_spec(spec: ModelSpec, path: str | os.PathLike[str]) -> None:
    """Write a spec to a JSON file, or into a model folder."""
    row = asdict(spec) | {"modalities": sorted(spec.modalities)}
    text = json.dumps(row, indent=1, ensure_ascii=False) + "\n"
    _spec_path(path).write_text(text, encoding="utf-8")


def contradiction(spec: ModelSpec) -> str | None:
    """Describe the first impossible value of a spec; None if there is none."""
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


def _spec_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path / SPEC_FILE if path.is_dir() else path
