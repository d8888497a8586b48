"""The paper's mechanism on real pretrained parts: data, both stages of training, evaluation.

    python benchmarks/paper_small.py --data DATA --base BASE --out OUT --size gpu    ten minutes
    python benchmarks/paper_small.py --data DATA --base BASE --out OUT --size cpu    an hour

`tools/assemble_paper_small.py` builds BASE, DATA is the folder of the collected data, and SPOKEN
(optional) is a file of further training records, such as questions spoken by `wavrag synth`. It
runs the recipe `paper-small`, then evaluates the model before training, after alignment and after
contrastive training, and at every checkpoint, on voices and texts that are never trained on. An
interrupted run resumes. OUT/report.json has the figures, OUT/checkpoint adapters and projector, and
OUT/model is for `st:`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from wavrag.audio import SAMPLE_RATE, Augmentation, load, open_audio, write_wav
from wavrag.data import (
    Content,
    TrainingRecord,
    read_records,
    read_rows,
    training_captions,
    write_json,
    write_records,
)
from wavrag.embed import Embedder, audio_inputs, load_embedder
from wavrag.evaluate import paired_bootstrap
from wavrag.train.contrastive import load_recipe, train_retriever
from wavrag.train.contrastive.model import build_retriever, network, prepare_for_training
from wavrag.train.contrastive.options import Recipe
from wavrag.train.mini.texts import normalize_text, read_evaluation_texts
from wavrag.types import EmbedInput, Role

# `experiments` is no installed package: it lies beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.base import Estimate
from experiments.plots import drawing, lines

# Limits on the data, values of the recipe, queries of the final evaluation and of the curve. On a
# CPU, short clips and small batches, and a higher learning rate for the few steps.
SIZES: dict[str, tuple[float, int, list[str], int, int]] = {
    "gpu": (12.0, 100_000, [], 500, 200),
    "cpu": (
        4.0, 600,
        [
            "model.max_text_tokens=96", "align.steps=0", "optim.minutes=35", "optim.max_steps=150",
            "optim.batch=16", "optim.save_steps=30", "optim.warmup=0.05",
            "optim.learning_rate=3e-4", "lora.dropout=0", "optim.log_steps=5", 'augment.noise=""',
            "weights={S2T=4,T2T=2,T2S=1}", "optim.workers=0",
        ],
        200, 100,
    ),
}  # fmt: skip
HUMAN = ("speech/kathleen.jsonl", "speech/librispeech_train.jsonl", "speech/speechocean762.jsonl")
SOUNDS = ("sounds/esc10.jsonl", "sounds/kitchen20.jsonl")
NOISE = (10, 5, 0)  # dB, speech over ambience
BATCH = 16
CURVES = ("spoken question to its text", "spoken question to paragraph")
SMALL = 100  # queries; so few are for a CPU, and leave out audio with text and other paragraphs
Sides = tuple[list[Content], list[Content]]


def main() -> None:
    """Run everything that is not done yet, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--spoken", type=Path, help="further training records")
    parser.add_argument("--beside", nargs="*", default=[], help="embedders to evaluate as well")
    parser.add_argument("--plot", type=Path, help="PNG file for the curves")
    parser.add_argument("--size", choices=sorted(SIZES), default="gpu")
    options = parser.parse_args()
    max_seconds, limit, changes, queries, curve_queries = SIZES[options.size]
    out: Path = options.out
    paths = [f"root={json.dumps(str(out / 'data'))}", f"model.base={json.dumps(str(options.base))}"]
    recipe = load_recipe("paper-small", [*paths, *changes])
    records = out / "data" / "records.jsonl"
    if not records.is_file():
        sources = training_records(options.data, options.spoken, max_seconds, limit)
        write_records(records, (row for row in sources if row.direction in recipe.weights))
        link_noise(options.data, out / "data" / "noise")
    if not (out / "run.json").is_file():  # a later call would train on, to the next time limit
        train_retriever(recipe, out, on_note=print, log=lambda line: print(line, flush=True))
    report = json.loads((out / "run.json").read_text("utf-8"))
    report["align"] = json.loads((out / "align" / "log.json").read_text("utf-8"))
    started = time.monotonic()
    report["curve"], report["stages"] = evaluate(recipe, out, options.data, queries, curve_queries)
    report["differences"] = compare(report["stages"])
    for name in options.beside:
        path = out / "evaluation" / f"beside-{name.replace('/', '-')}.json"
        if not path.is_file():
            sets = evaluation_sets(options.data, queries)
            sets |= noise_sets(options.data, out, curve_queries)
            write_json(path, measure(partial(embed_by_name, load_embedder(name)), sets))
        report["stages"][name] = json.loads(path.read_text("utf-8"))
    for stage in report["stages"].values():
        for values in stage.values():
            values.pop("hits")
    report["evaluation_seconds"] = round(time.monotonic() - started, 1)
    write_json(out / "report.json", report)
    if options.plot:
        plot(report, options.plot)
    figures = ("rows", "steps", "seconds", "losses", "curve", "stages", "differences")
    print(json.dumps({name: report[name] for name in figures}, indent=1))


