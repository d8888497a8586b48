"""A task through the product: the real knowledge base, asked what each leg finds.

Every figure is that of `KnowledgeBase.retrieve` as users call it; the legs are the lists that its
fusion was given.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from wavrag import audio
from wavrag.data import Task, TaskContent
from wavrag.embed import Embedder, load_embedder
from wavrag.errors import InputError
from wavrag.evaluate.cost import Cost
from wavrag.evaluate.metrics import (
    DEPTH,
    confidence_intervals,
    evaluate_run,
    mean,
    rank_ids,
)
from wavrag.evaluate.system import LEGS, Legs, RetrievedHit, System
from wavrag.evaluate.wer import WordErrors, word_errors
from wavrag.kb import CANDIDATES, IngestOptions, KnowledgeBase, ProgressSink
from wavrag.search import reciprocal_rank_fusion
from wavrag.store import LanceStore
from wavrag.types import Document, Float32, Hit, Leg, Query, ScoredPassage

QuerySink: TypeAlias = Callable[[int, int], None]  # queries done, of how many

KEPT = 5  # entries of each query that are kept for reports
UNTITLED = " "  # keeps a recording without a title from being given its file's name as one
SECOND_PART = "\taudio"  # after the id of an entry that is two documents; ids have no tabs


@dataclass(frozen=True, slots=True)
class _Runs:
    """What every query found, for each choice of legs, and what it took."""

    ranked: Mapping[Legs, dict[str, list[str]]]
    found: Mapping[Legs, dict[str, list[RetrievedHit]]]
    words: dict[str, str | None]
    milliseconds: list[float]
    cost: Cost


class _Observed(LanceStore):
    """The store of the product, which also keeps what its last search found."""

    last: Mapping[Leg, list[ScoredPassage]]

    def search(
        self, vector: Float32 | None, text: str | None, k: int, where: str | None = None
    ) -> Mapping[Leg, list[ScoredPassage]]:
        """See `Store.search`."""
        self.last = super().search(vector, text, k, where)
        return self.last


def evaluate_embedder(
    task: Task,
    embedder: Embedder | str,
    legs: Sequence[Legs] = LEGS,
    *,
    on_index: ProgressSink | None = None,
    on_query: QuerySink | None = None,
) -> list[System]:
    """Index the corpus in a temporary folder, ask every query, and measure.

    Args:
        task: as loaded.
        embedder: one, or the name of one.
        legs: which figures to give; one run yields all.
        on_index: told how indexing goes.
        on_query: told how asking goes.

    Returns:
        One system for each of `legs`, in their order.

    Raises:
        InputError: the embedder cannot hear and the task has sound, or a recording of the task
            cannot be decoded.
        EmbedderError: there is no embedder of that name.
    """
    if isinstance(embedder, str):
        embedder = load_embedder(embedder)
    check_modalities(task, embedder)
    owner = documents_of(task)
    with tempfile.TemporaryDirectory(prefix="wavrag-eval-") as folder:
        store = _Observed(Path(folder) / "store", embedder.spec.dim)
        with KnowledgeBase(Path(folder), embedder, store, IngestOptions()) as kb:
            kb.retrieve(_query(next(iter(task.queries.values()))))  # loads weights
            indexing = Cost()
            with indexing.measured():
                report = kb.add([document for document, _ in owner.values()], on_progress=on_index)
            indexing.audio_seconds = report.audio_seconds
            if report.skipped:
                source, reason = report.skipped[0]
                raise InputError(
                    f"{len(report.skipped)} of the corpus cannot be indexed, first {source}:"
                    f" {reason.removeprefix(f'{source}: ')}"
                )
            entry_of = {document: entry for document, (_, entry) in owner.items()}
            runs = _ask(task, kb, store, entry_of, on_query)
            passages = kb.count()
    systems = []
    for leg in legs:
        values = evaluate_run(runs.ranked[leg], task.qrels)
        systems.append(
            System(
                embedder=embedder.spec.name,
                revision=embedder.spec.revision,
                gives_words=embedder.spec.transcribes,
                legs=leg,
                metrics={name: mean(each) for name, each in values.items()},
                ci95=confidence_intervals(values),
                values=values,
                unanswered=sum(not ranked for ranked in runs.ranked[leg].values()),
                found=runs.found[leg],
                words=runs.words,
                milliseconds=runs.milliseconds,
                indexing=indexing,
                asking=runs.cost,
                passages=passages,
                errors=_errors(task, runs.words) if embedder.spec.transcribes else None,
            )
        )
    return systems


def check_modalities(task: Task, embedder: Embedder) -> None:
    """Refuse a task with parts that the embedder cannot take.

    Raises:
        InputError: names the first such part, and the option that leaves it out.
    """
    spec = embedder.spec
    for side, entries in (("query", task.queries), ("corpus", task.corpus)):
        for entry in entries.values():
            if entry.audio is not None and "audio" not in spec.modalities:
                raise InputError(
                    f"{entry.where}: {entry.id!r} has sound, and {spec.name} embeds text only: use"
                    + (f" --{side}-modality text, or" if entry.words else "")
                    + " an embedder that hears"
                )
            if entry.words and "text" not in spec.modalities:
                raise InputError(
                    f"{entry.where}: {entry.id!r} has text, and {spec.name} embeds sound only: use"
                    + (f" --{side}-modality audio, or" if entry.audio else "")
                    + " an embedder that reads"
                )


def documents_of(task: Task) -> dict[str, tuple[Document, str]]:
    """By document id, the documents that stand for the corpus, each with the id of its entry.

    An entry of text and sound is two documents, and is as good as the better one.
    """
    documents: dict[str, tuple[Document, str]] = {}
    for entry in task.corpus.values():
        has_text = bool(entry.text) or (entry.audio is None and bool(entry.title))
        if has_text:
            title = entry.title if entry.text else ""
            documents[entry.id] = Document(entry.id, text=entry.words, title=title), entry.id
        if entry.audio is not None:
            id = entry.id + SECOND_PART if has_text else entry.id
            document = Document(id, path=entry.audio, title=entry.title or UNTITLED)
            documents[id] = document, entry.id
    return documents


def best_passages(
    scored: Sequence[ScoredPassage] | Sequence[Hit], entry_of: Mapping[str, str], query: str
) -> dict[str, ScoredPassage | Hit]:
    """Entries with their best passage, best first, ties by id, without the query's own.

    Args:
        scored: passages with their scores, in any order.
        entry_of: the entry of each document id.
        query: id of the query.
    """
    best: dict[str, ScoredPassage | Hit] = {}
    for hit in scored:
        entry = entry_of[hit.passage.document_id]
        known = best.get(entry)
        if known is None or (-hit.score, hit.passage.id) < (-known.score, known.passage.id):
            best[entry] = hit
    best.pop(query, None)
    return {entry: best[entry] for entry in rank_ids({id: hit.score for id, hit in best.items()})}


def _ask(
    task: Task,
    kb: KnowledgeBase,
    store: _Observed,
    entry_of: Mapping[str, str],
    on_query: QuerySink | None,
) -> _Runs:
    ranked: dict[Legs, dict[str, list[str]]] = {leg: {} for leg in LEGS}
    found: dict[Legs, dict[str, list[RetrievedHit]]] = {leg: {} for leg in LEGS}
    words: dict[str, str | None] = {}
    milliseconds, cost = [], Cost()
    kb.retrieve(_query(next(iter(task.queries.values()))))  # the new index; is not counted
    for number, (id, entry) in enumerate(task.queries.items()):
        if on_query is not None:
            on_query(number, len(task.queries))
        query = _query(entry)
        with cost.measured():
            retrieval = kb.retrieve(query)
        cost.audio_seconds += query.clip.duration if query.clip is not None else 0.0
        milliseconds.append(sum(retrieval.timings.values()))
        words[id] = retrieval.words
        legs, k, short = store.last, CANDIDATES, list(LEGS)
        while short:
            for leg in short:
                best = best_passages(_list_of(leg, legs), entry_of, id)
                ranked[leg][id] = list(best)
                found[leg][id] = [_found(one, hit) for one, hit in islice(best.items(), KEPT)]
            full = any(len(scored) >= k for scored in legs.values())
            short = [leg for leg in short if full and len(ranked[leg][id]) < DEPTH]
            if short:
                # A few long documents took all places.
                k *= 2
                legs = store.search(retrieval.vector, retrieval.words, k)
    return _Runs(ranked, found, words, milliseconds, cost)


def _found(entry: str, hit: ScoredPassage | Hit) -> RetrievedHit:
    passage = hit.passage
    if passage.modality == "audio":
        start, end, heard = passage.start, passage.end, passage.text
    else:
        start, end, heard = passage.char_start, passage.char_end, None
    span = (float(start), float(end)) if start is not None and end is not None else None
    return RetrievedHit(entry, hit.score, passage.location, span, passage.modality, heard)


def _errors(task: Task, words: Mapping[str, str | None]) -> WordErrors | None:
    """Of queries that are nothing but recordings, and whose words are known."""
    known = [
        entry
        for entry in task.queries.values()
        if entry.audio is not None and not entry.words and entry.said
    ]
    if not known:
        return None
    return word_errors([one.said for one in known], [words[one.id] or "" for one in known])


def _list_of(
    leg: Legs, legs: Mapping[Leg, list[ScoredPassage]]
) -> Sequence[ScoredPassage] | Sequence[Hit]:
    return reciprocal_rank_fusion(legs) if leg == "fused" else legs.get(leg, [])


def _query(entry: TaskContent) -> Query:
    clip = audio.load(entry.audio) if entry.audio is not None else None
    return Query(text=entry.words or None, clip=clip)
