"""Make retrieval tasks for `wavrag eval` from collected public data; nothing of it is committed.

    python tools/make_tasks.py OUT_DIR --data DATA_DIR [--only NAME ...] [--limit N] [--words]
                               [--noise babble|ambience --snr DB] [--seed N] [--kokoro DIR]

Recordings stay where they are and are referenced; only noisy ones are written, to OUT_DIR. What
DATA_DIR holds, and which of its sets are for evaluation, docs/evaluate.md says.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from wavrag import Clip, audio
from wavrag.audio import SAMPLE_RATE, load, resample, write_wav
from wavrag.data.captions import held_out_captions
from wavrag.data.task_files import Row, TaskRows, write_task
from wavrag.types import Float32

READING_VOICES = ("af_sky", "am_puck", "bf_lily", "bm_fable")  # of Kokoro
TALKERS = 5  # that babble is the sum of


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        out: folder that the tasks' folders go to.
        data: folder of the collected data.
        limit: most queries of `speechocean`, or paragraphs that are read; None for all.
        words: whether spoken queries are given their words, too.
        noise: mixed into the questions of the `squad-spoken` tasks; None for clean ones.
        snr: of speech to noise, dB.
        seed: of what is chosen and where noise begins.
        kokoro: folder of the voice that reads paragraphs.
    """

    out: Path
    data: Path
    limit: int | None
    words: bool
    noise: str | None
    snr: float
    seed: int
    kokoro: Path | None = None

    def rows(self, name: str) -> list[Row]:
        """The lines of a file of the data."""
        with (self.data / name).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]


@dataclass
class Made:
    """A task that is being made."""

    corpus: list[Row] = field(default_factory=list)
    queries: list[Row] = field(default_factory=list)
    qrels: list[tuple[str, str]] = field(default_factory=list)
    provenance: Row = field(default_factory=dict)


def librispeech(options: Options) -> Made:
    """Read sentences of native speakers to their texts."""
    rows = options.rows("speech/librispeech.jsonl")
    return sentences(options, rows, [row["text"] for row in rows])


def speechocean(options: Options) -> Made:
    """Sentences of Mandarin speakers, half of them children, to their texts: the test split."""
    rows = options.rows("speech/speechocean762.jsonl")
    trained = {row["text"] for row in rows if row["split"] == "train"}
    test = [row for row in rows if row["split"] == "test" and row["text"] not in trained]
    chosen = test
    if options.limit is not None and options.limit < len(test):
        picks = random.Random(options.seed).sample(range(len(test)), options.limit)
        chosen = [test[pick] for pick in sorted(picks)]
    return sentences(options, chosen, [row["text"] for row in test])


def sentences(options: Options, spoken: Iterable[Row], texts: Iterable[str]) -> Made:
    """Recordings to texts; equal texts are one entry."""
    ids = {text: f"text-{number:04d}" for number, text in enumerate(dict.fromkeys(texts))}
    return Made(
        corpus=[{"_id": id, "text": text} for text, id in ids.items()],
        queries=[spoken_query(options, row) for row in spoken],
        qrels=[(row["id"], ids[row["text"]]) for row in spoken],
    )


def recordings(options: Options, name: str) -> Made:
    """Texts to the recordings in which they are read: the other way round."""
    made = TASKS[name](options)
    texts = {row["_id"]: row["text"] for row in made.corpus}
    asked = dict.fromkeys(id for _, id in made.qrels)
    return Made(
        corpus=[
            {"_id": row["_id"], "audio": row["audio"], "transcript": row["transcript"]}
            for row in made.queries
        ],
        queries=[{"_id": id, "text": texts[id]} for id in asked],
        qrels=[(text, recording) for recording, text in made.qrels],
    )


