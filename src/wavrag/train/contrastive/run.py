"""Training run of a recipe, from records to a model for `load_embedder`.

OUT/data         rows of every direction
OUT/align        alignment of the projector, if the recipe has one
OUT/checkpoints  checkpoints, for resuming an interrupted run
OUT/model        model with merged adapters, for `load_embedder("st:OUT/model")`
OUT/run.json     recipe, versions, trained parameters, losses, hashes of the frozen encoder
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from wavrag.audio import SAMPLE_RATE
from wavrag.data import write_json
from wavrag.embed import ModelSpec, write_spec
from wavrag.errors import InputError
from wavrag.train.contrastive import tiny
from wavrag.train.contrastive.align import align
from wavrag.train.contrastive.data import BatchReader, write_rows
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
    on_progress: Callable[[int, int], None] = lambda count, total: None,
) -> dict[str, Any]:
    """Run a recipe; an interrupted run resumes from its last checkpoint.

    Args:
        recipe: the recipe.
        out: run folder.
        on_note: called with a message for every skipped record.
        log: called with steps and losses.
        on_progress: called with the number of finished steps and their total.

    Returns:
        The content of `OUT/run.json`.

    Raises:
        InputError: a source is missing, the base cannot be loaded, or `out` holds a run of
            another recipe.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    _check_same_recipe(recipe, out)
    recipe = _build_tiny_base(recipe, out)
    torch.manual_seed(recipe.seed)
    options = recipe.model
    model = build_retriever(
        options.base, query_prompt=options.query_prompt, passage_prompt=options.passage_prompt,
        ending=options.ending, dtype=getattr(torch, options.dtype),
    )  # fmt: skip
    rows = write_rows(recipe, out / "data", on_note)
    if recipe.align.is_active:
        projector = align(recipe, list(rows.values()), out / "align", log, on_progress)
        network(model).multi_modal_projector.load_state_dict(projector)
    encoder_hash = hash_encoder(model)
    trained = prepare_for_training(model, recipe.lora)
    reader = BatchReader(model, recipe)
    callback = _progress_callback(reader, log, on_progress, recipe.optim.minutes)
    trainer = _build_trainer(recipe, out, rows, reader, model=model, callback=callback)
    checkpoint = _last_checkpoint(out / "checkpoints")
    finished = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if hash_encoder(model) != encoder_hash:
        raise InputError("the frozen audio encoder changed in training: the run is not to be used")
    merge_adapters(model)
    _export(model, recipe, out / "model")
    result = {
        "recipe": asdict(recipe), "versions": {name: version(name) for name in PACKAGES},
        "device": str(model.device),
        "rows": {name: len(rows) for name, rows in trainer.train_dataset.items()},
        "steps": finished.global_step, "loss": round(finished.training_loss, 4),
        "losses": [round(line["loss"], 4) for line in trainer.state.log_history if "loss" in line],
        "texts_cut": reader.cut["texts"], "trained": trained, "encoder": encoder_hash,
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip
    write_json(out / "run.json", result)
    return result


def _build_trainer(
    recipe: Recipe,
    out: Path,
    rows: Mapping[str, Path],
    reader: BatchReader,
    *,
    model: Any,
    callback: Any,
) -> Any:
    """Build the trainer for files of rows by direction."""
    from datasets import Dataset, DatasetDict
    from transformers import PrinterCallback

    # A cache inside the run folder, so that deleting the run deletes all of its data.
    cache = str(out / "data" / "cache")
    data = DatasetDict(
        {name: Dataset.from_json(str(path), cache_dir=cache) for name, path in rows.items()}
    )
    shares = {str(direction): share for direction, share in recipe.weights.items()}
    weights = [shares.get(name.partition("+")[0], 0.0) for name in rows]
    if recipe.weights and not any(weights):
        raise InputError(f"`weights` leave nothing to train on: there are {', '.join(rows)}")
    trainer = MixingTrainer(
        weights=weights,
        model=model,
        args=_build_arguments(recipe, out, data),
        train_dataset=data,
        loss=contrastive_loss(model, recipe.loss),
        data_collator=_build_collator(reader, recipe, data),
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)  # it would write to standard output
    return trainer


def push_model(out: Path, repository: str) -> None:
    """Upload the trained model to the Hugging Face Hub.

    Raises:
        InputError: there is no trained model, or the upload fails.
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


def hash_encoder(model: Any) -> str:
    """Return the SHA-256 hash of the weights of the audio encoder."""
    digest = hashlib.sha256()
    for name, value in sorted(network(model).state_dict().items()):
        if ENCODER in name:
            bits = value.detach().cpu().contiguous().view(torch.uint8).numpy()
            digest.update(bits.tobytes())
    return digest.hexdigest()


def _build_tiny_base(recipe: Recipe, out: Path) -> Recipe:
    """Build the random base model and its tones if the recipe uses them."""
    if recipe.model.base != "tiny":
        return recipe
    if not (out / "base" / "config.json").is_file():
        tiny.build_tiny(out / "base", seed=recipe.seed, with_head=recipe.align.is_active)
    tiny.write_tones(out / "tones")
    return replace(recipe, model=replace(recipe.model, base=str(out / "base")), root=str(out))


def _build_arguments(recipe: Recipe, out: Path, data: Any) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers

    optim = recipe.optim
    steps = sum(-(-len(dataset) // optim.batch) for dataset in data.values()) * optim.epochs
    steps = optim.max_steps if optim.max_steps > 0 else steps
    return SentenceTransformerTrainingArguments(
        output_dir=str(out / "checkpoints"), batch_sampler=BatchSamplers.NO_DUPLICATES,
        seed=recipe.seed, warmup_steps=int(optim.warmup * steps), **_translate_options(optim),
        report_to="none", disable_tqdm=True, logging_nan_inf_filter=False,
        dataloader_pin_memory=torch.cuda.is_available(), use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip


def _translate_options(optim: OptimOptions) -> dict[str, Any]:
    """Translate the options to arguments of transformers."""
    from transformers import TrainingArguments

    arguments: dict[str, Any] = {
        "learning_rate": optim.learning_rate, "per_device_train_batch_size": optim.batch,
        "num_train_epochs": optim.epochs, "max_steps": optim.max_steps,
        "lr_scheduler_type": optim.schedule, "weight_decay": optim.weight_decay,
        "max_grad_norm": optim.clip, "bf16": optim.bf16, "save_steps": optim.save_steps,
        "save_total_limit": optim.keep, "logging_steps": optim.log_steps,
        "dataloader_num_workers": optim.workers,
    }  # fmt: skip
    if optim.gradient_checkpointing:
        field_names = {field.name for field in fields(TrainingArguments)}
        # transformers renamed this option.
        name = "activation" if "activation_checkpointing" in field_names else "gradient"
        arguments[f"{name}_checkpointing"] = True
        arguments[f"{name}_checkpointing_kwargs"] = {"use_reentrant": False}
    return arguments


def _build_collator(reader: BatchReader, recipe: Recipe, data: Any) -> Any:
    """Build the data collator, with the prompt of each column."""
    from sentence_transformers.sentence_transformer import data_collator

    model = recipe.model
    prompts = {
        column: model.query_prompt if column == "query" else model.passage_prompt
        for dataset in data.values()
        for column in dataset.column_names
    }
    return data_collator.SentenceTransformerDataCollator(preprocess_fn=reader, prompts=prompts)


def _progress_callback(
    reader: BatchReader,
    log: Callable[[Mapping[str, Any]], None],
    on_progress: Callable[[int, int], None],
    minutes: float,
) -> Any:
    """Build a callback for the reader's epoch, reports of progress and the time limit."""
    from transformers import TrainerCallback

    class ProgressCallback(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.started = time.monotonic()

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            reader.epoch = int(state.epoch or 0)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            on_progress(state.global_step, state.max_steps)
            if minutes and time.monotonic() - self.started > 60 * minutes:
                control.should_save = control.should_training_stop = True

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any
        ) -> None:
            if logs and "loss" in logs:
                log({"step": state.global_step, "loss": round(logs["loss"], 4)})

    return ProgressCallback()


def _last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint."""
    # The trainer writes this file last.
    folders = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(folders, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _check_same_recipe(recipe: Recipe, out: Path) -> None:
    """Refuse to resume from checkpoints of another recipe."""
    path, content = out / "recipe.json", json.loads(json.dumps(asdict(recipe)))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != content:
        raise InputError(f"{out} holds a run of another recipe: name another folder with --out")
    write_json(path, content)


def _export(model: Any, recipe: Recipe, folder: Path) -> None:
    """Write the merged model with its spec; the folder appears only once it is complete."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(str(partial), create_model_card=False)
    write_spec(retriever_spec(recipe, model), partial)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def retriever_spec(recipe: Recipe, model: Any) -> ModelSpec:
    """Return the spec of the trained model."""
    options = recipe.model
    return ModelSpec(
        name="wavretriever", dim=network(model).config.text_config.hidden_size, pooling="last",
        normalised=True, query_prompt=options.query_prompt, passage_prompt=options.passage_prompt,
        prompt_role="prefix", dtype=options.dtype, sampling_rate=SAMPLE_RATE,
        max_audio_seconds=options.max_audio_seconds, chunk_seconds=options.chunk_seconds,
        max_text_tokens=options.max_text_tokens, modalities=frozenset({"text", "audio"}),
        languages=("en",), licence="LicenseRef-of-the-base-model", vectors="one",
        trust_remote_code=False, source="https://arxiv.org/abs/2502.14727",
    )  # fmt: skip
