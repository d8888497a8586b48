"""How soon hits are there when speakers stop, with several at once, in real time.

    python benchmarks/live.py [--speakers 1 2 4 8] [--turns 24] [--embedders NAME ...]
        [--task FOLDER] [--questions FOLDER | --data FILE.jsonl] [--kb FOLDER] [--json FILE]

Every speaker sends recorded questions in chunks of 20 ms, each when its last sample would have been
spoken, with silence between questions. All speakers share one process, its processors and one
scheduler; their turns are not answered.

Beyond the silence: from the last voiced sample, by the speakers' own clock, until `hits` has been
taken by a listening thread, less the silence time that was chosen. The same is measured for a plain
way in the same run: the same endpoint, and only then recognition and search (`cascade`).

How early: of the turns, those whose first committed hit was in partial hits that came before the
last voiced sample, and how long before it was there for the first time.

`--task` adds the corpus of a task (`tools/make_tasks.py`) to the demo corpus. `--data` names
questions with an `audio` path relative to the folder above the file. `--kb` keeps the knowledge
bases, one for each embedder, for the next run.
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
from wavrag.audio import SAMPLE_RATE, VAD_FRAME, load, voice_detector
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
    """What was measured, a number for each turn.

    Attributes:
        beyond: ms from the last voiced sample to the hits, less the silence.
        precomputed: whether the hits were ready when the turn ended.
        early: ms before the last voiced sample at which partial hits first had the first hit.
        early_first: the same for partial hits that had it first.
        searches: ahead of the end, those that were told.
        lost: turns without hits.
    """

    beyond: list[float] = field(default_factory=list)
    precomputed: list[bool] = field(default_factory=list)
    early: list[float] = field(default_factory=list)
    early_first: list[float] = field(default_factory=list)
    searches: list[int] = field(default_factory=list)
    lost: int = 0


def question_files(arguments: argparse.Namespace) -> list[Path]:
    """Recordings of questions."""
    if arguments.data:
        rows = [json.loads(line) for line in arguments.data.open(encoding="utf-8")]
        return [arguments.data.parent.parent / row["audio"] for row in rows]
    folder = arguments.questions or corpus.QUESTIONS
    return sorted(path for path in folder.iterdir() if path.suffix in (".wav", ".opus"))


def questions(paths: Sequence[Path], shortest: float, longest: float) -> list[np.ndarray]:
    """Those that last so long, as samples."""
    clips = [load(path, SAMPLE_RATE) for path in paths]
    return [clip.samples for clip in clips if shortest <= clip.duration <= longest]


def knowledge_base(folder: Path, embedder: str, task: Path | None) -> KnowledgeBase:
    """The demo corpus and the corpus of a task."""
    kb = KnowledgeBase.open(folder / embedder, embedder=embedder)
    documents = list(find_files([corpus.DATA / "corpus"]).documents)
    if task is not None:
        for line in (task / "corpus.jsonl").open(encoding="utf-8"):
            row = json.loads(line)
            documents.append(Document(row["_id"], text=row["text"], title=row.get("title", "")))
    kb.add(documents)
    return kb


class Clock:
    """When the samples of a speaker are spoken."""

    def __init__(self, start: float) -> None:
        self.start = start

    def of(self, sample: float) -> float:
        """Second of `perf_counter` at which a sample is spoken."""
        return self.start + sample / SAMPLE_RATE

    def wait(self, sample: int) -> None:
        """Sleep until a sample has been spoken."""
        time.sleep(max(0.0, self.of(sample) - time.perf_counter()))


def speak_live(
    rag: WavRAG, scheduler: Scheduler, speech: np.ndarray, count: int, start: float
) -> Turns:
    """One speaker's turns through `LiveTurn`."""
    ready = threading.Event()
    seen: list[tuple[float, Event]] = []
    over = threading.Event()

    def listen(turn: LiveTurn) -> None:
        while not over.is_set():
            ready.wait(0.5)
            ready.clear()
            taken = turn.take()
            now = time.perf_counter()
            seen.extend((now, event) for event in taken)

    clock = Clock(start)
    with LiveTurn(rag, OPTIONS, scheduler=scheduler, on_ready=ready.set) as turn:
        listener = threading.Thread(target=listen, args=(turn,))
        listener.start()
        for at in range(0, len(speech), CHUNK):
            chunk = speech[at : at + CHUNK]
            clock.wait(at + len(chunk))
            turn.push(chunk)
        time.sleep(1.0)
        over.set()
        listener.join()
    return measured(seen, clock, count)


