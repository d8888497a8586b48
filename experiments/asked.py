"""What the experiments share: systems by name, samples of the data, questions to a knowledge base.

Every ranking is that of `KnowledgeBase.retrieve` on the real store, asked for so many hits that the
list of a leg can be put together from the scores that they carry. It then fuses as many of each
leg, where a search for ten hits fuses 50: a few questions have another order.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from experiments.base import Context
from wavrag.data import Qrels
from wavrag.embed import Embedder, load_embedder
from wavrag.errors import InputError
from wavrag.evaluate import DEPTH, LEGS, Legs, best_passages, evaluate_run
from wavrag.kb import KnowledgeBase
from wavrag.types import Document, Hit, Query, ScoredPassage

HITS = 200  # deep enough for the ten best of each leg alone
RETRIEVER, CASCADE = "wavretriever-mini", "cascade"
WHISPER = "whisper-tiny"  # as `--model` names it

T = TypeVar("T")
Ranked = dict[str, dict[str, list[str]]]  # leg, query id, document ids with the best first


@dataclass(frozen=True, slots=True)
class System:
    """Something that is compared.

    Attributes:
        key: short name, fit for a step's key.
        label: for tables and plots.
        embedder: as `load_embedder` takes it.
    """

    key: str
    label: str
    embedder: str


def systems(context: Context) -> tuple[list[System], list[str]]:
    """Retriever and cascades, and what could not be had."""
    found = [
        System("retriever", "WavRetriever-mini", RETRIEVER),
        System("cascade", "cascade, Moonshine tiny", CASCADE),
    ]
    folder = context.models.get(WHISPER)
    if folder is None:
        return found, [
            f"The cascade of Whisper tiny: no folder was named with `--model {WHISPER}=DIR`."
        ]
    return [
        *found,
        System("whisper", "cascade, Whisper tiny", f"cascade:whisper={folder.resolve()}"),
    ], []


def sample(rows: Sequence[T], count: int, seed: int) -> list[T]:
    """So many of the rows, drawn with the seed, in their order; all where there are no more."""
    picks = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [rows[pick] for pick in sorted(picks.tolist())]


def untrained_sentences(context: Context) -> list[dict[str, Any]]:
    """Recordings of the speakers that training did not hear, with texts that it did not see."""
    rows = context.rows("speech/speechocean762.jsonl")
    trained = {row["text"] for row in rows if row["split"] == "train"}
    return [row for row in rows if row["split"] == "test" and row["text"] not in trained]


def paragraphs(context: Context) -> list[Document]:
    """The paragraphs that the spoken questions are about; of a quick run, only theirs and a few."""
    rows = context.rows("text/squad_dev_eval.jsonl")
    return [
        Document(row["id"], text=row["context"], title=row["title"].replace("_", " "))
        for row in rows
    ]


class Asked:
    """A knowledge base in a temporary folder, made when the first question comes.

    Args:
        embedder: one, or the name of one.
        documents: to search.
    """

    def __init__(
        self,
        embedder: Embedder | str,
        documents: Sequence[Document],
    ) -> None:
        self._named = embedder
        self._documents = documents
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder, loaded."""
        return load_embedder(self._named) if isinstance(self._named, str) else self._named

    @cached_property
    def kb(self) -> KnowledgeBase:
        """The knowledge base, indexed.

        Raises:
            InputError: a document cannot be indexed.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="wavrag-experiment-")
        kb = KnowledgeBase.open(Path(self._folder.name), embedder=self.embedder)
        report = kb.add(self._documents)
        if report.skipped:
            source, reason = report.skipped[0]
            raise InputError(f"{source} cannot be indexed: {reason}")
        return kb

    def ask(self, query: Query) -> dict[Legs, list[str]]:
        """Ids of the ten best documents of each leg."""
        return self.answer(query)[0]

    def answer(self, query: Query) -> tuple[dict[Legs, list[str]], str]:
        """Ids of the ten best documents of each leg, and the words of the query as understood."""
        retrieval = self.kb.retrieve(query, HITS)
        hits = retrieval.hits
        entry_of = {hit.passage.document_id: hit.passage.document_id for hit in hits}
        lists: dict[Legs, list[ScoredPassage] | Sequence[Hit]] = {
            leg: [ScoredPassage(hit.passage, hit.legs[leg]) for hit in hits if leg in hit.legs]
            for leg in ("dense", "lexical")
        }
        lists["fused"] = hits
        ranked = {leg: list(best_passages(lists[leg], entry_of, ""))[:DEPTH] for leg in LEGS}
        return ranked, retrieval.words or ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            self.kb.close()
            self._folder.cleanup()


def ask_all(
    asked: Asked,
    queries: Mapping[str, Callable[[], Query]],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Ranked:
    """What each leg finds for every query.

    Args:
        asked: where.
        queries: by id; each is made when its turn comes.
        on_progress: told how many of how many were asked.
    """
    ranked: Ranked = {leg: {} for leg in LEGS}
    for number, (id, query) in enumerate(queries.items(), 1):
        for leg, found in asked.ask(query()).items():
            ranked[leg][id] = found
        on_progress(number, len(queries))
    return ranked


def values(ranked: Ranked, leg: Legs, qrels: Qrels, metric: str) -> list[float]:
    """A metric of each query, in the order of the judgements."""
    return evaluate_run(ranked[leg], qrels)[metric]


def crossing(x: Sequence[float], a: Sequence[float], b: Sequence[float]) -> float | None:
    """Where two curves cross first, by straight lines between their points; None if nowhere.

    Args:
        x: in order.
        a: values of the one.
        b: values of the other. Where they are equal at a point and apart on both sides, and change
            places, they cross there.
    """
    difference = [left - right for left, right in zip(a, b, strict=True)]
    apart = [(at, value) for at, value in zip(x, difference, strict=True) if value]
    for (start, before), (end, after) in pairwise(apart):
        if before * after < 0:
            return start + (end - start) * before / (before - after)
    return None


def falls_to(x: Sequence[float], values: Sequence[float], level: float) -> float | None:
    """Where a curve first falls below a level, by straight lines between points; None if nowhere.

    Args:
        x: from the mildest condition to the hardest.
        values: at each.
        level: to fall to.
    """
    points = list(zip(x, values, strict=True))
    for (start, before), (end, after) in pairwise(points):
        if before >= level > after:
            return start + (end - start) * (before - level) / (before - after)
    return None
