"""Write retrieval tasks for `wavrag eval` from collected public data; none is committed.

    python tools/make_tasks.py OUT_DIR --data DATA_DIR [--only NAME ...] [--limit N] [--words]
                               [--noise babble|ambience --snr DB] [--seed N] [--kokoro DIR]

Recordings are not copied; only noisy ones are written, to OUT_DIR. docs/evaluate.md describes
DATA_DIR and lists the sets for evaluation.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
TALKERS = 5  # that babble is the sum of


@dataclass(frozen=True)
class Options:
    """Options of the command line.

    Attributes:
        out: folder for the task folders.
        data: folder of the collected data.
        limit: maximum number of queries of `speechocean`, or of spoken paragraphs; None for all.
        words: whether spoken queries also have text.
        noise: kind of noise in the questions of the `squad-spoken` tasks; None for none.
        snr: signal-to-noise ratio, dB.
        seed: random seed of samples and noise.
        kokoro: folder of the Kokoro model for spoken paragraphs.
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
        """Read the lines of a data file."""
        with (self.data / name).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]


@dataclass
class TaskDraft:
    """An unfinished task."""

    corpus: list[Row] = field(default_factory=list)
    queries: list[Row] = field(default_factory=list)
    qrels: list[tuple[str, str]] = field(default_factory=list)
    provenance: Row = field(default_factory=dict)


def load_librispeech(options: Options) -> TaskDraft:
    """Read sentences of native speakers to their texts."""
    rows = options.rows("speech/librispeech.jsonl")
    return sentences(options, rows, [row["text"] for row in rows])


def load_speechocean(options: Options) -> TaskDraft:
    """Sentences of Mandarin speakers, half of them children, to their texts: the test split."""
    rows = options.rows("speech/speechocean762.jsonl")
    trained = {row["text"] for row in rows if row["split"] == "train"}
    test = [row for row in rows if row["split"] == "test" and row["text"] not in trained]
    selection = test
    if options.limit is not None and options.limit < len(test):
        picks = random.Random(options.seed).sample(range(len(test)), options.limit)
        selection = [test[pick] for pick in sorted(picks)]
    return sentences(options, selection, [row["text"] for row in test])


def sentences(options: Options, rows: Iterable[Row], texts: Iterable[str]) -> TaskDraft:
    """Recordings to texts; equal texts become one document."""
    ids = {text: f"text-{number:04d}" for number, text in enumerate(dict.fromkeys(texts))}
    return TaskDraft(
        corpus=[{"_id": id, "text": text} for text, id in ids.items()],
        queries=[spoken_query(options, row) for row in rows],
        qrels=[(row["id"], ids[row["text"]]) for row in rows],
    )


def reverse_task(options: Options, name: str) -> TaskDraft:
    """Swap queries and corpus: texts to their recordings."""
    draft = TASKS[name](options)
    texts = {row["_id"]: row["text"] for row in draft.corpus}
    ids = dict.fromkeys(id for _, id in draft.qrels)
    return TaskDraft(
        corpus=[
            {"_id": row["_id"], "audio": row["audio"], "transcript": row["transcript"]}
            for row in draft.queries
        ],
        queries=[{"_id": id, "text": texts[id]} for id in ids],
        qrels=[(text, recording) for recording, text in draft.qrels],
    )


def speak_squad_paragraphs(options: Options) -> TaskDraft:
    """Questions, spoken and written, to paragraphs spoken by four other voices.

    The corpus has the shortest paragraphs of the spoken questions. Its voices neither speak the
    questions nor occur in training.
    """
    if options.kokoro is None:
        raise SystemExit("squad-recordings is spoken by Kokoro: name its folder with --kokoro")
    rows = options.rows("speech/squad_eval_kokoro.jsonl")
    ids = {row["positive"] for row in rows}
    paragraphs = [row for row in options.rows("text/squad_dev_eval.jsonl") if row["id"] in ids]
    paragraphs.sort(key=lambda row: (len(row["context"]), row["id"]))
    selection = paragraphs[: options.limit or len(paragraphs)]
    kokoro = ReadingVoices(options.kokoro)
    folder = options.out.absolute() / "squad-recordings" / "audio"
    folder.mkdir(parents=True, exist_ok=True)
    corpus = []
    for number, row in enumerate(tqdm(selection, desc="squad-recordings", disable=None)):
        path = folder / f"{row['id']}.wav"
        if not path.exists():
            sentences = re.split(r"(?<=[.!?]) +", row["context"])
            write_wav(path, kokoro.read(sentences, READING_VOICES[number % 4]))
        corpus.append({"_id": row["id"], "audio": str(path), "transcript": row["context"]})
    paragraph_ids = {row["_id"] for row in corpus}
    questions = [row for row in rows if row["positive"] in paragraph_ids]
    return TaskDraft(
        corpus=corpus,
        queries=[spoken_query(replace(options, words=True), row) for row in questions],
        qrels=[(row["id"], row["positive"]) for row in questions],
        provenance={"voices": list(READING_VOICES)},
    )


