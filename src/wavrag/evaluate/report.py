"""Results of an evaluation as JSON and as a text table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from wavrag.data import Task, TaskContent
from wavrag.evaluate.cost import Cost
from wavrag.evaluate.metrics import CONFIDENCE, METRICS, RESAMPLES, SEED
from wavrag.evaluate.system import RetrievedHit, System

COLUMN_WIDTH = 13  # characters; fits an interval such as "[0.123 0.456]"


def report_to_dict(
    task: Task, systems: Sequence[System], cpu_price: float | None = None
) -> dict[str, Any]:
    """Convert an evaluation to its JSON form.

    It includes the values and hits of every query, for paired comparisons
    (`wavrag.evaluate.comparison`) and for the HTML report. Without the price of an hour of one CPU
    core, prices are omitted.
    """
    # A corpus may have millions of passages: write only those that a report shows.
    shown_ids = {hit.id for system in systems for hits in system.hits.values() for hit in hits}
    shown_ids |= {id for query in task.qrels for id in _relevant_passages(task, query)}
    return {
        "task": task.name,
        "query_count": len(task.queries),
        "corpus_count": len(task.corpus),
        "query_modality": task.query_modality,
        "corpus_modality": task.corpus_modality,
        "wavrag": version("wavrag"),
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
        "cpu_price_per_hour": cpu_price,
        "systems": [_system_to_dict(task, system, cpu_price) for system in systems],
        "queries": [
            {"id": id, **_content_to_dict(query), "relevant": _relevant_passages(task, id)}
            for id, query in task.queries.items()
        ],
        "corpus": {
            id: _content_to_dict(passage) for id, passage in task.corpus.items() if id in shown_ids
        },
    }


def format_report(task: Task, systems: Sequence[System], cpu_price: float | None = None) -> str:
    """Format an evaluation as a text table, with intervals below the means and a legend."""
    labels = [("embedder", "legs"), *((system.embedder, system.legs) for system in systems)]
    widths = [max(map(len, column)) for column in zip(*labels, strict=True)]
    head, *names = (
        "  ".join(label.ljust(width) for label, width in zip(row, widths, strict=True))
        for row in labels
    )
    lines = [
        _describe_task(task),
        head + "".join(f"  {name:<{COLUMN_WIDTH}}" for name in METRICS) + "  s/query",
    ]
    for name, system in zip(names, systems, strict=True):
        means = (f"{system.metrics[metric]:.3f}" for metric in METRICS)
        intervals = ("[{:.3f} {:.3f}]".format(*system.ci95[metric]) for metric in METRICS)
        seconds = f"{system.latency_percentiles()[50] / 1e3:.3f}"
        lines += [
            name + "".join(f"  {mean:<{COLUMN_WIDTH}}" for mean in means) + f"  {seconds}",
            (" " * len(name) + "".join(f"  {i:<{COLUMN_WIDTH}}" for i in intervals)).rstrip(),
        ]
    # One line per embedder: its legs share one index and one search.
    for system in {system.embedder: system for system in systems}.values():
        lines += _describe_system(system, cpu_price)
    lines += [
        f"{system.embedder}, {system.legs}: {system.queries_without_hits:,} queries without hits"
        for system in systems
        if system.queries_without_hits
    ]
    return "\n".join([*lines, *_legend(task, systems)])


def _relevant_passages(task: Task, query: str) -> dict[str, float]:
    return {id: score for id, score in task.qrels[query].items() if score > 0}


def _system_to_dict(task: Task, system: System, cpu_price: float | None) -> dict[str, Any]:
    wer = None
    if (errors := system.word_errors) is not None:
        ci95 = [round(end, 4) for end in errors.ci95]
        wer = {"rate": round(errors.rate, 4), **asdict(errors), "ci95": ci95}
    return {
        "embedder": system.embedder,
        "revision": system.revision,
        "transcribes": system.transcribes,
        "legs": system.legs,
        "fusion": system.fusion,
        "reranker": system.reranker,
        "metrics": {name: round(value, 4) for name, value in system.metrics.items()},
        "ci95": {name: [round(end, 4) for end in ends] for name, ends in system.ci95.items()},
        "queries_without_hits": system.queries_without_hits,
        **{
            f"query_ms_p{percentile}": round(milliseconds, 1)
            for percentile, milliseconds in system.latency_percentiles().items()
        },
        "index_seconds": round(system.indexing.seconds, 2),
        "indexed_passages": system.indexed_passages,
        "wer": wer,
        "index_cost": _cost_to_dict(system.indexing, cpu_price),
        "query_cost": _cost_to_dict(system.querying, cpu_price),
        "values": {
            # More digits than the means have: paired tests start from these values.
            name: [round(value, 6) for value in values]
            for name, values in system.values.items()
        },
        "query_words": [system.query_words[id] for id in task.queries],
        "hits": [[_hit_to_dict(hit) for hit in system.hits[id]] for id in task.queries],
    }


def _cost_to_dict(cost: Cost, cpu_price: float | None) -> dict[str, Any]:
    cpu_seconds, price = cost.cpu_seconds_per_hour, cost.price_per_hour(cpu_price)
    return {
        "cpu_seconds": round(cost.cpu_seconds, 2),
        "audio_seconds": round(cost.audio_seconds, 1),
        "cpu_seconds_per_audio_hour": None if cpu_seconds is None else round(cpu_seconds, 1),
        "price_per_audio_hour": None if price is None else round(price, 6),
    }


def _content_to_dict(content: TaskContent) -> dict[str, Any]:
    values = {name: getattr(content, name) for name in ("title", "text", "transcript", "audio")}
    return {name: value for name, value in values.items() if value}


def _hit_to_dict(hit: RetrievedHit) -> dict[str, Any]:
    fields = asdict(hit) | {"score": round(hit.score, 6)}
    # A score of 0 stays: absent fields are those without a value.
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _describe_system(system: System, cpu_price: float | None) -> list[str]:
    """Describe what all legs of an embedder share: index, latency, word errors, cost."""
    latency = " ".join(f"p{p} {ms:.0f}" for p, ms in system.latency_percentiles().items())
    lines = [
        f"{system.embedder}: {system.indexed_passages:,} passages indexed in"
        f" {system.indexing.seconds:.1f} s; ms per query: {latency}"
    ]
    if (errors := system.word_errors) is not None:
        lines.append(
            f"{system.embedder}: word error rate {errors.rate:.1%}"
            f" [{errors.ci95[0]:.1%} {errors.ci95[1]:.1%}] over {errors.words:,} words in"
            f" {errors.recordings:,} recordings"
        )
    for activity, cost in (("indexing", system.indexing), ("querying", system.querying)):
        if (cpu_seconds := cost.cpu_seconds_per_hour) is not None:
            price = cost.price_per_hour(cpu_price)
            lines.append(
                f"{system.embedder}: {activity} takes {cpu_seconds:,.0f} CPU seconds per hour of"
                " audio"
                + (f", {price:.4f} at {cpu_price:g} a CPU hour" if price is not None else "")
            )
    return lines


def _legend(task: Task, systems: Sequence[System]) -> list[str]:
    lines = [
        f"In brackets: {CONFIDENCE:.0%} bootstrap intervals over queries. s/query: median time of"
        " embedding and of searching both legs."
    ]
    if any(system.legs == "lexical" for system in systems):
        contents = [*task.corpus.values(), *task.queries.values()]
        has_audio = any(content.audio for content in contents)
        speech = "; for recordings, over the recognised words" if has_audio else ""
        lines.append(f"dense: vectors alone. lexical: BM25 over words alone{speech}. fused: both.")
        wordless = {s.embedder for s in systems if has_audio and not s.transcribes}
        lines += [f"{name} recognises no words of recordings." for name in sorted(wordless)]
    return lines


def _describe_task(task: Task) -> str:
    queries, passages = (
        f" ({modality} only)" if modality else ""
        for modality in (task.query_modality, task.corpus_modality)
    )
    return (
        f"{task.name}: {len(task.queries):,} queries{queries},"
        f" {len(task.corpus):,} passages{passages}"
    )
