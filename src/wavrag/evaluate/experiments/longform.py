"""Long recordings: is a fact found in an hour of speech, wherever it stands, and what does it take.

Sentences that answer real web questions are spoken by a synthesiser and placed at known times
among sentences that people read. Three ways to take such a recording in: the product's windows,
one vector for a long stretch, and a transcript of chunks of equal length.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.audio import load, write_wav
from wavrag.embed import views_of
from wavrag.embed.base import unit_rows
from wavrag.embed.recogniser import load_recogniser
from wavrag.errors import WavRAGError
from wavrag.evaluate.experiments.asked import (
    CASCADE,
    HITS,
    RETRIEVER,
    Asked,
    sample,
    untrained_sentences,
)
from wavrag.evaluate.experiments.base import (
    Cell,
    Column,
    Context,
    Experiment,
    Results,
    Table,
    estimate,
)
from wavrag.evaluate.experiments.plots import drawing, lines
from wavrag.evaluate.metrics import mean
from wavrag.evaluate.retrieval import UNTITLED
from wavrag.evaluate.system import LEGS
from wavrag.speech.base import NEUTRAL
from wavrag.speech.registry import load_engine
from wavrag.text.sentences import sentences
from wavrag.types import Clip, Document, Float32, Hit, Item, Query

RATE = 16_000  # Hz
MINUTES = (10, 20, 30, 60)
QUICK_MINUTES = (1, 2)
FACTS, QUICK_FACTS = 40, 4  # in each recording
FIFTHS = 5  # parts of a recording in which positions are summed up
FACT_WORDS = (8, 22)
ENGINE, FACT_VOICE, QUESTION_VOICE = "flite", "slt", "rms"
PAUSE = 0.6  # s between sentences
CHUNK_SECONDS = 30.0  # of the fixed chunks; the recogniser hears no more at a time
SPANS = (1.0, 2.0, 5.0, 10.0)  # minutes that one vector stands for
WAYS = {
    "windows": (RETRIEVER, "WavRetriever-mini, windows"),
    "cascade": (CASCADE, "cascade, windows"),
    "chunks": (CASCADE, "transcript of 30 s chunks"),
}
ASKED = {"written": "written", "spoken": "spoken"}


@dataclass(frozen=True, slots=True)
class _Fact:
    """A sentence that answers a question.

    Attributes:
        id: of the question.
        question: as it was typed into a search engine.
        sentence: that holds the answer.
    """

    id: str
    question: str
    sentence: str


def run(context: Context) -> Results:
    """Index each recording in each way, in a process of its own, and ask for every fact."""
    minutes = QUICK_MINUTES if context.quick else MINUTES
    facts = _facts(context)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    done, total = 0, len(minutes) * (1 + len(WAYS))
    places = {}
    for length in minutes:
        context.on_progress("longform", done, total)
        places[length] = context.step(
            f"recording-{length}min", partial(_record, context, facts, length)
        )
        done += 1
        for way in WAYS:
            context.on_progress("longform", done, total)
            found[way, length] = context.step(
                f"{way}-{length}min", partial(_in_a_process, context, facts, length, way)
            )
            done += 1
    scores = _scores(found, places, facts)
    _draw(context, minutes, scores, places)
    return Results(
        (
            _length_table(minutes, scores, len(facts)),
            _position_table(minutes, scores, places),
            _span_table(minutes, found, places, facts),
        ),
        figures={"length": "length.png", "position": "position.png"},
        captions={
            "length": "Recall@1 and recall@5 by length of the recording",
            "position": "Recall@5 by fifth of the recording, over all lengths",
        },
        left_out=(
            "An encoder that hears an hour at once: the retriever hears at most 30 s. One long"
            " input is therefore the mean of the vectors of its windows, as one vector.",
        ),
        timings=(_cost_table(minutes, found),),
    )


def _facts(context: Context) -> list[_Fact]:
    """Questions with one sentence that holds an answer, short enough to be said at once."""
    found = []
    for row in context.rows("text/qed_eval.jsonl"):
        low, high = FACT_WORDS
        answers = {part["string"] for answer in row["answers"] for part in answer}
        holding = [
            sentence
            for start, end in sentences(row["paragraph"])
            if any(answer in (sentence := row["paragraph"][start:end]) for answer in answers)
        ]
        if len(holding) == 1 and low <= len(holding[0].split()) <= high:
            found.append(_Fact(row["id"], row["question"], holding[0]))
    return sample(found, QUICK_FACTS if context.quick else FACTS, context.seed)


def _path(context: Context, minutes: int) -> Path:
    return context.out / f"recording-{minutes}min.wav"


def _record(context: Context, facts: Sequence[_Fact], minutes: int) -> dict[str, Any]:
    """Write a recording; the place of every fact, in seconds."""
    engine = load_engine(ENGINE)
    rng = np.random.default_rng([context.seed, minutes])
    rows = untrained_sentences(context)
    filler = _filler(context, rows, rng)
    pause = np.zeros(int(PAUSE * RATE), np.float32)
    parts: list[Float32] = []
    length, places = 0, {}
    order = rng.permutation(len(facts))
    for number, place in enumerate(order.tolist()):
        fact = facts[place]
        spoken = _level(engine.speak(fact.sentence, FACT_VOICE, NEUTRAL).samples)
        # In the middle of its share of the recording, or as soon after as the filler ends.
        wanted = (number + 0.5) / len(facts) * minutes * 60 * RATE - len(spoken) / 2
        while length < wanted:
            sentence = next(filler)
            parts += [sentence, pause]
            length += len(sentence) + len(pause)
        places[fact.id] = [round(length / RATE, 3), round((length + len(spoken)) / RATE, 3)]
        parts += [spoken, pause]
        length += len(spoken) + len(pause)
    while length < minutes * 60 * RATE:
        sentence = next(filler)
        parts += [sentence, pause]
        length += len(sentence) + len(pause)
    samples = np.concatenate(parts)
    write_wav(_path(context, minutes), Clip(samples, RATE))
    return {"places": places, "seconds": round(len(samples) / RATE, 3)}


def _filler(
    context: Context, rows: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> Iterator[Float32]:
    """Sentences that people read, in random order, again from the start when all are said."""
    while True:
        for place in rng.permutation(len(rows)).tolist():
            yield _level(load(context.data / rows[place]["audio"], RATE).samples)


def _level(samples: Float32) -> Float32:
    """As loud as all others: 0.1 of full scale (RMS), unless that would clip."""
    gain = 0.1 / max(float(np.sqrt(np.mean(samples**2))), 1e-6)
    return samples * np.float32(min(gain, 0.99 / max(float(np.abs(samples).max()), 1e-6)))


def _in_a_process(
    context: Context, facts: Sequence[_Fact], minutes: int, way: str
) -> dict[str, Any]:
    """What a process of its own finds, so that its memory is its own."""
    given = {
        "recording": str(_path(context, minutes)),
        "way": way,
        "questions": [[fact.id, fact.question] for fact in facts],
    }
    command = [sys.executable, "-c", f"from {__name__} import child; child()"]
    try:
        done = subprocess.run(
            command, input=json.dumps(given), capture_output=True, check=True, text=True
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise WavRAGError(f"indexing {given['recording']} ({way}) failed: {last}") from error
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def child() -> None:
    """The process: reads what is wanted on standard input, prints what was found."""
    given = json.load(sys.stdin)
    way = given["way"]
    embedder = WAYS[way][0]
    path = Path(given["recording"])
    started, cpu = time.perf_counter(), time.process_time()
    documents = (
        _transcripts(path)
        if way == "chunks"
        else [Document(path.name, path=str(path), title=UNTITLED)]
    )
    with Asked(embedder, documents) as asked:
        records = list(asked.kb.scan())
        indexing = [time.perf_counter() - started, time.process_time() - cpu]
        passages = {record.passage.id: _span(record.passage) for record in records}
        engine = load_engine(ENGINE)
        ranked: dict[str, dict[str, dict[str, list[str]]]] = {}
        spans: dict[str, dict[str, dict[str, list[int]]]] = {}
        for kind in ASKED:
            ranked[kind] = {leg: {} for leg in LEGS}
            spans[kind] = {f"{size:g}": {} for size in SPANS}
            for id, question in given["questions"]:
                query = (
                    Query(text=question)
                    if kind == "written"
                    else Query(clip=engine.speak(question, QUESTION_VOICE, NEUTRAL))
                )
                hits = asked.kb.retrieve(query, HITS).hits
                for leg in LEGS:
                    ranked[kind][leg][id] = _best(hits, leg)
                if way == "windows":
                    item = Item(text=query.text, clip=query.clip)
                    vector = views_of(asked.embedder, [item], "query").vectors[0]
                    for size in SPANS:
                        spans[kind][f"{size:g}"][id] = _best_spans(
                            vector, [record.vector for record in records],
                            [passages[record.passage.id] for record in records], size * 60,
                        )  # fmt: skip
    json.dump(
        {
            "passages": passages,
            "ranked": ranked,
            "spans": spans if way == "windows" else None,
            "seconds": indexing[0],
            "cpu_seconds": indexing[1],
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        },
        sys.stdout,
    )


def _transcripts(path: Path) -> list[Document]:
    """A text for every chunk of equal length, whatever is cut through."""
    recogniser = load_recogniser("moonshine")
    documents = []
    start = 0.0
    while len((clip := load(path, RATE, start, start + CHUNK_SECONDS)).samples):
        words = recogniser.transcribe(clip)
        if words:
            documents.append(
                Document(
                    f"{start:07.1f}", text=words, title=UNTITLED,
                    metadata={"start": start, "end": start + clip.duration},
                )
            )  # fmt: skip
        if clip.duration < CHUNK_SECONDS:
            break
        start += CHUNK_SECONDS
    return documents


def _span(passage: Any) -> list[float]:
    if passage.start is not None:
        return [passage.start, passage.end]
    return [passage.metadata["start"], passage.metadata["end"]]


def _best(hits: Sequence[Hit], leg: str) -> list[str]:
    """Ids of the ten best passages of a leg, ties by id."""
    scored = [
        (-(hit.score if leg == "fused" else hit.legs[leg]), hit.passage.id)  # type: ignore[index]
        for hit in hits
        if leg == "fused" or leg in hit.legs
    ]
    return [id for _, id in sorted(scored)[:10]]


def _best_spans(
    query: Float32, vectors: Sequence[Float32], spans: Sequence[Sequence[float]], size: float
) -> list[int]:
    """Stretches of so many seconds, best first, each the mean of the vectors of its windows."""
    of: dict[int, list[Float32]] = {}
    for vector, (start, end) in zip(vectors, spans, strict=True):
        of.setdefault(int((start + end) / 2 // size), []).append(vector)
    numbers = sorted(of)
    means = unit_rows(np.stack([np.mean(of[number], axis=0) for number in numbers]))
    order = np.argsort(-(means @ query), kind="stable")
    return [numbers[place] for place in order.tolist()]


Scores = Mapping[tuple[str, int, str, str, int], Mapping[str, float]]


def _scores(
    found: Mapping[tuple[str, int], Mapping[str, Any]],
    places: Mapping[int, Mapping[str, Any]],
    facts: Sequence[_Fact],
) -> Scores:
    """Whether each fact is among the first k: by way, length, kind of question, leg, k."""
    scores: dict[tuple[str, int, str, str, int], dict[str, float]] = {}
    for (way, length), one in found.items():
        for kind in ASKED:
            for leg in LEGS:
                for k in (1, 5, 10):
                    scores[way, length, kind, leg, k] = {
                        fact.id: float(
                            any(
                                _overlap(one["passages"][id], places[length]["places"][fact.id])
                                for id in one["ranked"][kind][leg][fact.id][:k]
                            )
                        )
                        for fact in facts
                    }
    return scores


def _overlap(passage: Sequence[float], fact: Sequence[float]) -> bool:
    """Whether they share at least half of the shorter one."""
    shared = min(passage[1], fact[1]) - max(passage[0], fact[0])
    return shared >= 0.5 * min(passage[1] - passage[0], fact[1] - fact[0])


def _length_table(minutes: Sequence[int], scores: Scores, facts: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind in ASKED:
        for length in minutes:
            for way, (_, label) in WAYS.items():
                cells = [
                    estimate(list(scores[way, length, kind, "fused", k].values()))
                    for k in (1, 5, 10)
                ]
                dense = mean(list(scores[way, length, kind, "dense", 5].values()))
                rows.append((kind, length, label, *cells, dense))
    return Table(
        "length",
        f"Share of {facts} facts that are among the first k passages, by length",
        (
            Column("question"),
            Column("minutes"),
            Column("taken in as"),
            *(Column(f"recall@{k}, fused") for k in (1, 5, 10)),
            Column("recall@5, dense"),
        ),
        tuple(rows),
        "A passage counts if it shares half of the shorter of passage and fact. In brackets 95 %"
        " bootstrap intervals over facts.",
    )


def _fifth(place: Sequence[float], seconds: float) -> int:
    return min(FIFTHS - 1, int(FIFTHS * (place[0] + place[1]) / 2 / seconds))


def _by_fifth(
    minutes: Sequence[int], scores: Scores, places: Mapping[int, Mapping[str, Any]], way: str
) -> list[list[float]]:
    parts: list[list[float]] = [[] for _ in range(FIFTHS)]
    for length in minutes:
        for kind in ASKED:
            for id, value in scores[way, length, kind, "fused", 5].items():
                parts[_fifth(places[length]["places"][id], places[length]["seconds"])].append(value)
    return parts


def _position_table(
    minutes: Sequence[int], scores: Scores, places: Mapping[int, Mapping[str, Any]]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for way, (_, label) in WAYS.items():
        parts = _by_fifth(minutes, scores, places, way)
        rows.append((label, *(estimate(part) if part else None for part in parts)))
    return Table(
        "position",
        "Recall@5, fused, by where the fact stands, over all lengths and both kinds of question",
        (Column("taken in as"), *(Column(f"fifth {n + 1}", 2) for n in range(FIFTHS))),
        tuple(rows),
        "The same facts are asked for at every length, at other places; intervals take them for"
        " independent, so they are a little narrow.",
    )


def _span_table(
    minutes: Sequence[int],
    found: Mapping[tuple[str, int], Mapping[str, Any]],
    places: Mapping[int, Mapping[str, Any]],
    facts: Sequence[_Fact],
) -> Table:
    longest = minutes[-1]
    spans = found["windows", longest]["spans"]
    rows: list[tuple[Cell, ...]] = []
    for size in SPANS:
        if size * 2 > longest:
            continue
        hits = {
            kind: [
                float(
                    _middle(places[longest]["places"][fact.id]) // (size * 60)
                    == spans[kind][f"{size:g}"][fact.id][0]
                )
                for fact in facts
            ]
            for kind in ASKED
        }
        count = len(spans["written"][f"{size:g}"][facts[0].id])
        rows.append((f"{size:g}", count, 1 / count, *(estimate(hits[kind]) for kind in ASKED)))
    return Table(
        "spans",
        f"One vector for a stretch of the {longest} minutes: is the stretch with the fact first",
        (
            Column("minutes a vector"),
            Column("stretches"),
            Column("chance"),
            *(Column(f"{kind} questions") for kind in ASKED),
        ),
        tuple(rows),
        "The vector of a stretch is the mean of those of the retriever's windows in it.",
    )


def _middle(place: Sequence[float]) -> float:
    return (place[0] + place[1]) / 2


def _cost_table(
    minutes: Sequence[int], found: Mapping[tuple[str, int], Mapping[str, Any]]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for length in minutes:
        for way, (_, label) in WAYS.items():
            one = found[way, length]
            rows.append(
                (length, label, len(one["passages"]), one["seconds"], one["cpu_seconds"],
                 one["cpu_seconds"] / length, one["peak_mb"])
            )  # fmt: skip
    return Table(
        "memory",
        "Indexing a recording in a process of its own, weights loaded in it",
        (
            Column("minutes"),
            Column("taken in as"),
            Column("passages"),
            Column("seconds", 1),
            Column("CPU seconds", 1),
            Column("CPU seconds a minute", 2),
            Column("peak resident, MB", 0),
        ),
        tuple(rows),
        "Seconds are on a machine that others used meanwhile; CPU seconds are of all threads.",
    )


def _draw(
    context: Context,
    minutes: Sequence[int],
    scores: Scores,
    places: Mapping[int, Mapping[str, Any]],
) -> None:
    with drawing(context.out / "length.png", 7.6, 5.4, rows=2, columns=2) as panes:
        for pane, (kind, k) in zip(panes, [(q, k) for q in ASKED for k in (1, 5)], strict=True):
            series = {
                label: [
                    estimate(list(scores[way, length, kind, "fused", k].values()))
                    for length in minutes
                ]
                for way, (_, label) in WAYS.items()
            }
            lines(
                pane, minutes, series, xlabel="length of the recording, minutes",
                ylabel=f"recall@{k}", title=f"{kind} questions",
            )  # fmt: skip
            pane.set_xticks(minutes)
            pane.set_ylim(0, 1.02)
        panes[0].figure.legend(
            *panes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3
        )
    with drawing(context.out / "position.png", 6.4, 3.6) as (pane,):
        parts = {way: _by_fifth(minutes, scores, places, way) for way in WAYS}
        by_place = {
            label: [estimate(part) if part else None for part in parts[way]]
            for way, (_, label) in WAYS.items()
        }
        at = [100 * (n + 0.5) / FIFTHS for n in range(FIFTHS)]
        lines(pane, at, by_place, xlabel="place of the fact, % of the recording", ylabel="recall@5")
        pane.set_ylim(0, 1.02)
        pane.set_xlim(0, 100)
        pane.legend(loc="lower left")


EXPERIMENT = Experiment(
    name="longform",
    title="Long recordings",
    question="Is a fact found in recordings of 10 to 60 minutes, wherever it stands, and at what"
    " price in time and memory?",
    version=1,
    run=run,
)
