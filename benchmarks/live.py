"""Latency of hits after the end of live turns, with several speakers in real time.

    python benchmarks/live.py [--speakers 1 2 4 8] [--turns 24] [--embedders NAME ...]
        [--task FOLDER] [--questions FOLDER | --data FILE.jsonl] [--kb FOLDER] [--json FILE]

Prints a JSON object per system and number of speakers. Every speaker sends recorded questions in
chunks of 20 ms at the pace of speech, with silence between questions. All speakers share one
process and one scheduler; the turns are not answered.

`beyond_ms`: time from the last voiced sample until a listening thread has received `hits`, minus
the silence time of the endpoint. The same is measured for a baseline with the same endpoint,
followed by recognition and search (`cascade`).

`early_ms`: for turns with the first committed hit in partial hits before the last voiced sample,
the time from its first appearance to that sample.

`--task` adds the corpus of a task (`tools/make_tasks.py`) to the demo corpus. `--data` names a file
of questions with an `audio` path relative to the parent of its folder. `--kb` keeps the knowledge
bases, one per embedder, for the next run.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import corpus
import numpy as np

from wavrag import Clip, Document, KnowledgeBase, Query, WavRAG
from wavrag.audio import SAMPLE_RATE, VAD_FRAME, VoiceDetector, load
from wavrag.generate import FakeGenerator
from wavrag.kb import find_files
from wavrag.live import Event, Hits, LiveOptions, LiveTurn, PartialHits, Scheduler
from wavrag.live.options import LEAD_MS, TAIL_MS
from wavrag.live.voice import VoiceTrack, frames_of

CHUNK = 320  # samples, 20 ms
REST = 1.2  # seconds of silence after each question
PLAIN = "wait, recognise, search"
OPTIONS = LiveOptions(answer=False)
PERCENTILES = (50, 90, 95, 99)


@dataclass
class Turns:
    """Measurements, one per turn.

    Attributes:
        beyond: ms from the last voiced sample to the hits, minus the silence time.
        precomputed: True if the hits were ready at the end of the turn.
        early: ms from the first partial hits with the first final hit to the last voiced sample.
        early_first: the same, for partial hits with that hit at rank 1.
        searches: number of partial hits.
        lost: number of turns without hits.
    """

    beyond: list[float] = field(default_factory=list)
    precomputed: list[bool] = field(default_factory=list)
    early: list[float] = field(default_factory=list)
    early_first: list[float] = field(default_factory=list)
    searches: list[int] = field(default_factory=list)
    lost: int = 0


def question_files(arguments: argparse.Namespace) -> list[Path]:
    """List the recordings of the questions."""
    if arguments.data:
        rows = [json.loads(line) for line in arguments.data.open(encoding="utf-8")]
        return [arguments.data.parent.parent / row["audio"] for row in rows]
    folder = arguments.questions or corpus.QUESTIONS
    return sorted(path for path in folder.iterdir() if path.suffix in (".wav", ".opus"))


def questions(paths: Sequence[Path], shortest: float, longest: float) -> list[np.ndarray]:
    """Load the questions of suitable duration, as samples."""
    clips = [load(path, SAMPLE_RATE) for path in paths]
    return [clip.samples for clip in clips if shortest <= clip.duration <= longest]


def knowledge_base(folder: Path, embedder: str, task: Path | None) -> KnowledgeBase:
    """Open a knowledge base with the demo corpus and the corpus of a task."""
    kb = KnowledgeBase.open(folder / embedder, embedder=embedder)
    documents = list(find_files([corpus.DATA / "corpus"]).documents)
    if task is not None:
        for line in (task / "corpus.jsonl").open(encoding="utf-8"):
            row = json.loads(line)
            documents.append(Document(row["_id"], text=row["text"], title=row.get("title", "")))
    kb.add(documents)
    return kb


class Clock:
    """Real time of the samples of a speaker."""

    def __init__(self, start: float) -> None:
        self.start = start

    def of(self, sample: float) -> float:
        """Return the time of a sample, in seconds of `perf_counter`."""
        return self.start + sample / SAMPLE_RATE

    def wait(self, sample: int) -> None:
        """Sleep until a sample has been spoken."""
        time.sleep(max(0.0, self.of(sample) - time.perf_counter()))


def speak_live(
    rag: WavRAG, scheduler: Scheduler, speech: np.ndarray, count: int, start: float
) -> Turns:
    """Run the turns of a speaker through `LiveTurn`."""
    ready = threading.Event()
    events: list[tuple[float, Event]] = []
    finished = threading.Event()

    def listen(turn: LiveTurn) -> None:
        while not finished.is_set():
            ready.wait(0.5)
            ready.clear()
            new_events = turn.take()
            now = time.perf_counter()
            events.extend((now, event) for event in new_events)

    clock = Clock(start)
    with LiveTurn(rag, OPTIONS, scheduler=scheduler, on_ready=ready.set) as turn:
        listener = threading.Thread(target=listen, args=(turn,))
        listener.start()
        for at in range(0, len(speech), CHUNK):
            chunk = speech[at : at + CHUNK]
            clock.wait(at + len(chunk))
            turn.push(chunk)
        time.sleep(1.0)
        finished.set()
        listener.join()
    return summarise_events(events, clock, count)


def summarise_events(events: Sequence[tuple[float, Event]], clock: Clock, count: int) -> Turns:
    """Compute the measurements from the events of a speaker."""
    turns = Turns()
    commits = [(now, event) for now, event in events if isinstance(event, Hits)]
    for now, hits in commits:
        last_voiced = clock.of((hits.span.end_ms - TAIL_MS) * SAMPLE_RATE / 1e3)
        turns.beyond.append(1e3 * (now - last_voiced) - OPTIONS.silence_ms)
        turns.precomputed.append(hits.precomputed)
        partials = [
            (then, event)
            for then, event in events
            if isinstance(event, PartialHits) and event.turn == hits.turn
        ]
        turns.searches.append(len(partials))
        first = hits.hits[0].passage.id
        before = [
            (1e3 * (last_voiced - then), [hit.passage.id for hit in event.hits])
            for then, event in partials
            if then < last_voiced
        ]
        turns.early += [early for early, ids in before if first in ids][:1]
        turns.early_first += [early for early, ids in before if first == ids[0]][:1]
    turns.lost = max(0, count - len(commits))
    return turns


def speak_plainly(kb: KnowledgeBase, speech: np.ndarray, start: float) -> Turns:
    """Run the turns of a speaker with recognition and search after the endpoint."""
    turns, clock = Turns(), Clock(start)
    track, onset_sample = VoiceTrack(), None
    silence, tail = frames_of(OPTIONS.silence_ms), round(TAIL_MS * SAMPLE_RATE / 1e3)
    lead = round(LEAD_MS * SAMPLE_RATE / 1e3)
    detector = VoiceDetector()
    for at in range(0, len(speech) - CHUNK, CHUNK):
        clock.wait(at + CHUNK)
        while track.end + VAD_FRAME <= at + CHUNK:
            track.add(detector.probability(speech[track.end : track.end + VAD_FRAME]))
            if onset_sample is None:
                onset_sample = track.onset()
            elif track.pause >= silence:
                assert track.last_voiced is not None
                utterance = speech[max(0, onset_sample - lead) : track.last_voiced + tail]
                kb.retrieve(Query(clip=Clip(utterance, SAMPLE_RATE)), OPTIONS.k)
                late = time.perf_counter() - clock.of(track.last_voiced)
                turns.beyond.append(1e3 * late - OPTIONS.silence_ms)
                track, onset_sample = VoiceTrack(track.end), None
    return turns


def draw_scripts(
    recordings: Sequence[np.ndarray], speakers: int, turns: int, chance: random.Random
) -> list[list[np.ndarray]]:
    """Assign random questions to each speaker."""
    count_each = max(1, round(turns / speakers))
    order: list[np.ndarray] = []
    while len(order) < count_each * speakers:
        order += chance.sample(list(recordings), len(recordings))
    return [order[n * count_each : (n + 1) * count_each] for n in range(speakers)]


def run(
    kb: KnowledgeBase, script: Sequence[Sequence[np.ndarray]], offsets: Sequence[float], live: bool
) -> Turns:
    """Run all speakers concurrently."""
    silence_after = np.zeros(round(REST * SAMPLE_RATE), np.float32)
    speech = [
        np.concatenate(
            [block for question in own_questions for block in (question, silence_after)]
        ).astype(np.float32)
        for own_questions in script
    ]
    rag, results = WavRAG(kb, FakeGenerator()), [Turns() for _ in script]
    begin = time.perf_counter() + 0.5

    def speaker(index: int, scheduler: Scheduler) -> None:
        start = begin + offsets[index]
        if live:
            results[index] = speak_live(rag, scheduler, speech[index], len(script[index]), start)
        else:
            results[index] = speak_plainly(kb, speech[index], start)

    with Scheduler() as scheduler:
        threads = [
            threading.Thread(target=speaker, args=(n, scheduler)) for n in range(len(script))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    combined = Turns()
    for turns_of_speaker in results:
        for name in ("beyond", "precomputed", "early", "early_first", "searches"):
            getattr(combined, name).extend(getattr(turns_of_speaker, name))
        combined.lost += turns_of_speaker.lost
    return combined


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Compute percentiles in milliseconds."""
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in PERCENTILES}