def training_records(
    data: Path, spoken: Path | None, max_seconds: float, limit: int
) -> Iterator[TrainingRecord]:
    """Yield records of all directions, at most `limit` recordings or texts of each source.

    Questions and sentences with their own text, in both directions; questions with their
    paragraphs; sounds with others of their class; recordings of one sentence with each other.
    """
    evaluated = {normalize_text(text) for text in read_evaluation_texts(data)}
    kokoro = list(read_rows(data / "speech/kokoro_train.jsonl"))
    human = [
        row for name in HUMAN for row in read_rows(data / name)
        if row.get("split", "train") == "train"
    ]  # fmt: skip
    takes: dict[str, list[Content]] = {}
    for name, rows in (("kokoro", kokoro), ("human", human)):
        count = 0
        for row in rows:
            start, end = row.get("start"), row.get("end")
            text, path = row["text"], str(data / row["audio"])
            if count >= limit:
                break
            seconds = end - start if end else read_duration(path)
            if seconds > max_seconds or normalize_text(text) in evaluated:
                continue
            count += 1
            sound = Content(audio=path, start=start, end=end, transcript=text)
            words = Content(text=text)
            yield TrainingRecord(f"{name}/{count}/S2T", sound, (words,), (), name)
            yield TrainingRecord(f"{name}/{count}/T2S", words, (sound,), (), name)
            takes.setdefault(normalize_text(text), []).append(sound)
    for record in read_records(spoken) if spoken else ():
        audio = record.query.audio
        if isinstance(audio, str) and read_duration(audio) <= max_seconds:
            yield record
    paragraphs = (
        {"question": row["questions"][0], "passage": row["context"]}
        for row in read_rows(data / "text/squad_dev_train.jsonl")
    )
    sentences = read_rows(data / "text/squad_train_pairs.jsonl")
    pairs = chain(islice(paragraphs, limit), islice(sentences, limit))
    for at, row in enumerate(pairs):
        question, passage = Content(text=row["question"]), Content(text=row["passage"])
        if not {normalize_text(row["question"]), normalize_text(row["passage"])} & evaluated:
            yield TrainingRecord(f"pairs/{at}/T2T", question, (passage,), (), "pairs")
    for at, clips in enumerate(takes.values()):
        if len(clips) > 1:
            yield TrainingRecord(f"takes/{at}/S2S", clips[0], (clips[1],), (), "takes")
    yield from sound_records(data)


def read_duration(path: str) -> float:
    """Return the duration of a recording in seconds, from its header if that states it."""
    with open_audio(path) as source:
        seconds = source.duration
    return load(path).duration if seconds is None else seconds


