"""The recipe of WavRetriever: stages from data to an evaluated model; all of them resume.

    synth     speak texts with synthetic voices
    decode    decode recorded speech
    speech    train encoder and speech head: waveforms to letters, with CTC
    sounds    train the sound head: frames to caption vectors
    export    export 8-bit ONNX files and the word list, and compare with the float model
    evaluate  evaluate the model on retrieval tasks

A finished stage leaves `STAGE.json` with options, versions, seconds and result, and is skipped
until that file is removed.
"""

from __future__ import annotations

import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wavrag import config
from wavrag.data import Task, load_speaker, load_task, write_json
from wavrag.embed import ENCODER_FILE, LETTERS_FILE, LEXICON_FILE, Embedder
from wavrag.errors import InputError
from wavrag.train.mini import recordings, synth, texts
from wavrag.train.mini.convert import load_letters
from wavrag.train.mini.ctc import CTCNetwork, CTCOptions, CTCTrainer, SpeechHead
from wavrag.train.mini.device import best_device
from wavrag.train.mini.export import LettersNetwork, SoundNetwork, export_network, measure_parity
from wavrag.train.mini.letters import spell_text
from wavrag.train.mini.moonshine import load_encoder
from wavrag.train.mini.sounds import (
    PooledSounds,
    SoundHead,
    SoundOptions,
    pool_sounds,
    train_sounds,
)
from wavrag.train.mini.waveforms import WEIGHTS, Waveforms

STAGES = ("synth", "decode", "speech", "sounds", "export", "evaluate")
ENGINES = {"flite": 6_000, "espeak": 3_000}  # engines without model files: numbers of texts
LONGEST_WORD = 20  # letters of a word in the word list
LETTERS = "speech.safetensors"  # result of the stage `speech`

Log = Callable[[dict[str, object]], None]
Evaluate = Callable[[Task, Embedder], Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class MiniOptions:
    """Options of `train_mini`."""

    data: Path  # data folder, as described in docs/training-mini.md
    work: Path  # run folder, for several gigabytes
    engines: Mapping[str, int] = field(default_factory=ENGINES.copy)  # numbers of texts to speak
    kokoro: Path | None = None  # folder of the Kokoro model, for the engine of that name
    start: Path | None = None  # .safetensors of letters; None for the encoder and a new head
    weights: Mapping[str, float] = field(default_factory=dict)  # changes to `waveforms.WEIGHTS`
    tasks: tuple[Path, ...] = ()  # task folders for the last stage
    seed: int = 0  # random seed
    speech: CTCOptions = field(default_factory=CTCOptions)
    sounds: SoundOptions = field(default_factory=SoundOptions)


def train_mini(
    options: MiniOptions,
    log: Log,
    on_progress: Callable[[str, int, int], None],
    evaluate: Evaluate | None = None,
) -> None:
    """Run all unfinished stages.

    Args:
        options: folders, sizes and options of the stages.
        log: called with results and metrics.
        on_progress: called with the stage, the number of finished steps and their total.
        evaluate: evaluates the trained embedder on a task of `options.tasks`; returns metrics by
            name for each leg.

    Raises:
        InputError: the data folder is missing, or there are tasks and no `evaluate`.
    """
    if not options.data.is_dir():
        raise InputError(f"{options.data} is no folder: name the data with --data")
    if options.tasks and evaluate is None:
        raise InputError("tasks need an `evaluate` function: pass one, or name no tasks")
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads())
    work: dict[str, Callable[[MiniOptions, Log, Step], dict[str, Any]]] = {
        "synth": _synth, "decode": _decode, "speech": _speech, "sounds": _sounds,
        "export": _export, "evaluate": partial(_evaluate, evaluate),
    }  # fmt: skip
    for stage in STAGES:
        record = options.work / f"{stage}.json"
        if record.exists():
            log({"stage": stage, "already": "done"})
            continue
        started = time.monotonic()
        result = work[stage](options, log, partial(on_progress, stage))
        provenance = {
            "stage": stage, "result": result,
            "options": json.loads(json.dumps(asdict(options), default=str)),
            "versions": {name: version(name) for name in ("wavrag", "torch", "numpy")},
            "python": platform.python_version(), "seconds": round(time.monotonic() - started, 1),
        }  # fmt: skip
        write_json(record, provenance)
        log({"stage": stage, **result})


Step = Callable[[int, int], None]


def _report_step(step: Step, total: int, count: int) -> None:
    step(count, total)


def _track_progress(log: Log, step: Step, key: str, total: int) -> tuple[dict[str, Any], Log]:
    """Wrap `log` so that it reports progress; return the latest metrics and the wrapper."""
    last: dict[str, Any] = {}

    def log_step(line: dict[str, object]) -> None:
        last.update(line)
        step(int(str(line[key])), total)
        log(line)

    return last, log_step


