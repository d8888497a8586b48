"""Shared parts of the experiments: systems, samples, temporary knowledge bases, curves.

All rankings come from `KnowledgeBase.retrieve` on the real store, with enough hits to rebuild the
list of each leg from their scores. A search for ten hits fuses 50 candidates of each leg, and a
deeper search fuses more, so that the order of a few queries differs from that of the product.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from experiments.base import Context
from wavrag.closing import Closing
from wavrag.data import Qrels
from wavrag.embed import Embedder, load_embedder
from wavrag.errors import InputError
from wavrag.evaluate import DEPTH, LEGS, Legs, best_passages, evaluate_run
from wavrag.kb import KnowledgeBase
from wavrag.search import expand_similar
from wavrag.types import Document, Hit, Query, ScoredPassage

HITS = 200  # deep enough for the ten best of each leg
RETRIEVER, FAST, CASCADE = "wavretriever", "wavretriever-fast", "cascade"
WHISPER, PAPER = "whisper-tiny", "paper"  # as `--model` names them

T = TypeVar("T")
Rankings = dict[str, dict[str, list[str]]]  # leg, query id, document ids from best to worst


@dataclass(frozen=True, slots=True)
class ComparedSystem:
    """A system in a comparison.

    Attributes:
        key: short name, valid in the key of a step.
        label: name in tables and plots.
        embedder: name of its embedder for `load_embedder`.
    """

    key: str
    label: str
    embedder: str


def list_systems(context: Context) -> tuple[list[ComparedSystem], list[str]]:
    """List the retriever and the cascades, and notes about unavailable systems."""
    systems = [
        ComparedSystem("retriever", "WavRetriever", RETRIEVER),
        ComparedSystem("cascade", "cascade, Moonshine tiny", CASCADE),
    ]
    others = {
        WHISPER: ("whisper", "cascade, Whisper tiny", "cascade:asr=whisper:"),
        PAPER: ("paper", "the paper's retriever", "st:"),
    }
    left_out = []
    for name, (key, label, prefix) in others.items():
        if folder := context.models.get(name):
            systems.append(ComparedSystem(key, label, f"{prefix}{folder.resolve()}"))
        else:
            left_out.append(
                f"{label[0].upper()}{label[1:]}: no folder was named with `--model {name}=DIR`."
            )
    return systems, left_out


def draw_sample(rows: Sequence[T], count: int, seed: int) -> list[T]:
    """Draw a random sample without replacement, in the order of the rows."""
    picks = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [rows[pick] for pick in sorted(picks.tolist())]


def untrained_sentences(context: Context) -> list[dict[str, Any]]:
    """Read recordings of held-out speakers, with texts absent from training."""
    rows = context.rows("speech/speechocean762.jsonl")
    trained = {row["text"] for row in rows if row["split"] == "train"}
    return [row for row in rows if row["split"] == "test" and row["text"] not in trained]


def paragraphs(context: Context) -> list[Document]:
    """Read the paragraphs for the spoken questions."""
    rows = context.rows("text/squad_dev_eval.jsonl")
    return [
        Document(row["id"], text=row["context"], title=row["title"].replace("_", " "))
        for row in rows
    ]


class ExperimentIndex(Closing):
    """A knowledge base in a temporary folder, indexed at the first query.

    Args:
        embedder: embedder, or its name.
        documents: documents to index.
    """

    def __init__(self, embedder: Embedder | str, documents: Sequence[Document]) -> None:
        self._embedder = embedder
        self._documents = documents
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @cached_property
    def embedder(self) -> Embedder:
        """The loaded embedder."""
        return load_embedder(self._embedder) if isinstance(self._embedder, str) else self._embedder

    @cached_property
    def kb(self) -> KnowledgeBase:
        """The knowledge base with all documents.

        Raises:
            InputError: a document cannot be indexed.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="wavrag-experiment-")
        # The protocol fixes reciprocal ranks, so that results stay comparable.
        kb = KnowledgeBase.open(Path(self._folder.name), embedder=self.embedder, fusion="ranks")
        report = kb.add(self._documents)
        if report.skipped:
            source, reason = report.skipped[0]
            raise InputError(f"{source} cannot be indexed: {reason}")
        return kb

    def search(self, query: Query) -> dict[Legs, list[str]]:
        """Return the ids of the ten best documents of each leg."""
        return self.search_with_words(query)[0]

    def search_with_words(self, query: Query) -> tuple[dict[Legs, list[str]], str]:
        """Return the ids of the ten best documents of each leg, and the recognised words."""
        retrieval = self.kb.retrieve(query, HITS)
        hits = expand_similar(retrieval.hits)
        corpus_ids = {hit.passage.document_id: hit.passage.document_id for hit in hits}
        lists: dict[Legs, list[ScoredPassage] | Sequence[Hit]] = {
            leg: [ScoredPassage(hit.passage, hit.legs[leg]) for hit in hits if leg in hit.legs]
            for leg in ("dense", "lexical")
        }
        lists["fused"] = hits
        rankings = {leg: list(best_passages(lists[leg], corpus_ids, ""))[:DEPTH] for leg in LEGS}
        return rankings, retrieval.words or ""

    def close(self) -> None:
        """Close the knowledge base and remove its folder."""
        if self._folder is not None:
            self.kb.close()
            self._folder.cleanup()


def search_all(
    index: ExperimentIndex,
    queries: Mapping[str, Callable[[], Query]],
    on_progress: Callable[[int, int], None] = lambda number, total: None,
) -> Rankings:
    """Run every query, and return the ranking of each leg.

    Args:
        index: knowledge base.
        queries: functions that build the queries, by id: clips are loaded one at a time.
        on_progress: progress callback.
    """
    rankings: Rankings = {leg: {} for leg in LEGS}
    for number, (id, query) in enumerate(queries.items(), 1):
        for leg, ids in index.search(query()).items():
            rankings[leg][id] = ids
        on_progress(number, len(queries))
    return rankings


def metric_values(rankings: Rankings, leg: Legs, qrels: Qrels, metric: str) -> list[float]:
    """Compute a metric for each query, in the order of the judgements."""
    return evaluate_run(rankings[leg], qrels)[metric]


def crossing(x: Sequence[float], a: Sequence[float], b: Sequence[float]) -> float | None:
    """Find the first crossing of two curves by linear interpolation; None if they do not cross.

    Args:
        x: positions in order.
        a: values of the first curve.
        b: values of the second curve. Curves that touch at a point cross only if their order
            changes there.
    """
    difference = [left - right for left, right in zip(a, b, strict=True)]
    # Points with equal values say nothing about the order: compare the points around them.
    nonzero = [(at, value) for at, value in zip(x, difference, strict=True) if value]
    for (start, before), (end, after) in pairwise(nonzero):
        if before * after < 0:
            return start + (end - start) * before / (before - after)
    return None


def falls_to(x: Sequence[float], values: Sequence[float], level: float) -> float | None:
    """Find where a curve first falls below a level, by linear interpolation; None if it does not.

    Args:
        x: positions from the mildest condition to the hardest.
        values: value at each position.
        level: value to fall below.
    """
    points = list(zip(x, values, strict=True))
    for (start, before), (end, after) in pairwise(points):
        if before >= level > after:
            return start + (end - start) * (before - level) / (before - after)
    return None