def squad_recordings(options: Options) -> Made:
    """Questions, spoken and written, to paragraphs that are spoken by four other voices.

    The shortest of the paragraphs that the spoken questions are about; no voice of theirs is among
    those that speak the questions, and none is trained on.
    """
    if options.kokoro is None:
        raise SystemExit("squad-recordings is spoken by Kokoro: name its folder with --kokoro")
    rows = options.rows("speech/squad_eval_kokoro.jsonl")
    asked = {row["positive"] for row in rows}
    paragraphs = [row for row in options.rows("text/squad_dev_eval.jsonl") if row["id"] in asked]
    paragraphs.sort(key=lambda row: (len(row["context"]), row["id"]))
    chosen = paragraphs[: options.limit or len(paragraphs)]
    kokoro = ReadingVoices(options.kokoro)
    folder = options.out.absolute() / "squad-recordings" / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    corpus = []
    for number, row in enumerate(tqdm(chosen, desc="squad-recordings", disable=None)):
        path = folder / f"{row['id']}.wav"
        if not path.exists():
            sentences = re.split(r"(?<=[.!?]) +", row["context"])
            write_wav(path, kokoro.read(sentences, READING_VOICES[number % 4]))
        corpus.append({"_id": row["id"], "audio": str(path), "transcript": row["context"]})
    known = {row["_id"] for row in corpus}
    kept = [row for row in rows if row["positive"] in known]
    return Made(
        corpus=corpus,
        queries=[spoken_query(replace(options, words=True), row) for row in kept],
        qrels=[(row["id"], row["positive"]) for row in kept],
        provenance={"voices": list(READING_VOICES)},
    )


class ReadingVoices:
    """Kokoro in voices that only evaluation uses."""

    def __init__(self, folder: Path) -> None:
        from kokoro_onnx import Kokoro

        model, voices = folder / "kokoro-int8.onnx", folder / "voices-v1.0.bin"
        self._kokoro = Kokoro(str(model), str(voices))

    def read(self, sentences: Sequence[str], voice: str) -> Clip:
        """Say sentences one after another, with a pause of 0.3 s between them."""
        language = "en-gb" if voice[0] == "b" else "en-us"
        parts = []
        for sentence in sentences:
            samples, rate = self._kokoro.create(sentence, voice, lang=language)
            parts += [samples, np.zeros(int(0.3 * rate), np.float32)]
        joined = np.clip(np.concatenate(parts), -1, 1).astype(np.float32)
        return resample(Clip(joined, rate), SAMPLE_RATE)


def spoken_query(options: Options, row: Row) -> Row:
    """A query of a recording, and of its words if they are asked for."""
    words = {"text": row["text"]} if options.words else {}
    return {"_id": row["id"], "audio": row["audio"], "transcript": row["text"], **words}


def squad_spoken_small(options: Options) -> Made:
    """Synthetic questions to the paragraphs of their own articles."""
    rows = options.rows("speech/squad_eval_kokoro.jsonl")
    return Made(
        corpus=[
            {"_id": row["id"], "title": row["title"].replace("_", " "), "text": row["context"]}
            for row in options.rows("text/squad_dev_eval.jsonl")
        ],
        queries=[spoken_query(options, row) for row in rows],
        qrels=[(row["id"], row["positive"]) for row in rows],
    )


def squad_spoken(options: Options) -> Made:
    """Synthetic questions to paragraphs, among passages of other Wikipedia articles."""
    made = squad_spoken_small(options)
    made.corpus += [
        {"_id": row["id"], "title": row["title"], "text": row["text"]}
        for row in options.rows("text/wiki_passages.jsonl")
    ]
    return made


def qed(options: Options) -> Made:
    """Written web questions to their Wikipedia paragraphs."""
    rows = options.rows("text/qed_eval.jsonl")
    titles = {row["paragraph"]: row["title"] for row in reversed(rows)}
    ids = {row["paragraph"]: "" for row in rows}
    ids = {paragraph: f"paragraph-{number:04d}" for number, paragraph in enumerate(ids)}
    return Made(
        corpus=[{"_id": id, "title": titles[text], "text": text} for text, id in ids.items()],
        queries=[{"_id": row["id"], "text": row["question"]} for row in rows],
        qrels=[(row["id"], ids[row["paragraph"]]) for row in rows],
    )


