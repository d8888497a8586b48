"""Evaluation of retrieval: a task through the real knowledge base, measured for each leg.

The measurements are those of `KnowledgeBase.retrieve` as users call it. The legs are the ranked
lists that its fusion merges.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from wavrag import audio
from wavrag.data import Task, TaskContent
from wavrag.embed import Embedder, load_embedder
from wavrag.errors import InputError
from wavrag.evaluate.cost import Cost
from wavrag.evaluate.metrics import DEPTH, confidence_intervals, evaluate_run, mean, rank_ids
from wavrag.evaluate.system import LEGS, Legs, RetrievedHit, System
from wavrag.evaluate.wer import WordErrors, count_word_errors
from wavrag.kb import CANDIDATES, KnowledgeBase, ProgressCallback
from wavrag.search import Fusion, Reranker, reorder_hits
from wavrag.store import LanceStore, Store
from wavrag.types import Document, Hit, Query, ScoredPassage

QueryCallback: TypeAlias = Callable[[int, int], None]  # number of queries done, total

REPORTED_HITS = 5  # hits of each query in reports
BLANK_TITLE = " "  # an empty title would be replaced by the name of the recording's file
AUDIO_SUFFIX = "\taudio"  # id of the second document of a passage; ids of tasks contain no tabs


@dataclass(slots=True)
class _QueryResults:
    """Rankings of all queries for each choice of legs, with words, latencies and costs."""

    rankings: dict[Legs, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))
    hits: dict[Legs, dict[str, list[RetrievedHit]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    words: dict[str, str | None] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    indexing: Cost = field(default_factory=Cost)
    indexed_passages: int = 0


def evaluate_embedder(
    task: Task,
    embedder: Embedder | str,
    legs: Sequence[Legs] = LEGS,
    *,
    on_index: ProgressCallback | None = None,
    on_query: QueryCallback | None = None,
    fusion: Fusion = "scores",
    reranker: Reranker | None = None,
) -> list[System]:
    """Index the corpus of a task in a temporary folder, run every query, and measure.

    Args:
        task: from `load_task`.
        embedder: embedder, or its name.
        legs: systems to return; all of them come from the same searches.
        on_index: progress callback of indexing.
        on_query: progress callback of the queries.
        fusion: see `KnowledgeBase.open`.
        reranker: reorders the first hits of `fused`; see `KnowledgeBase.open`.

    Returns:
        One system for each of `legs`, in their order.

    Raises:
        InputError: the task contains a modality that the embedder does not support, or a recording
            that cannot be decoded.
        EmbedderError: there is no embedder of that name.

    Example:
        >>> from wavrag.data import load_task
        >>> task = load_task("tasks/mine")  # doctest: +SKIP
        >>> (system,) = evaluate_embedder(task, "cascade", ["fused"])  # doctest: +SKIP
        >>> system.metrics["recall@10"]  # doctest: +SKIP
        0.95
    """
    if isinstance(embedder, str):
        embedder = load_embedder(embedder)
    check_modalities(task, embedder)
    documents = build_documents(task)
    corpus_ids = {document: corpus_id for document, (_, corpus_id) in documents.items()}
    with tempfile.TemporaryDirectory(prefix="wavrag-eval-") as folder:
        # A folder called `store` without a manifest is a damaged knowledge base.
        store = LanceStore(Path(folder) / "passages", embedder.spec.dim)
        with KnowledgeBase(Path(folder), embedder, store, fusion=fusion, reranker=reranker) as kb:
            # Loads the weights, which belong to neither of the measured costs.
            kb.retrieve(_build_query(next(iter(task.queries.values()))))
            indexing = _index(kb, [document for document, _ in documents.values()], on_index)
            results = _run_queries(task, kb, store, corpus_ids, on_query)
            results.indexing, results.indexed_passages = indexing, kb.count()
            return [_build_system(task, kb, leg, results) for leg in legs]


def check_modalities(task: Task, embedder: Embedder) -> None:
    """Refuse a task with a modality that the embedder does not support.

    Raises:
        InputError: names the first such query or passage, and the option that leaves it out.
    """
    spec = embedder.spec
    for option, contents in (("query", task.queries), ("corpus", task.corpus)):
        for content in contents.values():
            if content.audio is not None and "audio" not in spec.modalities:
                raise InputError(
                    f"{content.where}: {content.id!r} has audio, and {spec.name} embeds text only:"
                    + (f" use --{option}-modality text, or" if content.words else " use")
                    + " an audio embedder"
                )
            if content.words and "text" not in spec.modalities:
                raise InputError(
                    f"{content.where}: {content.id!r} has text, and {spec.name} embeds audio only:"
                    + (f" use --{option}-modality audio, or" if content.audio else " use")
                    + " a text embedder"
                )


def build_documents(task: Task) -> dict[str, tuple[Document, str]]:
    """Build the documents of a corpus, each with the id of its corpus passage, by document id.

    A passage with text and audio becomes two documents; its rank is that of the better one.
    """
    documents: dict[str, tuple[Document, str]] = {}
    for passage in task.corpus.values():
        # A passage of nothing but a title is a text; a title beside audio only goes with it.
        has_text = bool(passage.text) or (passage.audio is None and bool(passage.title))
        if has_text:
            title = passage.title if passage.text else ""
            document = Document(passage.id, text=passage.words, title=title)
            documents[passage.id] = document, passage.id
        if passage.audio is not None:
            id = passage.id + AUDIO_SUFFIX if has_text else passage.id
            document = Document(id, path=passage.audio, title=passage.title or BLANK_TITLE)
            documents[id] = document, passage.id
    return documents


def best_passages(
    hits: Sequence[ScoredPassage] | Sequence[Hit], corpus_ids: Mapping[str, str], query: str
) -> dict[str, ScoredPassage | Hit]:
    """Rank corpus passages by their best indexed passage, ties by id.

    A corpus passage with the id of the query is removed, so that recordings can be queries and
    corpus at once.
    """
    best: dict[str, ScoredPassage | Hit] = {}
    for hit in hits:
        corpus_id = corpus_ids[hit.passage.document_id]
        leader = best.get(corpus_id)
        if leader is None or (-hit.score, hit.passage.id) < (-leader.score, leader.passage.id):
            best[corpus_id] = hit
    best.pop(query, None)
    return {id: best[id] for id in rank_ids({id: hit.score for id, hit in best.items()})}


def _index(
    kb: KnowledgeBase, documents: Sequence[Document], on_index: ProgressCallback | None
) -> Cost:
    cost = Cost()
    with cost.measure():
        report = kb.add(documents, on_progress=on_index)
    cost.audio_seconds = report.audio_seconds
    if report.skipped:
        source, reason = report.skipped[0]
        raise InputError(
            f"{len(report.skipped)} of the passages in the corpus cannot be indexed, first"
            f" {source}: {reason.removeprefix(f'{source}: ')}"
        )
    return cost


def _run_queries(
    task: Task,
    kb: KnowledgeBase,
    store: Store,
    corpus_ids: Mapping[str, str],
    on_query: QueryCallback | None,
) -> _QueryResults:
    results = _QueryResults()
    # The first search of a new index opens its files: it is not measured.
    kb.retrieve(_build_query(next(iter(task.queries.values()))))
    for number, (id, content) in enumerate(task.queries.items()):
        if on_query is not None:
            on_query(number, len(task.queries))
        query = _build_query(content)
        with results.cost.measure():
            retrieval = kb.retrieve(query)
        results.cost.audio_seconds += query.clip.duration if query.clip is not None else 0.0
        results.latencies_ms.append(sum(retrieval.timings.values()))
        results.words[id] = retrieval.words
        legs, k, short = retrieval.legs, CANDIDATES, list(LEGS)
        while short:
            for leg in short:
                ranking = (
                    reorder_hits(kb.fuse(legs), retrieval.rerank_scores)
                    if leg == "fused"
                    else legs.get(leg, [])
                )
                best = best_passages(ranking, corpus_ids, id)
                results.rankings[leg][id] = list(best)
                results.hits[leg][id] = [
                    _build_hit(corpus_id, hit)
                    for corpus_id, hit in islice(best.items(), REPORTED_HITS)
                ]
            full = any(len(scored) >= k for scored in legs.values())
            short = [leg for leg in short if full and len(results.rankings[leg][id]) < DEPTH]
            if short:
                # A few long documents may fill a leg with their passages: search deeper.
                k *= 2
                legs = store.search(retrieval.vector, retrieval.lexical, k)
    return results


def _build_system(task: Task, kb: KnowledgeBase, leg: Legs, results: _QueryResults) -> System:
    spec = kb.embedder.spec
    rankings = results.rankings[leg]
    values = evaluate_run(rankings, task.qrels)
    return System(
        embedder=spec.name,
        revision=spec.revision,
        transcribes=spec.transcribes,
        legs=leg,
        fusion=kb.fusion,
        reranker=kb.reranker.name if kb.reranker is not None and leg == "fused" else None,
        metrics={name: mean(numbers) for name, numbers in values.items()},
        ci95=confidence_intervals(values),
        values=values,
        queries_without_hits=sum(not ids for ids in rankings.values()),
        hits=results.hits[leg],
        query_words=results.words,
        latencies_ms=results.latencies_ms,
        indexing=results.indexing,
        querying=results.cost,
        indexed_passages=results.indexed_passages,
        word_errors=_measure_word_errors(task, results.words) if spec.transcribes else None,
    )


def _build_hit(corpus_id: str, hit: ScoredPassage | Hit) -> RetrievedHit:
    passage = hit.passage
    if passage.modality == "audio":
        start, end, transcript = passage.start, passage.end, passage.text
    else:
        start, end, transcript = passage.char_start, passage.char_end, None
    span = (float(start), float(end)) if start is not None and end is not None else None
    return RetrievedHit(corpus_id, hit.score, passage.location, span, passage.modality, transcript)


def _measure_word_errors(task: Task, words: Mapping[str, str | None]) -> WordErrors | None:
    """Count the word errors in queries of audio alone with a reference transcript."""
    references = {
        id: query.transcript
        for id, query in task.queries.items()
        if query.audio is not None and not query.words and query.transcript
    }
    hypotheses = [words[id] or "" for id in references]
    return count_word_errors(list(references.values()), hypotheses) if references else None


def _build_query(content: TaskContent) -> Query:
    clip = audio.load(content.audio) if content.audio is not None else None
    return Query(text=content.words or None, clip=clip)
