"""The recipe of WavRetriever-mini: stages from data to a tested model, each resumed where it ended.

    synth     texts are spoken by synthetic voices
    features  every clip goes through the frozen encoder, as recorded and augmented
    speech    layers on top of it learn letters
    reader    a copy of the text model learns to read them
    sounds    the sound head learns captions
    export    one 8-bit ONNX file, the word list, and how far the 8 bits are from the float model
    evaluate  the model on retrieval tasks, through the knowledge base

A stage that is done leaves `STAGE.json` with its options, versions, seconds and result, and is
not run again until that file is removed.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from wavrag.train.mini.ctc import CTCOptions, SpeechHead, train_ctc
from wavrag.train.mini.device import best_device
from wavrag.train.mini.export import SpeechNetwork, export, parity
from wavrag.train.mini.frames import Example, Frames
from wavrag.train.mini.letters import spell_text
from wavrag.train.mini.moonshine import Encoder, load_encoder
from wavrag.train.mini.reader import ReaderOptions, Reading, hear_all, train_reader
from wavrag.train.mini.sounds import (
    PooledSounds,
    SoundHead,
    SoundOptions,
    pool_sounds,
    train_sounds,
)
from wavrag.train.mini.text_model import export_text_model, load_original

STAGES = ("synth", "features", "speech", "reader", "sounds", "export", "evaluate")
ENGINES = {"flite": 6_000, "espeak": 3_000}  # synthetic voices without weights; texts of each
HELD_OUT_SPEAKERS = 6  # of the human training speech, to watch progress by
HELD_OUT_VOICES = ("am_adam", "bf_emma")  # of Kokoro, likewise
HELD_OUT_SHARE = 60  # one synthetic text in so many, likewise
LONGEST_WORD = 20  # letters of a word in the word list

Log = Callable[[dict[str, object]], None]
Evaluate = Callable[[Task, Embedder], Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class MiniOptions:
    """What `wavrag train mini` takes."""

    data: Path  # data folder, laid out as in docs/training-mini.md
    work: Path  # folder for everything that is made; several gigabytes
    engines: Mapping[str, int] = field(default_factory=lambda: dict(ENGINES))  # texts to speak
    kokoro: Path | None = None  # folder of the Kokoro model, for the engine of that name
    start: Path | None = None  # heads to start from; None for new ones
    tasks: tuple[Path, ...] = ()  # folders of retrieval tasks, for the last stage
    seed: int = 0
    speech: CTCOptions = field(default_factory=CTCOptions)
    reader: ReaderOptions = field(default_factory=ReaderOptions)
    sounds: SoundOptions = field(default_factory=SoundOptions)


def train_mini(
    options: MiniOptions,
    log: Log,
    on_progress: Callable[[str, int, int], None],
    evaluate: Evaluate | None = None,
) -> None:
    """Run the stages that are not done.

    Args:
        options: data, folders, sizes.
        log: called with every line of progress that is worth keeping.
        on_progress: called with a stage, how much of it is done, and of how much.
        evaluate: called with each of `options.tasks` and the trained embedder; returns metrics by
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
            "stage": stage,
            "result": result,
            "options": json.loads(json.dumps(asdict(options), default=str)),
            "versions": {name: version(name) for name in ("wavrag", "torch", "numpy")},
            "python": platform.python_version(),
            "seconds": round(time.monotonic() - started, 1),
        }
        write_json(record, provenance)
        log({"stage": stage, **result})


Step = Callable[[int, int], None]


def _of(step: Step, total: int, done: int) -> None:
    step(done, total)


def _followed(log: Log, step: Step, key: str, total: int) -> tuple[dict[str, Any], Log]:
    """What to log to, so that progress shows; and what the last lines said."""
    last: dict[str, Any] = {}

    def watch(line: dict[str, object]) -> None:
        last.update(line)
        step(int(str(line[key])), total)
        log(line)

    return last, watch


def _encoder() -> Encoder:
    return load_encoder(moonshine_folder() / "encoder_model.ort")


