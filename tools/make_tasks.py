"""Write retrieval tasks for `wavrag eval` from collected public data; none is committed.

    python tools/make_tasks.py OUT_DIR --data DATA_DIR [--only NAME ...] [--limit N] [--words]
                               [--conditions clean far babble-5db ...] [--seed N] [--kokoro DIR]

Recordings are not copied; only disturbed ones are written, to OUT_DIR. docs/evaluate.md describes
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
from task_conditions import Condition, disturb, list_sources
from tqdm import tqdm

from wavrag import Clip
from wavrag.audio import SAMPLE_RATE, load, resample, write_wav
from wavrag.data.captions import held_out_captions
from wavrag.data.task_files import Row, TaskRows, write_task

READING_VOICES = ("af_sky", "am_puck", "bf_lily", "bm_fable")  # of Kokoro
WORD = re.compile(r"[^\W_]+")
NAME = re.compile(r"(?<=[\w,] )[A-Z][^\W_]+")  # after a word or a comma, so no start of a sentence
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
RARE = 10  # most corpus passages with a rare name or number


@dataclass(frozen=True)
class Options:
    """Options of the command line.

    Attributes:
        out: folder for the task folders.
        data: folder of the collected data.
        limit: maximum number of queries of `speechocean`, or of spoken paragraphs; None for all.
        words: whether spoken queries also have text.
        seed: random seed of samples and disturbances.
        kokoro: folder of the Kokoro model for spoken paragraphs.
    """

    out: Path
    data: Path
    limit: int | None
    words: bool
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
    draft.corpus += load_distractors(options)
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


def load_untitled_qed(options: Options) -> TaskDraft:
    """Written web questions to paragraphs without titles, among passages of other articles."""
    draft = load_qed(options)
    draft.corpus = [{"_id": row["_id"], "text": row["text"]} for row in draft.corpus]
    draft.corpus += load_distractors(options)
    return draft


def load_distractors(options: Options) -> list[Row]:
    """Passages of Wikipedia articles that answer no question of the tasks."""
    return [
        {"_id": row["id"], "title": row["title"], "text": row["text"]}
        for row in options.rows("text/wiki_passages.jsonl")
    ]


def misspell_task(options: Options, name: str) -> TaskDraft:
    """The questions of a task, each with a typing slip in its rarest word."""
    draft = TASKS[name](options)
    counts = count_passages(passage_words(row) for row in draft.corpus)
    for query in draft.queries:
        chance = random.Random(f"{options.seed} {query['_id']}")
        query["text"] = misspell_question(query["text"], counts, chance)
    return draft


def select_names(options: Options, name: str) -> TaskDraft:
    """The queries of a task with a name or number that is rare in its corpus."""
    draft = TASKS[name](options)
    texts = [passage_words(row) for row in draft.corpus]
    # The corpus writes a name in capitals within sentences, and never in lower case.
    names = {word.lower() for text in texts for word in NAME.findall(text)}
    names -= {word for text in texts for word in WORD.findall(text) if word.islower()}
    rare = {
        word
        for word, count in count_passages(texts).items()
        if count <= RARE and (word in names or word.isdecimal())
    }
    draft.queries = [
        query
        for query in draft.queries
        if rare & set(WORD.findall((query.get("text") or query["transcript"]).lower()))
    ]
    ids = {query["_id"] for query in draft.queries}
    draft.qrels = [pair for pair in draft.qrels if pair[0] in ids]
    return draft


def passage_words(row: Row) -> str:
    """Title and text of a corpus passage."""
    return f"{row.get('title', '')}. {row['text']}"


def count_passages(texts: Iterable[str]) -> Counter[str]:
    """Count the texts that contain each word."""
    return Counter(word for text in texts for word in set(WORD.findall(text.lower())))


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
    "squad-spoken-names": lambda options: select_names(options, "squad-spoken"),
    "qed": load_qed,
    "qed-misspelled": lambda options: misspell_task(options, "qed"),
    "qed-names": lambda options: select_names(options, "qed"),
    "qed-untitled": load_untitled_qed,
    "qed-untitled-misspelled": lambda options: misspell_task(options, "qed-untitled"),
    "esc10-text": lambda options: load_sounds_by_text(options, "esc10"),
    "esc10-similar": lambda options: load_similar_sounds(options, "esc10"),
    "kitchen20-text": lambda options: load_sounds_by_text(options, "kitchen20"),
    "kitchen20-similar": lambda options: load_similar_sounds(options, "kitchen20"),
}
NEEDS_VOICE = ("squad-recordings",)  # tasks with spoken paragraphs, written only on request
SPOKEN = (  # tasks for --conditions
    "librispeech", "speechocean", "squad-spoken", "squad-spoken-small", "squad-spoken-names",
)  # fmt: skip


def disturb_queries(options: Options, draft: TaskDraft, condition: Condition, folder: Path) -> None:
    """Replace the recording of every query by a disturbed one in the folder."""
    sources = list_sources(condition, options.rows)
    speakers = {row["id"]: row["speaker"] for row in sources if "speaker" in row}
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for query in tqdm(draft.queries, desc=folder.name, disable=None):
        speech = load(options.data / query["audio"], SAMPLE_RATE).samples
        speaker = speakers.get(query["_id"])  # who must not babble behind themselves
        others = [row for row in sources if speaker is None or row["speaker"] != speaker]
        seed = f"{options.seed} {query['_id']}"
        samples = disturb(condition, speech, others, options.data, seed)
        target = folder / "audio" / f"{query['_id']}.wav"
        write_wav(target, Clip(samples, SAMPLE_RATE))
        query["audio"] = str(target.absolute())
    draft.provenance = condition.provenance(sources)


def resolve_path(options: Options, row: Row) -> Row:
    """Resolve the path of the recording of a row."""
    return row | {"audio": options.data / row["audio"]} if "audio" in row else row


def write_task_folder(options: Options, name: str, condition: Condition) -> Path:
    """Write the folder of a task under a condition."""
    draft = TASKS[name](options)
    clean = condition.kind == "clean"
    folder = options.out / (name if clean else f"{name}-{condition}")
    if not clean:
        disturb_queries(options, draft, condition, folder)
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
    parser.add_argument(
        "--conditions",
        nargs="+",
        type=Condition.parse,
        default=[Condition("clean")],
        metavar="CONDITION",
        help="clean (default), far, babble-NdB, ambience-NdB; all but clean are for spoken tasks",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--kokoro", type=Path, metavar="DIR", help="voice for squad-recordings")
    arguments = parser.parse_args(argv)
    if arguments.out.resolve().is_relative_to(arguments.data.resolve()):
        parser.error("OUT_DIR lies within DATA_DIR, which is only read: name another folder")
    clean = Condition("clean") in arguments.conditions
    names = arguments.only or [
        name for name in TASKS if name in SPOKEN or (clean and name not in NEEDS_VOICE)
    ]
    if not clean and (typed := [name for name in names if name not in SPOKEN]):
        parser.error(f"{', '.join(typed)}: no spoken queries, so add clean to --conditions")
    options = Options(
        arguments.out, arguments.data, arguments.limit, arguments.words, arguments.seed,
        arguments.kokoro,
    )  # fmt: skip
    for name in names:
        for condition in arguments.conditions:
            if name in SPOKEN or condition.kind == "clean":
                write_task_folder(options, name, condition)


if __name__ == "__main__":
    main()