def figures(turns: Turns) -> dict[str, Any]:
    """Summarise the measurements of a system."""
    summary: dict[str, Any] = {"turns": len(turns.beyond), "beyond_ms": percentiles(turns.beyond)}
    if not turns.precomputed:
        return summary
    count = len(turns.beyond)
    early = {"p10": 10, "p50": 50, "p90": 90}
    summary |= {
        "lost": turns.lost,
        "precomputed": round(sum(turns.precomputed) / count, 3),
        "searches_per_turn": round(sum(turns.searches) / count, 1),
        "in_partials": round(len(turns.early) / count, 3),
        "first_in_partials": round(len(turns.early_first) / count, 3),
    }
    if turns.early:
        summary["early_ms"] = {
            name: round(float(np.percentile(turns.early, p)), 0) for name, p in early.items()
        }
    return summary


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speakers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument(
        "--turns",
        type=int,
        default=24,
        help="minimum number of turns of all speakers together (default: 24)",
    )
    parser.add_argument("--embedders", nargs="+", default=["cascade", "wavretriever"])
    parser.add_argument("--task", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--shortest", type=float, default=3.0, help="question, in seconds")
    parser.add_argument("--longest", type=float, default=10.0, help="question, in seconds")
    parser.add_argument("--kb", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    recordings = questions(question_files(arguments), arguments.shortest, arguments.longest)
    chance = random.Random(arguments.seed)
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.kb or Path(temporary)
        names = list(dict.fromkeys([*arguments.embedders, "cascade"]))
        bases = {name: knowledge_base(folder, name, arguments.task) for name in names}
        for kb in bases.values():
            for samples in recordings[:3]:
                kb.retrieve(Query(clip=Clip(samples, SAMPLE_RATE)))
        for speakers in arguments.speakers:
            script = draw_scripts(recordings, speakers, max(arguments.turns, 3 * speakers), chance)
            offsets = [chance.uniform(0, 2) for _ in script]
            plain = figures(run(bases["cascade"], script, offsets, live=False))
            results.append({"way": PLAIN, "speakers": speakers, **plain})
            print_line(results[-1])
            for name in arguments.embedders:
                live = figures(run(bases[name], script, offsets, live=True))
                ratio = {
                    p: round(plain["beyond_ms"][p] / max(live["beyond_ms"][p], 0.1), 1)
                    for p in ("p50", "p95")
                }
                results.append({"way": name, "speakers": speakers, **live, "plain_over": ratio})
                print_line(results[-1])
        passages = {name: kb.count() for name, kb in bases.items()}
        for kb in bases.values():
            kb.close()
    if arguments.json:
        figure = {
            "silence_ms": OPTIONS.silence_ms,
            "questions": len(recordings),
            "passages": passages,
        }
        text = json.dumps({**figure, "results": results}, indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def print_line(result: dict[str, Any]) -> None:
    """Print a result as a line of JSON."""
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