def measured(seen: Sequence[tuple[float, Event]], clock: Clock, count: int) -> Turns:
    """What the events of one speaker say."""
    turns = Turns()
    committed = [(now, event) for now, event in seen if isinstance(event, Hits)]
    for now, hits in committed:
        last_voiced = clock.of((hits.span.end_ms - TAIL_MS) * SAMPLE_RATE / 1e3)
        turns.beyond.append(1e3 * (now - last_voiced) - OPTIONS.silence_ms)
        turns.precomputed.append(hits.precomputed)
        partials = [
            (then, event)
            for then, event in seen
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
    turns.lost = max(0, count - len(committed))
    return turns


def speak_plainly(kb: KnowledgeBase, speech: np.ndarray, start: float) -> Turns:
    """The same speaker where the utterance is recognised and searched once it has ended."""
    turns, clock = Turns(), Clock(start)
    track, begun = VoiceTrack(), None
    silence, tail = frames_of(OPTIONS.silence_ms), round(TAIL_MS * SAMPLE_RATE / 1e3)
    lead = round(LEAD_MS * SAMPLE_RATE / 1e3)
    with voice_detector() as detector:
        for at in range(0, len(speech) - CHUNK, CHUNK):
            clock.wait(at + CHUNK)
            while track.end + VAD_FRAME <= at + CHUNK:
                track.add(detector.probability(speech[track.end : track.end + VAD_FRAME]))
                if begun is None:
                    begun = track.onset()
                elif track.pause >= silence:
                    assert track.last_voiced is not None
                    utterance = speech[max(0, begun - lead) : track.last_voiced + tail]
                    kb.retrieve(Query(clip=Clip(utterance, SAMPLE_RATE)), OPTIONS.k)
                    late = time.perf_counter() - clock.of(track.last_voiced)
                    turns.beyond.append(1e3 * late - OPTIONS.silence_ms)
                    track, begun = VoiceTrack(track.end), None
    return turns


def scripts(
    spoken: Sequence[np.ndarray], speakers: int, turns: int, chance: random.Random
) -> list[list[np.ndarray]]:
    """The questions of each speaker, those of all taken in a random order."""
    each = max(1, round(turns / speakers))
    order: list[np.ndarray] = []
    while len(order) < each * speakers:
        order += chance.sample(list(spoken), len(spoken))
    return [order[n * each : (n + 1) * each] for n in range(speakers)]


def run(
    kb: KnowledgeBase, script: Sequence[Sequence[np.ndarray]], offsets: Sequence[float], live: bool
) -> Turns:
    """All speakers at once."""
    rest = np.zeros(round(REST * SAMPLE_RATE), np.float32)
    speech = [
        np.concatenate([part for one in mine for part in (one, rest)]).astype(np.float32)
        for mine in script
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
    together = Turns()
    for one in results:
        for name in ("beyond", "precomputed", "early", "early_first", "searches"):
            getattr(together, name).extend(getattr(one, name))
        together.lost += one.lost
    return together


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """In ms, to one decimal."""
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in PERCENTILES}


def figures(turns: Turns) -> dict[str, Any]:
    """Of one way with so many speakers."""
    said: dict[str, Any] = {"turns": len(turns.beyond), "beyond_ms": percentiles(turns.beyond)}
    if not turns.precomputed:
        return said
    count = len(turns.beyond)
    early = {"p10": 10, "p50": 50, "p90": 90}
    said |= {
        "lost": turns.lost,
        "precomputed": round(sum(turns.precomputed) / count, 3),
        "searches_per_turn": round(sum(turns.searches) / count, 1),
        "in_partials": round(len(turns.early) / count, 3),
        "first_in_partials": round(len(turns.early_first) / count, 3),
    }
    if turns.early:
        said["early_ms"] = {
            name: round(float(np.percentile(turns.early, p)), 0) for name, p in early.items()
        }
    return said


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speakers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--turns", type=int, default=24, help="of all speakers together, at least")
    parser.add_argument("--embedders", nargs="+", default=["cascade", "wavretriever-mini"])
    parser.add_argument("--task", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--shortest", type=float, default=3.0, help="question, in seconds")
    parser.add_argument("--longest", type=float, default=10.0, help="question, in seconds")
    parser.add_argument("--kb", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    spoken = questions(question_files(arguments), arguments.shortest, arguments.longest)
    chance = random.Random(arguments.seed)
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.kb or Path(temporary)
        names = list(dict.fromkeys([*arguments.embedders, "cascade"]))
        bases = {name: knowledge_base(folder, name, arguments.task) for name in names}
        for kb in bases.values():
            for samples in spoken[:3]:
                kb.retrieve(Query(clip=Clip(samples, SAMPLE_RATE)))
        for speakers in arguments.speakers:
            script = scripts(spoken, speakers, max(arguments.turns, 3 * speakers), chance)
            offsets = [chance.uniform(0, 2) for _ in script]
            plain = figures(run(bases["cascade"], script, offsets, live=False))
            results.append({"way": PLAIN, "speakers": speakers, **plain})
            show(results[-1])
            for name in arguments.embedders:
                live = figures(run(bases[name], script, offsets, live=True))
                ratio = {
                    p: round(plain["beyond_ms"][p] / max(live["beyond_ms"][p], 0.1), 1)
                    for p in ("p50", "p95")
                }
                results.append({"way": name, "speakers": speakers, **live, "plain_over": ratio})
                show(results[-1])
        passages = {name: kb.count() for name, kb in bases.items()}
        for kb in bases.values():
            kb.close()
    if arguments.json:
        figure = {"silence_ms": OPTIONS.silence_ms, "questions": len(spoken), "passages": passages}
        text = json.dumps({**figure, "results": results}, indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def show(result: dict[str, Any]) -> None:
    """One line for people."""
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