def sound_records(data: Path) -> Iterator[TrainingRecord]:
    """Yield records that pair sounds of one class, with a question and a caption."""
    classes: dict[str, list[str]] = {}
    for name in SOUNDS:
        for row in read_rows(data / name):
            if row["fold"] != 5:
                classes.setdefault(row["label"], []).append(str(data / row["audio"]))
    for label, paths in classes.items():
        captions = training_captions(label)
        for at, (first, second) in enumerate(pairwise(paths)):
            query = Content(text="Which sound is this?", audio=first, end=10.0)
            positive = Content(text=captions[at % len(captions)], audio=second, end=10.0)
            yield TrainingRecord(f"sounds/{label}/{at}", query, (positive,), (), "sounds")


def link_noise(data: Path, folder: Path) -> None:
    """Link the ambiences for training; the others are for evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in islice(read_rows(data / "sounds/moodist.jsonl"), 0, None, 2):
        path = (data / row["audio"]).resolve()
        (folder / path.name).unlink(missing_ok=True)
        (folder / path.name).symlink_to(path)


def evaluation_sets(data: Path, count: int) -> dict[str, Sides]:
    """Return queries and passages by name; the passage of a query has its index.

    Questions are spoken in four voices that are never trained on. Paragraphs are all those of the
    evaluation corpus; a question of a paragraph that has one already is left out.
    """
    paragraphs = {row["id"]: row for row in read_rows(data / "text/squad_dev_eval.jsonl")}
    rows = list(islice(read_rows(data / "speech/squad_eval_kokoro.jsonl"), count))
    first = list({row["positive"]: row for row in reversed(rows)}.values())
    chosen = {row["positive"] for row in first}
    others = [key for key in paragraphs if key not in chosen]
    order = [row["positive"] for row in first] + (others if count > SMALL else [])
    passages = [Content(text=paragraphs[key]["context"]) for key in order]

    def sounds(rows: Sequence[Any]) -> list[Content]:
        return [Content(audio=str(data / row["audio"])) for row in rows]

    texts = [Content(text=row["text"]) for row in rows]
    sets = {
        "spoken question to its text": (sounds(rows), texts),
        "text to its spoken question": (texts, sounds(rows)),
        "spoken question to paragraph": (sounds(first), passages),
        "typed question to paragraph": ([Content(text=row["text"]) for row in first], passages),
    }
    topics = [
        replace(sound, text=f"About: {paragraphs[row['positive']]['title']}")
        for sound, row in zip(sounds(first), first, strict=True)
    ]
    if count > SMALL:
        sets["spoken question and topic to paragraph"] = (topics, passages)
    return sets


def noise_sets(data: Path, out: Path, count: int) -> dict[str, Sides]:
    """Return the spoken questions in ambiences that are not for training, and their texts."""
    ambiences = list(islice(read_rows(data / "sounds/moodist.jsonl"), 1, None, 2))
    rows = list(islice(read_rows(data / "speech/squad_eval_kokoro.jsonl"), count))
    texts, sets = [Content(text=row["text"]) for row in rows], {}
    (out / "noisy").mkdir(exist_ok=True)
    for level in NOISE:
        augmentation = Augmentation(
            speed_share=0, reverberation_share=0, echo_share=0, gain_share=0, telephone_share=0,
            noise_share=1, snr=(level, level),
        )  # fmt: skip
        paths = [out / "noisy" / f"{at}-{level}dB.wav" for at in range(len(rows))]
        for at, (row, path) in enumerate(zip(rows, paths, strict=True)):
            clip = load(data / row["audio"])
            noise = load(data / ambiences[at % len(ambiences)]["audio"], end=clip.duration)
            rng = np.random.default_rng(at)
            samples = augmentation.apply(clip.samples, SAMPLE_RATE, rng, [noise.samples])
            write_wav(path, replace(clip, samples=samples))
        sounds = [Content(audio=str(path)) for path in paths]
        sets[f"spoken question to its text, ambience at {level} dB"] = (sounds, texts)
    return sets


def embed(model: Any, contents: Sequence[Content], role: Role) -> np.ndarray:
    """Embed contents, shape = (n, dim), in batches of similar length."""
    seconds = model[0].processor.feature_extractor.chunk_length
    inputs, sizes = [], []
    for content in contents:
        item: dict[str, Any] = {"text": content.text} if content.text else {}
        sizes.append(len(content.text or ""))
        if content.audio is not None:
            samples = load(str(content.audio)).samples
            item["audio"] = audio_inputs(samples, SAMPLE_RATE, seconds)
            sizes[-1] += len(samples)
        inputs.append(item)
    order = np.argsort(sizes, kind="stable")
    vectors: list[Any] = [None] * len(inputs)
    prompt = model.prompts["query" if role == "query" else "document"]
    for at in range(0, len(order), BATCH):
        batch = [inputs[index] for index in order[at : at + BATCH]]
        texts = [item["text"] if set(item) == {"text"} else item for item in batch]
        features = model[0].preprocess(texts, prompt=prompt)
        moved = {
            name: value.to(model.device) if isinstance(value, torch.Tensor) else value
            for name, value in features.items()
        }
        with torch.inference_mode():
            rows = model(moved)["sentence_embedding"].float().cpu().numpy()
        for index, row in zip(order[at : at + BATCH], rows, strict=True):
            vectors[index] = row
    return np.stack(vectors)


def embed_by_name(embedder: Embedder, contents: Sequence[Content], role: Role) -> np.ndarray:
    """Embed contents with an embedder of the package, shape = (n, dim)."""
    inputs = [
        EmbedInput(content.text, load(str(content.audio)) if content.audio else None)
        for content in contents
    ]
    return embedder.embed(inputs, role)


def measure(
    encode: Callable[[Sequence[Content], Role], np.ndarray],
    sets: dict[str, Sides],
    *,
    with_roles: bool = True,
) -> dict[str, Any]:
    """Measure recall at 1 and 10 of every set; `hits` are those at 10 of each query.

    Without roles, the same contents have the same vectors as queries and as passages.
    """
    cache: dict[tuple[str, Content], np.ndarray] = {}  # the same contents serve several sets

    def vectors(contents: list[Content], role: Role) -> np.ndarray:
        role = role if with_roles else "passage"
        new = [content for content in dict.fromkeys(contents) if (role, content) not in cache]
        if new:
            rows = encode(new, role)
            cache.update({(role, content): row for content, row in zip(new, rows, strict=True)})
        return np.stack([cache[role, content] for content in contents])

    results = {}
    for name, (queries, passages) in sets.items():
        scores = vectors(queries, "query") @ vectors(passages, "passage").T
        own = scores[np.arange(len(queries)), np.arange(len(queries))]
        ranks = (scores > own[:, None]).sum(1)  # passages before the own one
        results[name] = {
            "queries": len(queries), "passages": len(passages),
            "recall@1": round(float((ranks < 1).mean()), 4),
            "recall@10": round(float((ranks < 10).mean()), 4),
            "hits": (ranks < 10).astype(float).tolist(),
        }  # fmt: skip
        interval = paired_bootstrap([0.0] * len(ranks), results[name]["hits"]).ci95
        results[name]["ci95@10"] = [round(end, 4) for end in interval]
    return results


def evaluate(
    recipe: Recipe, out: Path, data: Path, queries: int, curve_queries: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Evaluate the three stages on all sets, and every checkpoint on two smaller ones, for curves.

    Finished points are read from OUT/evaluation.
    """
    options = recipe.model
    model = build_retriever(
        options.base, query_prompt=options.query_prompt, passage_prompt=options.passage_prompt,
        ending=options.ending, dtype=getattr(torch, options.dtype),
    ).eval()  # fmt: skip
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    sets = evaluation_sets(data, queries)
    few = evaluation_sets(data, curve_queries)
    curve_sets = {f"curve: {name}": few[name] for name in CURVES}
    curve, stages = [], {}

    def add_point(stage: str, step: int, stage_name: str = "") -> None:
        path = out / "evaluation" / f"{stage}-{step}.json"
        if not path.is_file():
            started = time.monotonic()
            with_roles = options.query_prompt != options.passage_prompt
            chosen = curve_sets | (sets if stage_name else {})
            if stage_name == "contrastive":
                chosen |= noise_sets(data, out, curve_queries)
            results = measure(partial(embed, model), chosen, with_roles=with_roles)
            path.parent.mkdir(exist_ok=True)
            write_json(path, results)
            print(f"{path.stem}: {time.monotonic() - started:.0f} s", flush=True)
        results = json.loads(path.read_text("utf-8"))
        values = {name: dict(results[f"curve: {name}"]) for name in CURVES}
        for value in values.values():
            del value["hits"]
        curve.append({"stage": stage, "step": step, **values})
        if stage_name:
            stages[stage_name] = results

    add_point("raw", 0, "raw")
    paths = sorted((out / "align").glob("projector-*.safetensors"), key=_step)
    if not recipe.align.fit_words:  # the first is the random projector of the base
        del paths[0]
    for path in paths:
        network(model).multi_modal_projector.load_state_dict(load_file(path))
        add_point("align", _step(path), "aligned" if path == paths[-1] else "")
    prepare_for_training(model, recipe.lora)
    model.eval().to(model.device)
    folders = sorted((out / "checkpoints").glob("checkpoint-*"), key=_step)
    for folder in folders:
        load_checkpoint(model, folder)
        add_point("contrastive", _step(folder), "contrastive" if folder == folders[-1] else "")
    checkpoint = out / "checkpoint"
    checkpoint.mkdir(exist_ok=True)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copy(folders[-1] / name, checkpoint)
    return curve, stages


