"""A recipe from records to a model that `load_embedder` takes.

OUT/data         rows of every direction
OUT/checkpoints  what a run that was cut off goes on from
OUT/model        adapters merged: a folder for `load_embedder("st:OUT/model")`
OUT/run.json     recipe, versions, trained parameters, losses, and that frozen means frozen
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from wavrag.audio import SAMPLE_RATE
from wavrag.data import write_json
from wavrag.embed import ModelSpec, write_spec
from wavrag.errors import InputError
from wavrag.train.contrastive import tiny
from wavrag.train.contrastive.data import Reader, write_rows
from wavrag.train.contrastive.loss import contrastive_loss
from wavrag.train.contrastive.model import (
    ENCODER,
    build_retriever,
    merge_adapters,
    network,
    prepare_for_training,
)
from wavrag.train.contrastive.options import OptimOptions, Recipe
from wavrag.train.contrastive.trainer import MixingTrainer
from wavrag.types import NoteCallback

PACKAGES = ("wavrag", "torch", "transformers", "sentence-transformers", "peft", "datasets")


def train_retriever(
    recipe: Recipe,
    out: Path,
    *,
    on_note: NoteCallback,
    log: Callable[[Mapping[str, Any]], None] = lambda line: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Run a recipe; a run that was cut off goes on from its last checkpoint.

    Args:
        recipe: what to do.
        out: folder for everything that is made.
        on_note: told of every record that is left out.
        log: called with losses.
        on_progress: called with steps done and steps in all.

    Returns:
        What `OUT/run.json` holds.

    Raises:
        InputError: a source is missing, the base cannot be loaded, or `out` holds a run of
            another recipe.
    """
    from datasets import Dataset, DatasetDict
    from transformers import PrinterCallback

    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    _same_recipe(recipe, out)
    recipe = _with_tiny(recipe, out)
    torch.manual_seed(recipe.seed)
    options = recipe.model
    model = build_retriever(
        options.base,
        query_prompt=options.query_prompt,
        passage_prompt=options.passage_prompt,
        dtype=getattr(torch, options.dtype),
    )
    before = fingerprint(model)
    trained = prepare_for_training(model, recipe.lora)
    rows = write_rows(recipe, out / "data", on_note)
    data = DatasetDict(
        {
            name: Dataset.from_json(str(path), cache_dir=str(out / "data" / "cache"))
            for name, path in rows.items()
        }
    )
    weights = [recipe.weights.get(name.partition("+")[0], 0.0) for name in rows]
    if recipe.weights and not any(weights):
        raise InputError(f"`weights` leave nothing to train on: there are {', '.join(rows)}")
    reader = Reader(model, recipe)
    trainer = MixingTrainer(
        weights=weights,
        model=model,
        args=_arguments(recipe, out, data),
        train_dataset=data,
        loss=contrastive_loss(model, recipe.loss),
        data_collator=_collator(reader, recipe, data),
        callbacks=[_follower(reader, log, on_progress)],
    )
    trainer.remove_callback(PrinterCallback)  # it would write to standard output
    checkpoint = _last_checkpoint(out / "checkpoints")
    finished = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    after = fingerprint(model)
    if before != after:
        raise InputError("the frozen audio encoder changed in training: the run is not to be used")
    merge_adapters(model)
    _export(model, recipe, out / "model")
    result = {
        "recipe": asdict(recipe),
        "versions": {name: version(name) for name in PACKAGES},
        "device": str(model.device),
        "rows": {name: len(part) for name, part in data.items()},
        "steps": finished.global_step,
        "loss": round(finished.training_loss, 4),
        "losses": [round(line["loss"], 4) for line in trainer.state.log_history if "loss" in line],
        "texts_cut": reader.cut["texts"],
        "trained": trained,
        "encoder": after,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(out / "run.json", result)
    return result


def push_model(out: Path, repository: str) -> None:
    """Upload the trained model to a hub.

    Raises:
        InputError: there is no trained model, or the hub refuses it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if not (out / "model").is_dir():
        raise InputError(f"{out} holds no trained model to push")
    hub = HfApi()
    try:
        hub.create_repo(repository, private=True, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=str(out / "model"))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise InputError(f"{repository}: the hub did not take the model: {error}") from error


def fingerprint(model: Any) -> str:
    """SHA-256 of the audio encoder's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(network(model).state_dict().items()):
        if ENCODER in name:
            bits = value.detach().cpu().contiguous().view(torch.uint8).numpy()
            digest.update(bits.tobytes())
    return digest.hexdigest()


def _with_tiny(recipe: Recipe, out: Path) -> Recipe:
    """The recipe with its random base and its tones made, if it asks for them."""
    if recipe.model.base != "tiny":
        return recipe
    from dataclasses import replace

    if not (out / "base" / "config.json").is_file():
        tiny.build_tiny(out / "base", seed=recipe.seed)
    tiny.write_tones(out / "tones")
    return replace(recipe, model=replace(recipe.model, base=str(out / "base")), root=str(out))


def _arguments(recipe: Recipe, out: Path, data: Any) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers

    optim = recipe.optim
    steps = sum(-(-len(part) // optim.batch) for part in data.values()) * optim.epochs
    steps = optim.max_steps if optim.max_steps > 0 else steps
    return SentenceTransformerTrainingArguments(
        output_dir=str(out / "checkpoints"),
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        seed=recipe.seed,
        warmup_steps=int(optim.warmup * steps),
        **_optim(optim),
        report_to="none",
        disable_tqdm=True,
        logging_nan_inf_filter=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
    )


def _optim(optim: OptimOptions) -> dict[str, Any]:
    """Our options in the words of transformers."""
    from transformers import TrainingArguments

    given: dict[str, Any] = {
        "learning_rate": optim.learning_rate,
        "per_device_train_batch_size": optim.batch,
        "num_train_epochs": optim.epochs,
        "max_steps": optim.max_steps,
        "lr_scheduler_type": optim.schedule,
        "weight_decay": optim.weight_decay,
        "max_grad_norm": optim.clip,
        "bf16": optim.bf16,
        "save_steps": optim.save_steps,
        "save_total_limit": optim.keep,
        "logging_steps": optim.log_steps,
    }
    if optim.gradient_checkpointing:
        known = {field.name for field in fields(TrainingArguments)}
        name = "activation" if "activation_checkpointing" in known else "gradient"  # was renamed
        given[f"{name}_checkpointing"] = True
        given[f"{name}_checkpointing_kwargs"] = {"use_reentrant": False}
    return given


def _collator(reader: Reader, recipe: Recipe, data: Any) -> Any:
    """Makes batches; every column has its prompt."""
    from sentence_transformers.sentence_transformer.data_collator import (
        SentenceTransformerDataCollator,
    )

    model = recipe.model
    prompts = {
        column: model.query_prompt if column == "query" else model.passage_prompt
        for part in data.values()
        for column in part.column_names
    }
    return SentenceTransformerDataCollator(preprocess_fn=reader, prompts=prompts)


def _follower(
    reader: Reader,
    log: Callable[[Mapping[str, Any]], None],
    on_progress: Callable[[int, int], None],
) -> Any:
    """A callback that tells the reader the epoch, and others how far the run is."""
    from transformers import TrainerCallback

    class Follower(TrainerCallback):
        def on_epoch_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            reader.epoch = int(state.epoch or 0)

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            on_progress(state.global_step, state.max_steps)

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any
        ) -> None:
            if logs and "loss" in logs:
                log({"step": state.global_step, "loss": round(logs["loss"], 4)})

    return Follower()


def _last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _same_recipe(recipe: Recipe, out: Path) -> None:
    """Refuse to go on with checkpoints of another recipe."""
    path, own = out / "recipe.json", json.loads(json.dumps(asdict(recipe)))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != own:
        raise InputError(f"{out} holds a run of another recipe: name another folder with --out")
    write_json(path, own)


def _export(model: Any, recipe: Recipe, folder: Path) -> None:
    """The merged model with its contract, complete or not at all."""
    unfinished = folder.with_name(folder.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(str(unfinished), create_model_card=False)
    write_spec(retriever_spec(recipe, model), unfinished)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(unfinished, folder)


def retriever_spec(recipe: Recipe, model: Any) -> ModelSpec:
    """The contract of the trained model."""
    options = recipe.model
    return ModelSpec(
        name="wavretriever",
        dim=network(model).config.text_config.hidden_size,
        pooling="last",
        normalised=True,
        query_prompt=options.query_prompt,
        passage_prompt=options.passage_prompt,
        prompt_role="prefix",
        dtype=options.dtype,  # type: ignore[arg-type]
        sampling_rate=SAMPLE_RATE,
        max_audio_seconds=options.max_audio_seconds,
        chunk_seconds=options.chunk_seconds,
        max_text_tokens=options.max_text_tokens,
        modalities=frozenset({"text", "audio"}),
        languages=("en",),
        licence="LicenseRef-of-the-base-model",
        vectors="one",
        trust_remote_code=False,
        source="https://arxiv.org/abs/2502.14727",
    )
