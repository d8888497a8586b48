"""Presets: names of embedders by quality and language.

The packaged models serve English alone. For `best` and other languages, chosen from public results:
on the Open ASR Leaderboard (arXiv 2510.06961), transducers are far faster than decoders with
attention at nearly the same accuracy, and Parakeet TDT 0.6b v3 is one for 25 European languages;
Whisper covers 99. EmbeddingGemma 300m was the best text model under 500 million parameters on MTEB
at its release (arXiv 2509.20354). None of them has been run for this project.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from wavrag import config
from wavrag.embed.transformers_recogniser import KNOWN_RECOGNISERS
from wavrag.errors import EmbedderError, MissingExtraError

Quality: TypeAlias = Literal["fast", "balanced", "best"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)
PACKAGED: dict[Quality, str] = {
    "fast": "wavretriever-fast", "balanced": config.DEFAULT_EMBEDDER,
}  # fmt: skip
PARAKEET = "nvidia/parakeet-tdt-0.6b-v3"
# Without a transducer for the language, Whisper of the size that suits the text model.
WHISPER: dict[Quality, str] = {
    "fast": "openai/whisper-base", "balanced": "openai/whisper-small",
    "best": "openai/whisper-large-v3-turbo",
}  # fmt: skip
TEXT_MODELS: dict[Quality, str] = {
    "fast": "intfloat/multilingual-e5-small", "balanced": "intfloat/multilingual-e5-base",
    "best": "google/embeddinggemma-300m",
}  # fmt: skip


def preset(quality: Quality = "balanced", language: str = "en", models: Path | None = None) -> str:
    """Return the name of an embedder, for `load_embedder` and `WavRAG.open`.

    The models are listed in docs/guide.md, "Presets".

    Args:
        quality: `fast`, `balanced` or `best`; `best` and languages other than English need models
            from the hub and `wavrag[models]`.
        language: ISO 639-1 code of the speech.
        models: folder with the models, each in a folder named like it without its organisation;
            None to load them from the hub.

    Raises:
        EmbedderError: quality or language are unknown, or the folder lacks a model; the message
            says how to download it.
        MissingExtraError: transformers or sentence-transformers are not installed.

    Example:
        >>> preset("fast")
        'wavretriever-fast'
    """
    if quality not in QUALITIES:
        raise EmbedderError(f"unknown quality {quality!r}: choose {', '.join(QUALITIES)}")
    if not re.fullmatch("[a-z]{2}", language):
        raise EmbedderError(f"language {language!r} is not an ISO 639-1 code, such as de")
    if language == "en" and quality in PACKAGED:
        return PACKAGED[quality]
    if not (find_spec("transformers") and find_spec("sentence_transformers")):
        raise MissingExtraError(f"quality {quality} for the language {language}", "models")
    european = language in KNOWN_RECOGNISERS[PARAKEET].languages
    recogniser = PARAKEET if european and quality != "fast" else WHISPER[quality]
    asr, text = _locate(recogniser, models), _locate(TEXT_MODELS[quality], models)
    return f"cascade:asr=transformers:{asr}@{language},text=st:{text}"


def _locate(name: str, models: Path | None) -> str:
    """Return ORG/NAME, or FOLDER#ORG/NAME for a model in the folder `models`."""
    if models is None:
        return name
    folder = models.resolve() / name.partition("/")[2]
    if not (folder / "config.json").is_file():
        raise EmbedderError(
            f"there is no model in {folder}: download it with"
            f" `hf download {name} --local-dir {folder}`"
        )
    return f"{folder}#{name}"