def load_checkpoint(model: Any, folder: Path) -> None:
    """Load adapters and projector into a model prepared for training."""
    from peft import load_peft_weights, set_peft_model_state_dict

    set_peft_model_state_dict(network(model), load_peft_weights(str(folder), device="cpu"))


def _step(path: Path) -> int:
    return int(path.name.removesuffix(".safetensors").rpartition("-")[2])


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw the loss of contrastive training, and the recall at every checkpoint."""
    curve, recipe = report["curve"], report["recipe"]
    labels = [
        point["stage"] if point["stage"] == "raw" else f"{point['stage'][0]}{point['step']}"
        for point in curve
    ]
    with drawing(path, 9.0, 3.0, columns=3) as (loss_axes, *recall_axes):
        losses, every = {"InfoNCE": report["losses"]}, recipe["optim"]["log_steps"]
        steps = [every * (at + 1) for at in range(len(report["losses"]))]
        lines(loss_axes, steps, losses, xlabel="step", ylabel="nats", title="contrastive training")
        loss_axes.axhline(np.log(recipe["optim"]["batch"]), color="#777777", linestyle=":")
        loss_axes.set_ylim(bottom=0)
        for axes, name in zip(recall_axes, CURVES, strict=True):
            values = [point[name] for point in curve]
            recalls: dict[str, Sequence[Any]] = {
                "R@10, 95 % interval": [
                    Estimate(value["recall@10"], tuple(value["ci95@10"])) for value in values
                ],
                "R@1": [value["recall@1"] for value in values],
            }
            title = f"{name}, {values[0]['passages']}"
            lines(axes, range(len(curve)), recalls, xlabel="checkpoint", ylabel="", title=title)
            axes.set_xticks(range(len(curve)), labels, rotation=45)
            axes.axhline(10 / values[0]["passages"], color="#777777", linestyle=":")
            axes.set_ylim(0, 1)
            axes.legend()


def compare(stages: dict[str, Any]) -> dict[str, Any]:
    """Compare recall@10 after both stages with that of the aligned model, query by query."""
    return {
        name: asdict(paired_bootstrap(stages["aligned"][name]["hits"], values["hits"]))
        for name, values in stages["contrastive"].items()
        if name in stages["aligned"]
    }


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
