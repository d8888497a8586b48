"""A recipe: one readable TOML file with everything that a training run depends on.

`load_recipe(name or path, changes)` reads it into frozen dataclasses. A key that is not a field
here is an error, and so is a value of another type.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from wavrag.errors import InputError

RECIPES = Path(__file__).parent / "recipes"
DIRECTIONS = ("S2T", "T2T", "S2S", "T2S", "AT2AT")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What is trained."""

    base: str  # folder or hub name of Qwen2-Audio; `tiny` builds a small random one
    dtype: str = "bfloat16"  # of the frozen weights; adapters and projector train in float32
    query_prompt: str = ""  # instruction before a query
    passage_prompt: str = ""  # instruction before a passage
    max_text_tokens: int = 512  # longer texts are cut to the first so many
    max_audio_seconds: float = 80.0  # longer recordings are left out, with a note
    chunk_seconds: float = 30.0  # that the encoder hears at a time


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """Low-rank adapters on the language model (Hu et al., arXiv 2106.09685)."""

    rank: int = 8
    alpha: int = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = (  # linear layers that get one
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LossOptions:
    """InfoNCE over the batch (van den Oord et al., arXiv 1807.03748)."""

    temperature: float = 0.05
    hard_negatives: int = 0  # of each record, beside the other passages of the batch
    grad_cache: int = 0  # items of one pass with GradCache (arXiv 2101.06983); 0 for none
    gather: bool = True  # passages of the other devices are negatives too


@dataclass(frozen=True, slots=True)
class OptimOptions:
    """How it is trained."""

    learning_rate: float = 1e-4
    batch: int = 64  # records a device
    epochs: float = 1.0
    max_steps: int = -1  # ends the run earlier; -1 for whole epochs
    warmup: float = 0.05  # share of the steps
    schedule: str = "linear"  # as transformers names it
    weight_decay: float = 0.0
    clip: float = 1.0  # norm of the gradient
    bf16: bool = True  # matrix products in bfloat16
    gradient_checkpointing: bool = True
    save_steps: int = 500  # between checkpoints
    keep: int = 2  # checkpoints
    log_steps: int = 10


@dataclass(frozen=True, slots=True)
class AugmentOptions:
    """The paper's augmentation of recordings, in its order; each step for a share of the clips."""

    echo_share: float = 0.5
    echo_delay: tuple[float, float] = (0.1, 0.5)  # seconds
    echo_scale: tuple[float, float] = (0.0, 0.2)  # amplitude against the sound
    noise_share: float = 0.5
    snr: tuple[float, float] = (0.0, 20.0)  # dB
    noise: str = ""  # folder of background noise, such as MUSAN's; empty for none
    gain_share: float = 0.5
    gain: tuple[float, float] = (-10.0, 6.0)  # dB


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """Records to learn from: a data set in its published layout, or a file of records."""

    path: str  # folder or file, from `root`
    dataset: str = ""  # name of the data set; empty for a file of records
    split: str = "train"
    direction: str = ""  # whose share of the batches it has; empty for that of each record
    limit: int = 0  # records at most; 0 for all


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole run."""

    model: ModelOptions
    data: tuple[DatasetSource, ...]
    root: str = "."  # folder that the paths of `data` start from
    seed: int = 0
    weights: dict[str, float] = field(default_factory=dict)  # share of batches by direction
    lora: LoraOptions = LoraOptions()
    loss: LossOptions = LossOptions()
    optim: OptimOptions = OptimOptions()
    augment: AugmentOptions = AugmentOptions()


def recipe_names() -> list[str]:
    """The recipes that the package holds."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe and change some of it.

    Args:
        name: one of `recipe_names()`, or the path of a TOML file.
        changes: `key=value` with the key as in the file (`loss.temperature=0.02`) and the value
            as TOML writes it; a bare word is a string.

    Raises:
        InputError: there is no such recipe, or a key or a value is wrong.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(recipe_names())
        raise InputError(f"no recipe {name!r}: choose one of {known}, or name a .toml file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path} is not TOML: {error}") from error
    for change in changes:
        _set(table, change)
    recipe: Recipe = _read(Recipe, table, str(path), "")
    _check(recipe, str(path))
    return recipe


def _set(table: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {change}: write KEY=VALUE, such as loss.temperature=0.02")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {change}: {section!r} has no keys of its own")
        table = inner
    table[last] = parsed


def _read(kind: Any, table: Any, where: str, prefix: str) -> Any:
    """A dataclass from a table, checked key by key."""
    if not isinstance(table, dict):
        raise InputError(f"{where}: `{prefix.rstrip('.')}` must be a table")
    known = {one.name: one for one in fields(kind)}
    for key in table:
        if key not in known:
            raise InputError(
                f"{where}: unknown key `{prefix}{key}`; there are"
                f" {', '.join(prefix + name for name in known)}"
            )
    hints = get_type_hints(kind)
    values = {}
    for name, one in known.items():
        if name in table:
            values[name] = _value(hints[name], table[name], where, prefix + name)
        elif one.default is MISSING and one.default_factory is MISSING:
            raise InputError(f"{where}: `{prefix}{name}` is missing")
    return kind(**values)


def _value(kind: Any, given: Any, where: str, key: str) -> Any:
    if is_dataclass(kind):
        return _read(kind, given, where, f"{key}.")
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        repeated = inner[-1] is Ellipsis
        if isinstance(given, list) and (repeated or len(given) == len(inner)):
            return tuple(
                _value(inner[0], one, where, f"{key}[{at}]") for at, one in enumerate(given)
            )
    elif get_origin(kind) is dict:
        if isinstance(given, dict):
            return {name: _value(float, one, where, f"{key}.{name}") for name, one in given.items()}
    elif kind is float and isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    elif isinstance(given, kind) and not (kind is int and isinstance(given, bool)):
        return given
    raise InputError(f"{where}: `{key}` is {given!r}, and must be {_named(kind)}")


def _named(kind: Any) -> str:
    names = {float: "a number", int: "a whole number", str: "a string", bool: "true or false"}
    return names.get(kind, "a list" if get_origin(kind) is tuple else "a table")


def _check(recipe: Recipe, where: str) -> None:
    rules = {
        "data": (len(recipe.data) > 0, "must name at least one source"),
        "loss.temperature": (recipe.loss.temperature > 0, "must be above 0"),
        "loss.hard_negatives": (recipe.loss.hard_negatives >= 0, "must not be below 0"),
        "loss.grad_cache": (recipe.loss.grad_cache >= 0, "must not be below 0"),
        "lora.rank": (recipe.lora.rank > 0, "must be above 0"),
        "optim.batch": (
            recipe.optim.batch > 1,
            "must be at least 2: the batch gives the negatives",
        ),
        "optim.learning_rate": (recipe.optim.learning_rate > 0, "must be above 0"),
        "model.dtype": (
            recipe.model.dtype in ("bfloat16", "float16", "float32"),
            "must be bfloat16, float16 or float32",
        ),
        "data.direction": (
            {source.direction for source in recipe.data} <= {"", *DIRECTIONS},
            f"must be one of {', '.join(DIRECTIONS)}",
        ),
        "weights": (
            set(recipe.weights) <= set(DIRECTIONS) and all(w >= 0 for w in recipe.weights.values()),
            f"must give shares of at least 0 to some of {', '.join(DIRECTIONS)}",
        ),
    }
    for key, (kept, rule) in rules.items():
        if not kept:
            raise InputError(f"{where}: `{key}` {rule}")
