"""A recipe: one TOML file with everything behind a training run.

`load_recipe(name or path, changes)` reads it into frozen dataclasses. Unknown keys and values of a
wrong type are errors.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from wavrag.data import STRICT, parse_json
from wavrag.embed import END_OF_TEXT
from wavrag.errors import InputError

RECIPES = Path(__file__).parent / "recipes"
Direction: TypeAlias = Literal["S2T", "T2T", "S2S", "T2S", "AT2AT"]


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The base model and its inputs."""

    __pydantic_config__ = STRICT

    base: str  # folder or hub name of Qwen2-Audio; `tiny` builds a small random one
    # Of the frozen weights; adapters and projector train in float32.
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    query_prompt: str = ""  # instruction before a query
    passage_prompt: str = ""  # instruction before a passage
    # After the input; the vector is the last hidden state of its last token.
    ending: str = END_OF_TEXT
    max_text_tokens: int = 512  # longer texts are truncated
    max_audio_seconds: float = 80.0  # longer recordings are skipped, with a note
    chunk_seconds: float = 30.0  # input length of the audio encoder


@dataclass(frozen=True, slots=True)
class AlignOptions:
    """Training of the projector alone, before the contrastive training."""

    __pydantic_config__ = STRICT

    # Start from a least-squares fit of the frames to the embeddings of the words spoken (English).
    fit_words: bool = False
    steps: NonNegativeInt = 0  # of training; 0 leaves it out
    minutes: NonNegativeFloat = 0.0  # time limit of training in one call; 0 for none
    learning_rate: PositiveFloat = 1e-3
    batch: PositiveInt = 16  # recordings
    max_seconds: float = 30.0  # longer recordings are left out
    save_steps: PositiveInt = 500  # between checkpoints

    @property
    def is_active(self) -> bool:
        """True if there is an alignment."""
        return self.fit_words or self.steps > 0


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """Low-rank adapters on the language model (Hu et al., arXiv 2106.09685)."""

    __pydantic_config__ = STRICT

    rank: PositiveInt = 8
    alpha: int = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = (  # linear layers with an adapter
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LossOptions:
    """InfoNCE over the batch (van den Oord et al., arXiv 1807.03748)."""

    __pydantic_config__ = STRICT

    temperature: PositiveFloat = 0.05
    hard_negatives: NonNegativeInt = 0  # per record, in addition to the passages of the batch
    grad_cache: NonNegativeInt = 0  # batch of a GradCache pass (arXiv 2101.06983); 0 turns it off
    gather: bool = True  # use the passages of other devices as negatives


@dataclass(frozen=True, slots=True)
class OptimOptions:
    """Optimiser, schedule and checkpoints."""

    __pydantic_config__ = STRICT

    learning_rate: PositiveFloat = 1e-4
    batch: Annotated[int, Field(ge=2)] = 64  # records per device; the others are the negatives
    epochs: float = 1.0
    max_steps: int = -1  # stop after that many steps; -1 for no limit
    minutes: NonNegativeFloat = 0.0  # time limit of training in one call; 0 for none
    warmup: float = 0.05  # share of the steps
    schedule: str = "linear"  # name of a scheduler of transformers
    weight_decay: float = 0.0
    clip: float = 1.0  # maximum norm of the gradient
    bf16: bool = True  # matrix products in bfloat16
    gradient_checkpointing: bool = True
    save_steps: int = 500  # between checkpoints
    keep: int = 2  # checkpoints
    log_steps: int = 10
    workers: NonNegativeInt = 0  # processes that read and augment recordings; 0 for this one


@dataclass(frozen=True, slots=True)
class AugmentOptions:
    """The paper's augmentation of recordings; each step applies to a share of the clips."""

    __pydantic_config__ = STRICT

    echo_share: float = 0.5
    echo_delay: tuple[float, float] = (0.1, 0.5)  # seconds
    echo_scale: tuple[float, float] = (0.0, 0.2)  # amplitude relative to the recording
    noise_share: float = 0.5
    snr: tuple[float, float] = (0.0, 20.0)  # dB
    noise: str = ""  # folder of background noise, such as MUSAN; empty for none
    gain_share: float = 0.5
    gain: tuple[float, float] = (-10.0, 6.0)  # dB


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """Training data: a data set in its published layout, or a file of records."""

    __pydantic_config__ = STRICT

    path: str  # folder or file, relative to `root`
    dataset: str = ""  # name of the data set; empty for a file of records
    split: str = "train"
    direction: Literal["", Direction] = ""  # key of `weights`; empty for that of each record
    limit: int = 0  # maximum number of records; 0 for all


@dataclass(frozen=True, slots=True)
class Recipe:
    """All options of a run."""

    __pydantic_config__ = STRICT

    model: ModelOptions
    data: tuple[DatasetSource, ...]
    root: str = "."  # folder of the paths in `data`
    seed: int = 0
    # Share of batches by direction; empty for shares by size.
    weights: dict[Direction, NonNegativeFloat] = field(default_factory=dict)
    align: AlignOptions = AlignOptions()
    lora: LoraOptions = LoraOptions()
    loss: LossOptions = LossOptions()
    optim: OptimOptions = OptimOptions()
    augment: AugmentOptions = AugmentOptions()


def recipe_names() -> list[str]:
    """Return the names of the packaged recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe and override some of its values.

    Args:
        name: one of `recipe_names()`, or the path of a TOML file.
        changes: `key=value` with the key as in the file (`loss.temperature=0.02`) and the value
            in TOML; a bare word is a string.

    Raises:
        InputError: there is no such recipe, or a key or a value is wrong.

    Example:
        >>> load_recipe("tiny", ["optim.epochs=2"]).optim.epochs
        2.0
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        choices = ", ".join(recipe_names())
        raise InputError(f"no recipe {name!r}: choose one of {choices}, or name a .toml file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path} is not TOML: {error}") from error
    for change in changes:
        _override(table, change)
    try:
        # As JSON, whose lists pydantic takes as tuples in strict mode. TOML has dates in addition;
        # as strings, they are refused where numbers are expected.
        recipe = parse_json(Recipe, json.dumps(table, default=str))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not recipe.data:
        raise InputError(f"{path}: `data` must name at least one source")
    return recipe


def _override(table: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {change}: write KEY=VALUE, such as loss.temperature=0.02")
    try:
        parsed_value = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed_value = value
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {change}: {section!r} has no keys of its own")
        table = inner
    table[last] = parsed_value