def _synth(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    spoken = {}
    chosen = list(texts.gather(options.data, seed=options.seed))
    for number, (name, clips) in enumerate(options.engines.items()):
        engine = load_speaker(name, options.kokoro)
        # Each engine starts at another place, so that together they cover more words.
        at = number * len(chosen) // len(options.engines)
        counts = synth.synthesise(
            chosen[at:] + chosen[:at],
            engine,
            options.work / "speech" / name,
            seed=options.seed + number,
            limit=clips,
            on_progress=partial(_of, step, clips),
        )
        spoken[name] = asdict(counts)
        log({"engine": name, **spoken[name]})
    return spoken


def _features(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    encoder = _encoder().to(best_device())
    groups = {"speechocean": features.spoken_sources(options.data)}
    for folder in sorted((options.work / "speech").glob("*")):
        groups[folder.name] = [
            features.SpeechSource(folder.name, record.voice, record.text, record.samples)
            for record in synth.read_set(folder)
        ]
    everyone = [source for group in groups.values() for source in group]
    babble = features.Babble(everyone, features.background_noises(options.data))
    hours = {}
    for name, sources in groups.items():
        hours[name] = round(
            features.cache_frames(
                name,
                sources,
                encoder,
                babble,
                options.work / "frames",
                augmentation=Augmentation(),
                variants=2 if name == "speechocean" else 1,
                seed=options.seed,
                on_progress=partial(_of, step, len(sources)),
            ),
            2,
        )
        log({"frames": name, "hours": hours[name]})
    return {"hours": hours}


def held_out(frames: Frames) -> list[Example]:
    """Clips that only watch progress: some speakers and voices, and some texts of the others."""
    human = sorted({e.speaker for e in frames.examples if e.group == "speechocean"})
    speakers = {*human[-HELD_OUT_SPEAKERS:], *HELD_OUT_VOICES}
    return [
        example
        for example in frames.examples
        if example.speaker in speakers
        or (
            example.group != "speechocean"
            and zlib.crc32(example.text.encode()) % HELD_OUT_SHARE == 0
        )
    ]


def _speech(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    frames = Frames(options.work / "frames")
    torch.manual_seed(options.seed)
    head = SpeechHead()
    if options.start is not None:
        head.load_state_dict(read_head(options.start, "speech"))
    head.to(best_device())
    last, watch = _followed(log, step, "epoch", options.speech.epochs)
    checkpoint = options.work / "speech.pt"
    train_ctc(head, frames, held_out(frames), options.speech, checkpoint=checkpoint, log=watch)
    return last


def _reader(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    from wavrag.embed import MiniLM

    device = best_device()
    head = SpeechHead()
    head.load_state_dict(torch.load(options.work / "speech.pt", weights_only=True))
    frames = Frames(options.work / "frames")
    lines = word_list(text.text for text in texts.gather(options.data, seed=options.seed))
    (options.work / "lexicon.txt").write_text(lines, encoding="ascii")
    lexicon = Lexicon.read(options.work / "lexicon.txt")

    def hear(examples: Sequence[Example]) -> list[Reading]:
        return hear_all(head.to(device), frames, examples, lexicon, limit=options.speech.frames)

    watched = held_out(frames)
    kept = {(example.speaker, example.text) for example in watched}
    others = [e for e in frames.examples if (e.speaker, e.text) not in kept]
    rng = np.random.default_rng(options.seed)
    drawn = rng.permutation(len(others))[: options.reader.clips]
    readings = hear([others[at] for at in drawn])
    unseen = hear([example for example in watched if not example.variant])
    text_model = MiniLM()
    model = load_original().to(device)
    said = text_model.embed_texts([reading.said for reading in unseen])
    heard = text_model.embed_texts([reading.heard for reading in unseen])
    before = float((said * heard).sum(1).mean())
    last, watch = _followed(log, step, "step", options.reader.steps)
    train_reader(
        model, text_model.token_ids, readings, text_model.embed_texts,
        options=options.reader, log=watch,
    )  # fmt: skip
    export_text_model(model.cpu(), options.work / "reader.onnx")
    read = MiniLM(model=options.work / "reader.onnx")
    heard = read.embed_texts([reading.heard for reading in unseen])
    after = float((said * heard).sum(1).mean())
    return {**last, "held_out_before": round(before, 4), "held_out_after": round(after, 4)}


def _sounds(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    from wavrag.embed import MiniLM

    encoder = _encoder().to(best_device())
    cache = options.work / "sounds.npz"
    if not cache.exists():
        pooled = pool_sounds(options.data, encoder, options.seed)
        np.savez(cache, pooled=pooled.pooled, labels=pooled.labels, names=pooled.names)
    stored = np.load(cache)
    sounds = PooledSounds(stored["pooled"], tuple(stored["labels"]), tuple(stored["names"]))
    head = SoundHead()
    last, watch = _followed(log, step, "step", options.sounds.steps)
    train_sounds(head, sounds, MiniLM().embed_texts, options.sounds, watch)
    torch.save(head.state_dict(), options.work / "sounds.pt")
    return {"clips": len(sounds.labels), **last}


def _export(options: MiniOptions, log: Log, step: Step) -> dict[str, Any]:
    encoder = _encoder()
    speech, sound = SpeechHead(), SoundHead()
    speech.load_state_dict(torch.load(options.work / "speech.pt", weights_only=True))
    sound.load_state_dict(torch.load(options.work / "sounds.pt", weights_only=True))
    network = SpeechNetwork(encoder, speech, sound).eval()
    folder = options.work / "model"
    folder.mkdir(exist_ok=True)
    sizes = export(network, folder / "model.onnx")
    for name in ("lexicon.txt", "reader.onnx"):
        shutil.copyfile(options.work / name, folder / name)
    write_heads(folder / "heads.npz", speech=speech, sound=sound)
    human = features.spoken_sources(options.data)[-100:]
    clips = [source.read() for source in human]
    return {**sizes, **parity(network, folder / "model.onnx", clips)}


def write_heads(path: Path, **heads: torch.nn.Module) -> None:
    """The trained parameters as float16, to start further training from."""
    arrays = {
        f"{name}.{parameter}": value.numpy().astype(np.float16)
        for name, head in heads.items()
        for parameter, value in head.state_dict().items()
    }
    np.savez_compressed(path, **arrays)


def read_head(path: Path, name: str) -> dict[str, torch.Tensor]:
    """The state of one head that `write_heads` wrote.

    Raises:
        InputError: there is no such file.
    """
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


def word_list(spoken: Any) -> str:
    """Lines `word count`, most frequent first: what `wavrag.embed.lexicon` reads.

    Words said once are kept if they are longer than three letters; numbers, from five times on.
    """
    counts: Counter[str] = Counter()
    for text in spoken:
        counts.update(
            word for word in (spell_text(text) or "").split() if len(word) <= LONGEST_WORD
        )
    kept = (
        (word, count)
        for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        if (count >= 5 if any(letter.isdigit() for letter in word) else count > 1 or len(word) > 3)
    )
    return "".join(f"{word} {count}\n" for word, count in kept)
