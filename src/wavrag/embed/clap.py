"""CLAP embedder: sounds and captions in one vector space.

Source: Wu et al., Large-Scale Contrastive Language-Audio Pretraining (arXiv 2211.06687). This
module finds the spec of a CLAP model; `wavrag.embed.sentence_model` runs it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from wavrag.embed.base import Embedder
from wavrag.embed.model_specs import SPEC_FILE, ModelSpec, spec_for, spec_from_file
from wavrag.embed.sentence_model import SentenceModel
from wavrag.errors import EmbedderError

PREFIX = "clap:"
BASE_MODEL = "laion/clap-htsat-unfused"
# Positions of the text tower without a token of the text: RoBERTa starts counting at 2, and there
# are two special tokens.
RESERVED_POSITIONS = 4


def load_clap(name: str) -> Embedder:
    """Load a CLAP model: `clap:ORG/NAME` for known models on the hub, `clap:FOLDER` for any.

    CLAP takes at most 10 s at 48 kHz. The vector of an input with text and audio is the mean of
    both vectors.

    Raises:
        EmbedderError: the spec of the model is unknown, or the folder contains no CLAP model.
    """
    model = name.removeprefix(PREFIX)
    spec = folder_spec(Path(model)) if Path(model).is_dir() else spec_for(model)
    return SentenceModel(model, spec, prefix=PREFIX)


def folder_spec(folder: Path) -> ModelSpec:
    """Return the spec of a CLAP model in a folder.

    Reads `wavrag_embedder.json`; without it, takes the spec of the published models with the sizes
    in `config.json`.

    Raises:
        EmbedderError: the folder contains no CLAP model.
    """
    if (folder / SPEC_FILE).is_file():
        return spec_from_file(folder)
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["model_type"] != "clap":
            raise EmbedderError(
                f"{path} is of a {config['model_type']} model, not of a CLAP model: load it as"
                f" st:{folder}"
            )
        # 514 is the default of transformers, which does not write defaults to the file.
        positions = config["text_config"].get("max_position_embeddings", 514)
        dim, tokens = config.get("projection_dim", 512), positions - RESERVED_POSITIONS
        return replace(spec_for(BASE_MODEL), name="clap", dim=dim, max_text_tokens=tokens)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EmbedderError(
            f"clap:{folder}: {path} is not a readable CLAP config ({error}): use a folder saved by"
            " transformers"
        ) from error
