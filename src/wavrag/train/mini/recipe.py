"""The recipe of WavRetriever-mini: stages from data to an evaluated model; all of them resume.

    synth     speak texts with synthetic voices
    features  cache encoder frames of every clip, original and augmented
    speech    train the speech head: frames to letters, with CTC
    reader    train the reader: letters to text vectors
    sounds    train the sound head: frames to caption vectors
    export    export one 8-bit ONNX file and the word list, and compare with the float model
    evaluate  evaluate the model on retrieval tasks

A finished stage leaves `STAGE.json` with options, versions, seconds and result, and is skipped
until that file is removed.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wavrag import config
from wavrag.audio import Augmentation
from wavrag.data import Task, load_speaker, load_task, write_json
from wavrag.embed import Embedder, Lexicon, moonshine_folder
from wavrag.errors import InputError
from wavrag.train.mini import features, synth, texts
from wavrag.train.mini.convert import is_trained_encoder, load_letters
from wavrag.train.mini.ctc import CTCOptions, SpeechHead, train_ctc
from wavrag.train.mini.device import best_device
from wavrag.train.mini.export import SpeechNetwork, export_network, measure_parity
from wavrag.train.mini.frames import Example, Frames
from wavrag.train.mini.letters import spell_text
from wavrag.train.mini.moonshine import Encoder, load_encoder
from wavrag.train.mini.reader import ReaderOptions, TranscriptPair, train_reader, transcribe_clips
from wavrag.train.mini.sounds import (
    PooledSounds,
    SoundHead,
    SoundOptions,
    pool_sounds,
    train_sounds,
)
from wavrag.train.mini.text_model import export_text_model, load_original
from wavrag.types import Float32

STAGES = ("synth", "features", "speech", "reader", "sounds", "export", "evaluate")
ENGINES = {"flite": 6_000, "espeak": 3_000}  # engines without model files: numbers of texts
HELD_OUT_SPEAKERS = 6  # human speakers for validation
HELD_OUT_VOICES = ("am_adam", "bf_emma")  # voices of Kokoro for validation
HELD_OUT_EVERY = 60  # one in so many synthetic texts, chosen by hash, is for validation
LONGEST_WORD = 20  # letters of a word in the word list
READER_CLIPS = 16_000  # maximum number of clips for the reader

Log = Callable[[dict[str, object]], None]
Evaluate = Callable[[Task, Embedder], Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class MiniOptions:
    """Options of `train_mini`."""

    data: Path  # data folder, as described in docs/training-mini.md
    work: Path  # run folder, for several gigabytes
    engines: Mapping[str, int] = field(default_factory=ENGINES.copy)  # numbers of texts to speak
    kokoro: Path | None = None  # folder of the Kokoro model, for the engine of that name
    start: Path | None = None  # heads.npz or .safetensors to start from; None for new heads
    tasks: tuple[Path, ...] = ()  # task folders for the last stage
    seed: int = 0  # random seed
    speech: CTCOptions = field(default_factory=CTCOptions)
    reader: ReaderOptions = field(default_factory=ReaderOptions)
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
        "synth": _synth, "features": _features, "speech": _speech, "reader": _reader,
        "sounds": _sounds, "export": _export, "evaluate": partial(_evaluate, evaluate),
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


def _encoder(options: MiniOptions) -> Encoder:
    encoder = load_encoder(moonshine_folder() / "encoder_model.ort")
    if options.start is not None and is_trained_encoder(options.start):
        return load_letters(options.start, encoder)[0]
    return encoder


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


def _features(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    encoder = _encoder(options).to(best_device())
    groups = {"speechocean": features.list_human_speech(options.data)}
    for folder in sorted((options.work / "speech").glob("*")):
        groups[folder.name] = [
            features.SpeechSource(folder.name, record.voice, record.text, record.samples)
            for record in synth.read_set(folder)
        ]
    all_sources = [source for group in groups.values() for source in group]
    babble = features.Babble(all_sources, features.load_noises(options.data))
    hours = {}
    for name, sources in groups.items():
        clip_hours = features.cache_frames(
            name, sources, encoder, babble, options.work / "frames",
            augmentation=Augmentation(), variants=2 if name == "speechocean" else 1,
            seed=options.seed, on_progress=partial(_report_step, step, len(sources)),
        )  # fmt: skip
        hours[name] = round(clip_hours, 2)
        log({"frames": name, "hours": hours[name]})
    return {"hours": hours}


def select_held_out(frames: Frames) -> list[Example]:
    """Return the validation clips: some speakers and voices, and some texts of all others."""
    human = sorted({e.speaker for e in frames.examples if e.group == "speechocean"})
    speakers = {*human[-HELD_OUT_SPEAKERS:], *HELD_OUT_VOICES}
    return [
        e
        for e in frames.examples
        if e.speaker in speakers
        or (e.group != "speechocean" and zlib.crc32(e.text.encode()) % HELD_OUT_EVERY == 0)
    ]


def _speech(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    frames = Frames(options.work / "frames")
    torch.manual_seed(options.seed)
    head = SpeechHead()
    if options.start is not None and is_trained_encoder(options.start):
        head = load_letters(options.start, Encoder())[1]
    elif options.start is not None:
        head.load_state_dict(read_head(options.start, "speech"))
    head.to(best_device())
    last, log_step = _track_progress(log, step, "epoch", options.speech.epochs)
    checkpoint = options.work / "speech.pt"
    train_ctc(
        head, frames, select_held_out(frames), options.speech, checkpoint=checkpoint, log=log_step
    )
    return last


def _reader(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    from wavrag.embed import MiniLM

    device = best_device()
    head = SpeechHead()
    head.load_state_dict(torch.load(options.work / "speech.pt", weights_only=True))
    frames = Frames(options.work / "frames")
    lines = build_word_list(text.text for text in texts.gather_texts(options.data, options.seed))
    (options.work / "lexicon.txt").write_text(lines, encoding="ascii")
    lexicon = Lexicon.read(options.work / "lexicon.txt")

    def transcribe(examples: Sequence[Example]) -> list[TranscriptPair]:
        return transcribe_clips(
            head.to(device), frames, examples, lexicon, limit=options.speech.frames
        )

    validation = select_held_out(frames)
    keys = {(example.speaker, example.text) for example in validation}
    training = [e for e in frames.examples if (e.speaker, e.text) not in keys]
    rng = np.random.default_rng(options.seed)
    sample = rng.permutation(len(training))[:READER_CLIPS]
    pairs = transcribe([training[index] for index in sample])
    validation_pairs = transcribe([example for example in validation if not example.variant])
    text_model = MiniLM()
    model = load_original().to(device)
    references = text_model.embed_texts([pair.reference for pair in validation_pairs])
    recognised = [pair.recognised for pair in validation_pairs]
    before = _mean_cosine(references, text_model.embed_texts(recognised))
    last, log_step = _track_progress(log, step, "step", options.reader.steps)
    train_reader(
        model, text_model.token_ids, pairs, text_model.embed_texts,
        options=options.reader, log=log_step,
    )  # fmt: skip
    export_text_model(model.cpu(), options.work / "reader.onnx")
    # The exported model, so that the figure includes the loss of its 8 bits.
    reader = MiniLM(model=options.work / "reader.onnx")
    after = _mean_cosine(references, reader.embed_texts(recognised))
    return {**last, "held_out_before": round(before, 4), "held_out_after": round(after, 4)}


def _mean_cosine(vectors: Float32, others: Float32) -> float:
    return float((vectors * others).sum(1).mean())


def _sounds(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    from wavrag.embed import MiniLM

    encoder = _encoder(options).to(best_device())
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
    encoder = _encoder(options)
    speech, sound = SpeechHead(), SoundHead()
    speech.load_state_dict(torch.load(options.work / "speech.pt", weights_only=True))
    sound.load_state_dict(torch.load(options.work / "sounds.pt", weights_only=True))
    network = SpeechNetwork(encoder, speech, sound).eval()
    folder = options.work / "model"
    folder.mkdir(exist_ok=True)
    sizes = export_network(network, folder / "model.onnx")
    for name in ("lexicon.txt", "reader.onnx"):
        shutil.copyfile(options.work / name, folder / name)
    write_heads(folder / "heads.npz", speech=speech, sound=sound)
    human = features.list_human_speech(options.data)[-100:]
    clips = [source.read() for source in human]
    return {**sizes, **measure_parity(network, folder / "model.onnx", clips)}


def write_heads(path: Path, **heads: torch.nn.Module) -> None:
    """Write the trained parameters as float16, as a start for further training."""
    arrays = {
        f"{name}.{parameter}": value.numpy().astype(np.float16)
        for name, head in heads.items()
        for parameter, value in head.state_dict().items()
    }
    np.savez_compressed(path, **arrays)


def read_head(path: Path, name: str) -> dict[str, torch.Tensor]:
    """Read the parameters of a head from a file of `write_heads`."""
    if not path.is_file():
        raise InputError(f"{path} is missing: name a heads.npz of an earlier run")
    with np.load(path) as stored:
        return {
            key.removeprefix(f"{name}."): torch.from_numpy(stored[key].astype(np.float32))
            for key in stored
            if key.startswith(f"{name}.")
        }


def _evaluate(
    evaluate: Evaluate | None, options: MiniOptions, log: Log, step: Step
) -> dict[str, Any]:
    from wavrag.embed import WavRetrieverMini

    embedder = WavRetrieverMini(weights=options.work / "model")
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