class ReadingVoices:
    """Kokoro in voices reserved for evaluation."""

    def __init__(self, folder: Path) -> None:
        from kokoro_onnx import Kokoro

        model, voices = folder / "kokoro-int8.onnx", folder / "voices-v1.0.bin"
        self._kokoro = Kokoro(str(model), str(voices))

    def read(self, sentences: Sequence[str], voice: str) -> Clip:
        """Speak sentences with a pause of 0.3 s between them."""
        language = "en-gb" if voice[0] == "b" else "en-us"
        pieces = []
        for sentence in sentences:
            samples, rate = self._kokoro.create(sentence, voice, lang=language)
            pieces += [samples, np.zeros(int(0.3 * rate), np.float32)]
        joined = np.clip(np.concatenate(pieces), -1, 1).astype(np.float32)
        return resample(Clip(joined, rate), SAMPLE_RATE)


def spoken_query(options: Options, row: Row) -> Row:
    """Build a query from a recording, with its text if requested."""
    words = {"text": row["text"]} if options.words else {}
    return {"_id": row["id"], "audio": row["audio"], "transcript": row["text"], **words}


def load_squad_spoken_small(options: Options) -> TaskDraft:
    """Synthetic questions to the paragraphs of their own articles."""
    rows = options.rows("speech/squad_eval_kokoro.jsonl")
    return TaskDraft(
        corpus=[
            {"_id": row["id"], "title": row["title"].replace("_", " "), "text": row["context"]}
            for row in options.rows("text/squad_dev_eval.jsonl")
        ],
        queries=[spoken_query(options, row) for row in rows],
        qrels=[(row["id"], row["positive"]) for row in rows],
    )


def load_squad_spoken(options: Options) -> TaskDraft:
    """Synthetic questions to paragraphs, among passages of other Wikipedia articles."""
    draft = load_squad_spoken_small(options)
    draft.corpus += [
        {"_id": row["id"], "title": row["title"], "text": row["text"]}
        for row in options.rows("text/wiki_passages.jsonl")
    ]
    return draft


def load_qed(options: Options) -> TaskDraft:
    """Written web questions to their Wikipedia paragraphs."""
    rows = options.rows("text/qed_eval.jsonl")
    titles = {row["paragraph"]: row["title"] for row in reversed(rows)}
    ids = {row["paragraph"]: "" for row in rows}
    ids = {paragraph: f"paragraph-{number:04d}" for number, paragraph in enumerate(ids)}
    return TaskDraft(
        corpus=[{"_id": id, "title": titles[text], "text": text} for text, id in ids.items()],
        queries=[{"_id": row["id"], "text": row["question"]} for row in rows],
        qrels=[(row["id"], ids[row["paragraph"]]) for row in rows],
    )


def load_misspelled_qed(options: Options) -> TaskDraft:
    """The questions of `qed`, each with a typing slip in its rarest word."""
    draft = load_qed(options)
    counts = count_passages(f"{row['title']} {row['text']}" for row in draft.corpus)
    for query in draft.queries:
        chance = random.Random(f"{options.seed} {query['_id']}")
        query["text"] = misspell_question(query["text"], counts, chance)
    return draft


def count_passages(texts: Iterable[str]) -> Counter[str]:
    """Count the texts that contain each word."""
    return Counter(word for text in texts for word in set(re.findall(r"[^\W_]+", text.lower())))


def misspell_question(text: str, counts: Mapping[str, int], chance: random.Random) -> str:
    """Make a typing slip in the rarest word of the corpus with at least four letters.

    In a question without such a word, the longest word gets the slip.
    """
    words = [match for match in re.finditer(r"[^\W\d_]+", text) if len(match.group()) >= 4]
    listed = [match for match in words if counts[match.group().lower()]]
    if listed:
        target = min(listed, key=lambda match: counts[match.group().lower()])
    elif words:
        target = max(words, key=lambda match: len(match.group()))
    else:
        return text
    return text[: target.start()] + make_slip(target.group(), chance) + text[target.end() :]