def _synth(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    counts_by_engine = {}
    pool = list(texts.gather_texts(options.data, seed=options.seed))
    for number, (name, clips) in enumerate(options.engines.items()):
        engine = load_speaker(name, options.kokoro)
        # Each engine starts at another text, so that together they cover more words.
        at = number * len(pool) // len(options.engines)
        counts = synth.synthesise(
            pool[at:] + pool[:at], engine, options.work / "speech" / name,
            seed=options.seed + number, limit=clips, on_progress=partial(_report_step, step, clips),
        )  # fmt: skip
        counts_by_engine[name] = asdict(counts)
        log({"engine": name, **counts_by_engine[name]})
    return counts_by_engine


def _decode(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    hours = {}
    for name in recordings.SETS:
        if not (options.data / "speech" / f"{name}.jsonl").exists():
            log({"decode": name, "missing": True})
            continue
        utterances = recordings.list_utterances(options.data, name)
        hours[name] = recordings.decode_set(
            utterances, options.work / "speech" / name,
            source=name, on_progress=partial(_report_step, step, len(utterances)),
        )  # fmt: skip
        log({"decode": name, "hours": round(hours[name], 2)})
    return {"hours": {name: round(value, 2) for name, value in hours.items()}}


def _speech(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    from safetensors.torch import save_file

    torch.manual_seed(options.seed)
    if options.start is None:
        encoder, head = load_encoder(), SpeechHead()
    else:
        encoder, head = load_letters(options.start)
    device = best_device()
    waveforms = Waveforms(
        sorted((options.work / "speech").iterdir()), recordings.load_noises(options.data), device,
        {**WEIGHTS, **options.weights},
    )  # fmt: skip
    last, log_step = _track_progress(log, step, "percent", 100)
    trainer = CTCTrainer(
        CTCNetwork(encoder, head).to(device), waveforms, options.speech,
        checkpoint=options.work / "speech.pt", log=log_step,
    )  # fmt: skip
    trainer.train()
    state = trainer.average.network.state_dict()
    save_file({name: value.half().cpu() for name, value in state.items()}, options.work / LETTERS)
    return last


def _sounds(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    from wavrag.embed import MiniLM

    # Not the encoder of the letters: the sound head shares a pass with the decoder of words.
    encoder = load_encoder().to(best_device())
    cache = options.work / "sounds.npz"
    if not cache.exists():
        pooled = pool_sounds(options.data, encoder, options.seed)
        np.savez(cache, pooled=pooled.pooled, labels=pooled.labels, names=pooled.names)
    stored = np.load(cache)
    sounds = PooledSounds(stored["pooled"], tuple(stored["labels"]), tuple(stored["names"]))
    head = SoundHead()
    last, log_step = _track_progress(log, step, "step", options.sounds.steps)
    train_sounds(head, sounds, MiniLM().embed_texts, options.sounds, log_step)
    torch.save(head.state_dict(), options.work / "sounds.pt")
    return {"clips": len(sounds.labels), **last}


def _export(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    letters = LettersNetwork(*load_letters(options.work / LETTERS))
    sound = SoundHead()
    sound.load_state_dict(torch.load(options.work / "sounds.pt", weights_only=True))
    folder = options.work / "model"
    folder.mkdir(exist_ok=True)
    lines = build_word_list(text.text for text in texts.gather_texts(options.data, options.seed))
    (folder / LEXICON_FILE).write_text(lines, encoding="ascii")
    return export_model(letters, SoundNetwork(load_encoder(), sound), folder, options.data)


def export_model(
    letters: LettersNetwork, sound: SoundNetwork, folder: Path, data: Path
) -> dict[str, Any]:
    """Export both networks to a folder, and measure their parity on 100 clips of human speech."""
    sizes = {
        name: export_network(network, folder / name)["bytes"]
        for name, network in ((LETTERS_FILE, letters), (ENCODER_FILE, sound))
    }
    return {**sizes, **measure_parity(letters, sound, folder, recordings.read_parity_clips(data))}


def _evaluate(
    evaluate: Evaluate | None, options: MiniOptions, log: Log, step: Step
) -> dict[str, Any]:
    from wavrag.embed import WavRetriever

    embedder = WavRetriever(weights=options.work / "model")
    results: dict[str, Any] = {}
    for number, folder in enumerate(options.tasks):
        if evaluate is not None:
            metrics = evaluate(load_task(folder), embedder)
            results[folder.name] = {legs: dict(values) for legs, values in metrics.items()}
        log({"task": folder.name, **results[folder.name]})
        step(number + 1, len(options.tasks))
    return results


def build_word_list(texts: Iterable[str]) -> str:
    """Build the word list for the lexicon, with lines `word count`, most frequent first.

    Words of up to three letters must occur twice, since rare ones are mostly abbreviations; words
    with digits five times, since there are too many numbers.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        words = (spell_text(text) or "").split()
        counts.update(word for word in words if len(word) <= LONGEST_WORD)
    entries = (
        (word, count)
        for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        if (count >= 5 if any(letter.isdigit() for letter in word) else count > 1 or len(word) > 3)
    )
    return "".join(f"{word} {count}\n" for word, count in entries)