def sounds_by_text(options: Options, name: str) -> Made:
    """Captions of each class, in words held back from training, to its clips: fold 5."""
    clips = [row for row in options.rows(f"sounds/{name}.jsonl") if row["fold"] == 5]
    asked = [
        (f"{label.replace(' ', '-')}-{number}", label, caption)
        for label in sorted({row["label"] for row in clips})
        for number, caption in enumerate(held_out_captions(label))
    ]
    return Made(
        corpus=[{"_id": row["id"], "audio": row["audio"]} for row in clips],
        queries=[{"_id": id, "text": caption} for id, _, caption in asked],
        qrels=[(id, row["id"]) for id, label, _ in asked for row in clips if row["label"] == label],
    )


def similar_sounds(options: Options, name: str) -> Made:
    """A clip to the others of its class: fold 5, the first clip of every Freesound recording.

    Further clips of a recording are left out: they would be found first, and prove little.
    """
    firsts: dict[str, Row] = {}
    for row in options.rows(f"sounds/{name}.jsonl"):
        if row["fold"] == 5:
            firsts.setdefault(row["freesound_id"], row)
    clips = list(firsts.values())
    qrels = [
        (one["id"], other["id"])
        for one in clips
        for other in clips
        if one is not other and one["label"] == other["label"]
    ]
    having = {query for query, _ in qrels}
    entries = [{"_id": row["id"], "audio": row["audio"]} for row in clips]
    return Made(entries, [entry for entry in entries if entry["_id"] in having], qrels)


TASKS: dict[str, Callable[[Options], Made]] = {
    "librispeech": librispeech,
    "speechocean": speechocean,
    "librispeech-recordings": lambda options: recordings(options, "librispeech"),
    "speechocean-recordings": lambda options: recordings(options, "speechocean"),
    "squad-recordings": squad_recordings,
    "squad-spoken": squad_spoken,
    "squad-spoken-small": squad_spoken_small,
    "qed": qed,
    "esc10-text": lambda options: sounds_by_text(options, "esc10"),
    "esc10-similar": lambda options: similar_sounds(options, "esc10"),
    "kitchen20-text": lambda options: sounds_by_text(options, "kitchen20"),
    "kitchen20-similar": lambda options: similar_sounds(options, "kitchen20"),
}
SPOKEN = ("squad-recordings",)  # tasks that need a voice, made only when they are named
NOISY = ("squad-spoken", "squad-spoken-small")  # tasks that --noise makes


def mix(speech: Float32, noise: Float32, snr: float) -> Float32:
    """Speech with noise whose power is 10^(-snr/10) of the speech's over the whole clip.

    Args:
        speech: shape = (n_samples,).
        noise: shape = (n_samples,), not silent.
        snr: dB.

    Returns:
        The sum, made quieter where it would pass 1; float32, shape = (n_samples,).
    """
    mixed = audio.add_noise(speech, noise, snr)
    return mixed / max(1.0, float(np.abs(mixed).max()))


def noise_like(options: Options, sources: Sequence[Row], length: int, seed: str) -> Float32:
    """Noise of a length in samples: babble of several talkers, or one ambience."""
    chance = random.Random(seed)
    if options.noise == "ambience":
        return looped(options, [chance.choice(sources)], length, chance)
    by_speaker: dict[str, list[Row]] = {}
    for row in sources:
        by_speaker.setdefault(row["speaker"], []).append(row)
    total = np.zeros(length, np.float32)
    for speaker in chance.sample(sorted(by_speaker), TALKERS):
        voice = looped(options, by_speaker[speaker], length, chance)
        total += voice / max(float(np.sqrt(np.mean(voice**2))), 1e-6)
    return total