def make_slip(word: str, chance: random.Random) -> str:
    """Transpose two letters, leave one out, double one, or hit a neighbouring key."""
    slips = set()
    kind = chance.choice(("transposition", "omission", "doubling", "neighbour"))
    for at, letter in enumerate(word):
        before, after = word[:at], word[at + 1 :]
        match kind:
            case "transposition" if after:
                slips.add(before + after[0] + letter + after[1:])
            case "omission":
                slips.add(before + after)
            case "doubling":
                slips.add(before + 2 * letter + after)
            case "neighbour":
                slips |= {before + key + after for key in adjacent_keys(letter)}
    return chance.choice(sorted(slips - {word}) or [word])


def adjacent_keys(letter: str) -> list[str]:
    """Keys to the left and right of a letter on an English keyboard, in its case."""
    keys = [
        row[max(0, at - 1) : at + 2] for row in KEYBOARD if (at := row.find(letter.lower())) >= 0
    ]
    neighbours = [key for key in "".join(keys) if key != letter.lower()]
    return [key.upper() if letter.isupper() else key for key in neighbours]


def load_sounds_by_text(options: Options, name: str) -> TaskDraft:
    """Captions of each class, in words held back from training, to its clips: fold 5."""
    clips = [row for row in options.rows(f"sounds/{name}.jsonl") if row["fold"] == 5]
    ids = [
        (f"{label.replace(' ', '-')}-{number}", label, caption)
        for label in sorted({row["label"] for row in clips})
        for number, caption in enumerate(held_out_captions(label))
    ]
    return TaskDraft(
        corpus=[{"_id": row["id"], "audio": row["audio"]} for row in clips],
        queries=[{"_id": id, "text": caption} for id, _, caption in ids],
        qrels=[(id, row["id"]) for id, label, _ in ids for row in clips if row["label"] == label],
    )


def load_similar_sounds(options: Options, name: str) -> TaskDraft:
    """A clip to the others of its class: fold 5, the first clip of every Freesound recording.

    Further clips of a recording are skipped, since they are trivial to retrieve.
    """
    firsts: dict[str, Row] = {}
    for row in options.rows(f"sounds/{name}.jsonl"):
        if row["fold"] == 5:
            firsts.setdefault(row["freesound_id"], row)
    clips = list(firsts.values())
    qrels = [
        (query["id"], hit["id"])
        for query in clips
        for hit in clips
        if query is not hit and query["label"] == hit["label"]
    ]
    query_ids = {query for query, _ in qrels}
    entries = [{"_id": row["id"], "audio": row["audio"]} for row in clips]
    return TaskDraft(entries, [entry for entry in entries if entry["_id"] in query_ids], qrels)


TASKS: dict[str, Callable[[Options], TaskDraft]] = {
    "librispeech": load_librispeech,
    "speechocean": load_speechocean,
    "librispeech-recordings": lambda options: reverse_task(options, "librispeech"),
    "speechocean-recordings": lambda options: reverse_task(options, "speechocean"),
    "squad-recordings": speak_squad_paragraphs,
    "squad-spoken": load_squad_spoken,
    "squad-spoken-small": load_squad_spoken_small,
    "qed": load_qed,
    "qed-misspelled": load_misspelled_qed,
    "esc10-text": lambda options: load_sounds_by_text(options, "esc10"),
    "esc10-similar": lambda options: load_similar_sounds(options, "esc10"),
    "kitchen20-text": lambda options: load_sounds_by_text(options, "kitchen20"),
    "kitchen20-similar": lambda options: load_similar_sounds(options, "kitchen20"),
}
NEEDS_VOICE = ("squad-recordings",)  # tasks with spoken paragraphs, written only on request
NOISY = ("squad-spoken", "squad-spoken-small")  # tasks for --noise


def mix_noise(speech: Float32, noise: Float32, snr: float) -> Float32:
    """Mix speech with noise at a power of 10^(-snr/10) of the speech over the whole clip.

    Args:
        speech: shape = (n_samples,).
        noise: shape = (n_samples,), not silent.
        snr: dB.

    Returns:
        The sum, scaled down if its peak exceeds 1; float32, shape = (n_samples,).
    """
    mixed = audio.add_noise(speech, noise, snr)
    return mixed / max(1.0, float(np.abs(mixed).max()))


