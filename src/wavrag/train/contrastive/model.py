"""The paper's retriever: Qwen2-Audio with a frozen encoder, a trained projector, and LoRA.

The input is instruction, audio, text and an ending, by default the end-of-sequence token. The
embedding is the last hidden state of its last token, as a unit vector (arXiv 2502.14727, section
3.1).
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wavrag.embed import END_OF_TEXT, build_network
from wavrag.errors import InputError
from wavrag.train.contrastive.options import LoraOptions

ENCODER, PROJECTOR, LANGUAGE_MODEL = "audio_tower", "multi_modal_projector", "language_model"


def build_retriever(
    base: str | Path, *, query_prompt: str, passage_prompt: str, ending: str = END_OF_TEXT,
    dtype: torch.dtype = torch.float32,
) -> Any:  # fmt: skip
    """Build a SentenceTransformer on Qwen2-Audio without its language-modelling head.

    Raises:
        InputError: the base has another architecture or cannot be loaded.
    """
    try:
        prompts = {"query": query_prompt, "document": passage_prompt}
        model = build_network(base, pooling="last", dtype=dtype, prompts=prompts, ending=ending)
    except (OSError, ValueError) as error:
        raise InputError(
            f"base model {base} cannot be loaded: {error}; name a folder or a hub name of"
            " Qwen2-Audio"
        ) from error
    model_type = model[0].config.model_type
    if model_type != "qwen2_audio":
        raise InputError(f"base model {base} is a {model_type}: this recipe trains Qwen2-Audio")
    return model


def network(model: Any) -> Any:
    """Return the transformers model inside a SentenceTransformer."""
    return model[0].model


def prepare_for_training(model: Any, lora: LoraOptions) -> list[str]:
    """Freeze the base, and add adapters to the language model.

    Returns:
        Names of the trained parameters: the adapters and the whole projector.

    Raises:
        InputError: the language model has no layer with the name of a target.
    """
    from peft import LoraConfig, get_peft_model

    inner = network(model)
    layer_names = {
        name.rsplit(".", 1)[-1]
        for name, module in inner.named_modules()
        if name.startswith(f"{LANGUAGE_MODEL}.") and isinstance(module, nn.Linear)
    }
    missing = sorted(set(lora.targets) - layer_names)
    if missing:
        raise InputError(f"lora.targets: the language model has no {', '.join(missing)}")
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout,
        target_modules=rf"{LANGUAGE_MODEL}\..*\.({'|'.join(map(re.escape, lora.targets))})",
        modules_to_save=[PROJECTOR], task_type="FEATURE_EXTRACTION",
    )  # fmt: skip
    with warnings.catch_warnings():
        # peft warns about a name that transformers has changed.
        warnings.simplefilter("ignore", FutureWarning)
        model[0].model = get_peft_model(inner, config)
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    # peft picks modules by name, so a new version of a model could change the selection silently.
    unexpected = [name for name in trained if not _is_trainable(name)]
    if unexpected or any(ENCODER in name for name in trained):
        raise InputError(
            f"parameters would train that should not: {', '.join(unexpected or trained)}"
        )
    return trained


def _is_trainable(name: str) -> bool:
    return ".lora_" in name or f"{PROJECTOR}.modules_to_save." in name


def merge_adapters(model: Any) -> None:
    """Merge the adapters into the weights, in place; the result is a plain Qwen2-Audio."""
    model[0].model = network(model).merge_and_unload()