def looped(options: Options, rows: Sequence[Row], length: int, chance: random.Random) -> Float32:
    """Recordings in random order, over and over, from a random place."""
    parts: list[Float32] = []
    while sum(map(len, parts)) < length + SAMPLE_RATE:
        parts.append(load(options.data / chance.choice(rows)["audio"], SAMPLE_RATE).samples)
    start = chance.randrange(SAMPLE_RATE)
    return np.concatenate(parts)[start : start + length]


def noise_sources(options: Options) -> list[Row]:
    """What noise is made of: the test speakers of speechocean762, or ambiences never trained on."""
    if options.noise == "babble":
        rows = options.rows("speech/speechocean762.jsonl")
        return [row for row in rows if row["split"] == "test"]
    # Training takes its noise from the other half of moodist: wavrag.train.mini.features.
    rows = options.rows("sounds/moodist.jsonl")[1::2] + options.rows("sounds/blanket.jsonl")
    return [row for row in rows if row["label"] != "silence"]


def add_noise(options: Options, made: Made, folder: Path) -> None:
    """Write a noisy recording of every query into the folder, and name it instead."""
    sources = noise_sources(options)
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for query in made.queries:
        speech = load(options.data / query["audio"], SAMPLE_RATE).samples
        seed = f"{options.seed} {query['_id']}"
        noise = noise_like(options, sources, len(speech), seed)
        target = folder / "audio" / f"{query['_id']}.wav"
        write_wav(target, Clip(mix(speech, noise, options.snr), SAMPLE_RATE))
        query["audio"] = str(target.absolute())
    made.provenance = {"noise": options.noise, "snr_db": options.snr}
    if options.noise == "ambience":
        made.provenance["noise_files"] = sorted(row["audio"] for row in sources)


def located(options: Options, row: Row) -> Row:
    """The row with the path of its recording, if it has one."""
    return row | {"audio": options.data / row["audio"]} if "audio" in row else row


def write(options: Options, name: str) -> Path:
    """Make a task and write its folder."""
    made = TASKS[name](options)
    if options.noise:
        name += f"-{options.noise}-{options.snr:g}db"
    folder = options.out / name
    if options.noise:
        add_noise(options, made, folder)
    provenance = {"seed": options.seed, "limit": options.limit, "words": options.words}
    rows = TaskRows(
        corpus=[located(options, row) for row in made.corpus],
        queries=[located(options, row) for row in made.queries],
        qrels=[(query, id, 1) for query, id in made.qrels],
        provenance=made.provenance | provenance,
    )
    queries, entries = write_task(folder, rows)
    print(f"{folder}: {queries:,} queries, {entries:,} entries")
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    """Make the tasks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA_DIR")
    parser.add_argument("--only", nargs="+", choices=TASKS, metavar="NAME", help=", ".join(TASKS))
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="most queries of speechocean, or paragraphs of squad-recordings",
    )
    parser.add_argument("--words", action="store_true", help="give spoken queries their words, too")
    parser.add_argument("--noise", choices=["babble", "ambience"], help="for squad-spoken tasks")
    parser.add_argument("--snr", type=float, default=0.0, metavar="DB", help="default: 0")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--kokoro", type=Path, metavar="DIR", help="voice for squad-recordings")
    given = parser.parse_args(argv)
    if given.out.resolve().is_relative_to(given.data.resolve()):
        parser.error("OUT_DIR lies within DATA_DIR, which is only read: name another folder")
    names = given.only or (
        NOISY if given.noise else tuple(name for name in TASKS if name not in SPOKEN)
    )
    if given.noise and (clean := [name for name in names if name not in NOISY]):
        parser.error(
            f"--noise is not for {', '.join(clean)}: name {' or '.join(NOISY)} with --only"
        )
    options = Options(
        given.out, given.data, given.limit, given.words, given.noise, given.snr, given.seed,
        given.kokoro,
    )  # fmt: skip
    for name in names:
        write(options, name)


if __name__ == "__main__":
    main()
