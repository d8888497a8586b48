"""CLAP: sounds and captions in one space, by the model that transformers has of it.

Source: Wu et al., Large-Scale Contrastive Language-Audio Pretraining (arXiv 2211.06687). It is run
as `wavrag.embed.sentence_model` runs every model; here stands what a CLAP in a folder is like.
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
KNOWN = "laion/clap-htsat-unfused"
RESERVED_PLACES = 4  # of the text tower: two that RoBERTa skips, two for special tokens


def load_clap(name: str) -> Embedder:
    """A CLAP by name: `clap:ORG/NAME` of a known one on the hub, or `clap:FOLDER` of any.

    It hears 48 kHz and at most 10 s; an item of text and sound is the mean of its two vectors.

    Raises:
        EmbedderError: its contract is not known, or the folder holds no CLAP.
    """
    place = name.removeprefix(PREFIX)
    spec = contract(Path(place)) if Path(place).is_dir() else spec_for(place)
    return SentenceModel(place, spec, prefix=PREFIX)


def contract(folder: Path) -> ModelSpec:
    """What a CLAP in a folder is: as the published ones, with the sizes of its `config.json`.

    A `wavrag_embedder.json` in the folder counts instead.

    Raises:
        EmbedderError: the folder holds no CLAP.
    """
    if (folder / SPEC_FILE).is_file():
        return spec_from_file(folder)
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["model_type"] != "clap":
            raise EmbedderError(
                f"{path} is of a {config['model_type']} model, not of a CLAP: load it as"
                f" st:{folder}"
            )
        places = config["text_config"].get("max_position_embeddings", 514)
        return replace(
            spec_for(KNOWN),
            name="clap",
            dim=config.get("projection_dim", 512),
            max_text_tokens=places - RESERVED_PLACES,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EmbedderError(
            f"clap:{folder}: {path} cannot be read as that of a CLAP ({error}): name a folder that"
            " transformers saved"
        ) from error