def noise_like(options: Options, sources: Sequence[Row], length: int, seed: str) -> Float32:
    """Draw noise of a length in samples: babble of several talkers, or one ambience."""
    chance = random.Random(seed)
    if options.noise == "ambience":
        return loop_recordings(options, [chance.choice(sources)], length, chance)
    by_speaker: dict[str, list[Row]] = {}
    for row in sources:
        by_speaker.setdefault(row["speaker"], []).append(row)
    total = np.zeros(length, np.float32)
    for speaker in chance.sample(sorted(by_speaker), TALKERS):
        voice = loop_recordings(options, by_speaker[speaker], length, chance)
        total += voice / max(float(np.sqrt(np.mean(voice**2))), 1e-6)
    return total


def loop_recordings(
    options: Options, rows: Sequence[Row], length: int, chance: random.Random
) -> Float32:
    """Repeat recordings in random order, from a random start."""
    pieces: list[Float32] = []
    while sum(map(len, pieces)) < length + SAMPLE_RATE:
        pieces.append(load(options.data / chance.choice(rows)["audio"], SAMPLE_RATE).samples)
    start = chance.randrange(SAMPLE_RATE)
    return np.concatenate(pieces)[start : start + length]


def noise_sources(options: Options) -> list[Row]:
    """List the sources of noise: test speakers of speechocean762, or ambiences not in training."""
    if options.noise == "babble":
        rows = options.rows("speech/speechocean762.jsonl")
        return [row for row in rows if row["split"] == "test"]
    # Training takes its noise from the other half of moodist: wavrag.train.mini.features.
    rows = options.rows("sounds/moodist.jsonl")[1::2] + options.rows("sounds/blanket.jsonl")
    return [row for row in rows if row["label"] != "silence"]


def add_noise(options: Options, draft: TaskDraft, folder: Path) -> None:
    """Replace every query by a noisy recording in the folder."""
    sources = noise_sources(options)
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for query in draft.queries:
        speech = load(options.data / query["audio"], SAMPLE_RATE).samples
        seed = f"{options.seed} {query['_id']}"
        noise = noise_like(options, sources, len(speech), seed)
        target = folder / "audio" / f"{query['_id']}.wav"
        write_wav(target, Clip(mix_noise(speech, noise, options.snr), SAMPLE_RATE))
        query["audio"] = str(target.absolute())
    draft.provenance = {"noise": options.noise, "snr_db": options.snr}
    if options.noise == "ambience":
        draft.provenance["noise_files"] = sorted(row["audio"] for row in sources)


def resolve_path(options: Options, row: Row) -> Row:
    """Resolve the path of the recording of a row."""
    return row | {"audio": options.data / row["audio"]} if "audio" in row else row


def write_task_folder(options: Options, name: str) -> Path:
    """Write the folder of a task."""
    draft = TASKS[name](options)
    if options.noise:
        name += f"-{options.noise}-{options.snr:g}db"
    folder = options.out / name
    if options.noise:
        add_noise(options, draft, folder)
    provenance = {"seed": options.seed, "limit": options.limit, "words": options.words}
    rows = TaskRows(
        corpus=[resolve_path(options, row) for row in draft.corpus],
        queries=[resolve_path(options, row) for row in draft.queries],
        qrels=[(query, id, 1) for query, id in draft.qrels],
        provenance=draft.provenance | provenance,
    )
    queries, entries = write_task(folder, rows)
    print(f"{folder}: {queries:,} queries, {entries:,} entries")
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    """Write the requested tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA_DIR")
    parser.add_argument("--only", nargs="+", choices=TASKS, metavar="NAME", help=", ".join(TASKS))
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="maximum number of queries of speechocean, or of paragraphs of squad-recordings",
    )
    parser.add_argument("--words", action="store_true", help="add the text to spoken queries")
    parser.add_argument("--noise", choices=["babble", "ambience"], help="for squad-spoken tasks")
    parser.add_argument("--snr", type=float, default=0.0, metavar="DB", help="default: 0")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--kokoro", type=Path, metavar="DIR", help="voice for squad-recordings")
    arguments = parser.parse_args(argv)
    if arguments.out.resolve().is_relative_to(arguments.data.resolve()):
        parser.error("OUT_DIR lies within DATA_DIR, which is only read: name another folder")
    names = arguments.only or (
        NOISY if arguments.noise else tuple(name for name in TASKS if name not in NEEDS_VOICE)
    )
    if arguments.noise and (clean := [name for name in names if name not in NOISY]):
        parser.error(
            f"--noise is not for {', '.join(clean)}: name {' or '.join(NOISY)} with --only"
        )
    options = Options(
        arguments.out, arguments.data, arguments.limit, arguments.words, arguments.noise,
        arguments.snr, arguments.seed, arguments.kokoro,
    )  # fmt: skip
    for name in names:
        write_task_folder(options, name)


if __name__ == "__main__":
    main()
